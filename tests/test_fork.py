"""Forked processes, worker pools, and other libraries' threads beside ours: no call hangs, every answer is right."""

import importlib.util
import os
import subprocess
import sys

import pytest

# Each child is a process of its own, ended by a watchdog where it hangs.
WATCHDOG = 120
START = """
import numpy as np, cyconv
x, kernel = np.ones((1, 64, 64, 32), np.float32), np.ones((3, 3, 32, 32), np.float32)
def right(_=None): return bool((cyconv.ops.conv(x, kernel) == 288).all())
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def run(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 0, done.stderr
    print(done.stderr)  # where a child hung
    return done.stdout.split()


@forks
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_forked_child_computes(threads):
    code = f"""{START}
import os
cyconv.set_num_threads({threads})
assert right()
child = os.fork()
if child == 0:
    os._exit(0 if right() and cyconv.get_num_threads() == 1 else 1)
print(os.waitpid(child, 0)[1], right())
"""
    assert run(code, "-W", "ignore::DeprecationWarning") == ["0", "True"]


# What other threads do at the moment of a fork, again and again; then what the child does beside a convolution.
BESIDE = {
    "computing": ("right()", "True"),
    "replacing weights": ("layer.set_weights(weights)", "(layer.set_weights(weights), layer(x[:, :9]))"),
    "making plans": ("layer(x[:, : next(sizes)])", "layer(x[:, : next(sizes)])"),
    "calling a model": ("model(x)", "(model(x), model.set_weights(model.get_weights()))"),
}


@forks
@pytest.mark.parametrize("beside", BESIDE)
def test_a_fork_while_other_threads_work(beside):
    """No lock that another thread holds at that moment is held for ever in the child."""
    theirs, ours = BESIDE[beside]
    code = f"""{START}
import faulthandler, itertools, os, signal, sys, threading
sys.setswitchinterval(1e-5)  # threads are stopped anywhere
layer = cyconv.layers.Conv2D(64, 3); layer(x)
weights = layer.get_weights()
model = cyconv.Sequential([cyconv.layers.Conv2D(4, 3) for _ in range(20)]); model(x)
sizes = itertools.cycle(range(3, 60))
end = threading.Event()
def work():
    while not end.is_set(): {theirs}
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
try:
    for _ in range(20):
        child = os.fork()
        if child == 0:
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(30)  # ends a child that hangs
            try:
                {ours}
                os._exit(0 if right() else 1)
            finally:
                os._exit(2)
        status = os.waitpid(child, 0)[1]
        if status: break
finally:
    end.set()
for thread in threads: thread.join()
print(status, right())
"""
    assert run(code, "-W", "ignore::DeprecationWarning") == ["0", "True"]


@forks
def test_a_fork_of_a_fork():
    code = f"""{START}
import os, signal
assert right()
for generation in range(3):
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        if generation: os._exit(status != 0)
        break
    signal.alarm(60)
    if not right(): os._exit(1)
else:
    os._exit(0)
print(status, right())
"""
    assert run(code, "-W", "ignore::DeprecationWarning") == ["0", "True"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes(method, tmp_path):
    """Of children of a parent that has used its threads."""
    if not hasattr(os, "fork") and method != "spawn":
        pytest.skip("this system has no fork")
    script = tmp_path / "pool.py"
    script.write_text(f"""{START}
import multiprocessing
if __name__ == "__main__":
    cyconv.set_num_threads(3)
    assert right()
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        print(all(pool.map(right, range(6))), right())
""")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert done.stdout.split() == ["True", "True"], done.stderr


# library -> how it computes in parallel by itself
OTHERS = {
    "torch": "float(torch.ones(512, 512).mm(torch.ones(512, 512))[0, 0]) == 512",
    "sklearn": "__import__('sklearn.cluster').cluster.KMeans(2, n_init=1).fit(np.eye(200)).labels_.size == 200",
    "numba": "numba.njit(parallel=True)(lambda a: a.sum())(np.ones(1000)) == 1000",
    "joblib": "all(joblib.Parallel(2)(joblib.delayed(cyconv.get_num_threads)() for _ in range(4)))",
    "onnxruntime": "bool(onnxruntime.get_available_providers())",
    "tensorflow": "float(tensorflow.linalg.matmul(*[tensorflow.ones((512, 512))] * 2)[0, 0]) == 512",
    "threadpoolctl": "bool(threadpoolctl.threadpool_info())",
}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", OTHERS)
def test_beside_another_library(name, order):
    """Imported before or after cyconv, both computing in turns."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    lines = [f"import {name}", START]
    code = "\n".join(lines if order == "before" else lines[::-1])
    code += f"\ncyconv.set_num_threads(2)\nfor _ in range(3): print(right(), {OTHERS[name]})"
    assert run(code, "-W", "ignore") == ["True"] * 6
