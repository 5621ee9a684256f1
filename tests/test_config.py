"""Threads and configuration: what may be set, where defaults come from, what a forked child does."""

import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl

import cyconv
from cyconv import config, kernels, ops, plan

BIG = np.ones((1, 64, 64, 32), np.float32)
KERNEL = np.ones((3, 3, 32, 32), np.float32)


@pytest.fixture(autouse=True)
def threads():
    before = cyconv.get_num_threads()
    yield
    cyconv.set_num_threads(before)


def run(code, **environment):
    """Run Python code in a process of its own."""
    ours = ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS", "CYCONV_ISA", "CYCONV_WINOGRAD")
    env = {k: v for k, v in os.environ.items() if k not in ours}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**env, **environment})


def test_number_of_threads_is_kept():
    cyconv.set_num_threads(3)
    assert cyconv.get_num_threads() == (3 if plan.OPENMP else 1)


@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-1, ValueError), (1025, ValueError), (1.0, TypeError), (True, TypeError), ("2", TypeError)],
)
def test_bad_numbers_of_threads_change_nothing(n, error):
    before = cyconv.get_num_threads()
    with pytest.raises(error, match="n must be"):
        cyconv.set_num_threads(n)
    assert cyconv.get_num_threads() == before


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
@pytest.mark.parametrize("name", ["CYCONV_NUM_THREADS", "OMP_NUM_THREADS"])
def test_environment_sets_the_default(name):
    done = run("import cyconv; print(cyconv.get_num_threads())", **{name: "3"})
    assert done.stdout.strip() == "3", done.stderr


def test_bad_environment_is_named():
    done = run("import cyconv", CYCONV_NUM_THREADS="many")
    assert "CYCONV_NUM_THREADS must be a positive integer, received 'many'" in done.stderr


def test_environment_turns_winograd_off():
    for text, on in (("0", "False"), ("1", "True")):
        done = run("import cyconv; print(cyconv.plan.winograd())", CYCONV_WINOGRAD=text)
        assert done.stdout.strip() == on, done.stderr
    done = run("import cyconv", CYCONV_WINOGRAD="off")
    assert "CYCONV_WINOGRAD must be 0 or 1, received 'off'" in done.stderr


def test_unknown_isa_is_named():
    done = run("import cyconv", CYCONV_ISA="mmx")
    assert "CYCONV_ISA must be one of" in done.stderr
    assert "'mmx'" in done.stderr


def test_isa_of_the_environment_is_used():
    done = run("from cyconv import kernels; print(kernels.current())", CYCONV_ISA="baseline")
    assert done.stdout.strip() == "baseline", done.stderr


def test_show_config_prints_what_info_says(capsys):
    cyconv.show_config()
    printed = capsys.readouterr().out
    for name in config.info():
        assert f"{name}:" in printed
    assert kernels.current() in printed


def test_a_limit_holds_in_its_block_and_its_thread():
    cyconv.set_num_threads(3)
    all_threads = cyconv.get_num_threads()
    others = []
    with cyconv.limit_threads(2):
        assert cyconv.get_num_threads() == min(2, all_threads)
        with cyconv.limit_threads(4):
            assert cyconv.get_num_threads() == min(2, all_threads)
        with cyconv.limit_threads(1):
            assert cyconv.get_num_threads() == 1
        other = threading.Thread(target=lambda: others.append(cyconv.get_num_threads()))
        other.start()
        other.join()
        with pytest.raises(ValueError, match="n must be"), cyconv.limit_threads(0):
            pass
        assert cyconv.get_num_threads() == min(2, all_threads)
    assert cyconv.get_num_threads() == all_threads == others[0]


@pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")
def test_threadpoolctl_sees_and_limits_threads():
    cyconv.set_num_threads(3)
    assert any(pool["user_api"] == "openmp" for pool in threadpoolctl.threadpool_info())
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert cyconv.get_num_threads() == 1
    assert cyconv.get_num_threads() == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_a_call_starts_no_more_threads_than_its_limit():
    done = run(
        "import os, numpy as np, cyconv, threadpoolctl\n"
        "x, kernel = np.ones((1, 64, 64, 32), np.float32), np.ones((3, 3, 32, 32), np.float32)\n"
        "def started(): cyconv.ops.conv(x, kernel); print(len(os.listdir('/proc/self/task')) - before)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "cyconv.set_num_threads(3)\n"
        "with cyconv.limit_threads(1): started()\n"
        "with threadpoolctl.threadpool_limits(1): started()\n"
        "with cyconv.limit_threads(2): started()\n"
        "started()\n"
    )
    assert done.stdout.split() == (["0", "0", "1", "2"] if plan.OPENMP else ["0"] * 4), done.stderr


def test_results_have_the_same_bits_while_limits_change():
    """A plan that several Python threads call under different limits shares its work anew."""
    cyconv.set_num_threads(4)
    want = ops.conv(BIG, KERNEL)
    plan_ = ops.plan("conv", BIG.shape, "float32", [KERNEL])
    wrong = []

    def call(n):
        with cyconv.limit_threads(n):
            wrong.extend(n for _ in range(30) if not np.array_equal(plan_(BIG), want))

    callers = [threading.Thread(target=call, args=(n,)) for n in (1, 2, 3, 4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.parametrize("dtype, tiny", [("float32", 1e-40), ("float64", 1e-310)])
@pytest.mark.parametrize("isa", kernels.available())
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no such switch on this processor")
def test_denormals_flushed_where_asked_and_nowhere_else(isa, dtype, tiny):
    x = np.ones((1, 64, 64, 32), dtype)
    x[0, ::2] = tiny
    kernel = np.zeros((1, 1, 32, 32), dtype) + np.eye(32, dtype=dtype)
    cyconv.set_num_threads(3)
    with kernels.using(isa):
        np.testing.assert_array_equal(ops.conv(x, kernel), x)
        cyconv.set_flush_denormals(True)
        try:
            got = ops.conv(x, kernel)
            assert (x * x.dtype.type(1)).min() > 0, "the caller's arithmetic flushes now"
        finally:
            cyconv.set_flush_denormals(False)
        np.testing.assert_array_equal(got, np.where(x < 1, 0, x))
        np.testing.assert_array_equal(ops.conv(x, kernel), x)  # in every thread


def test_flush_denormals_takes_a_bool():
    with pytest.raises(TypeError, match="on must be a bool, received 1"):
        cyconv.set_flush_denormals(1)
    assert not plan.flush()
