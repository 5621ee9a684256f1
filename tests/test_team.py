"""The team of threads that wait for calls: asleep, short of threads, or left to OpenMP.

Calls at once, of which one has it, are in test_concurrency.py.
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from strategies import make

from cyconv import layers, plan

pytestmark = pytest.mark.skipif(not plan.OPENMP, reason="built without OpenMP")

CASE = ("conv", (1, 40, 40, 16), (3, 3, 16, 32))
# The answer of a process of its own, with one thread and with more.
PROGRAM = """
import sys
import numpy as np, cyconv
from cyconv import ops
x = np.random.default_rng(0).standard_normal((1, 64, 64, 32), np.float32)
kernel = np.random.default_rng(1).standard_normal((3, 3, 32, 32), np.float32)
cyconv.set_num_threads(1)
want = ops.conv(x, kernel)
{before}
cyconv.set_num_threads(4)
for _ in range(100):
    assert (ops.conv(x, kernel) == want).all()
{after}
"""


def run(before="", after="", **environment):
    code = PROGRAM.format(before=before, after=after)
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_members_that_slept(set_num_threads):
    """Calls far apart find them asleep, calls of fewer threads leave some so."""
    case = make(*CASE)
    set_num_threads(1)
    want = case.run()
    for threads in (2, 7, 2, 3, 7) * 4:
        set_num_threads(threads)
        np.testing.assert_array_equal(case.run(), want)
        time.sleep(0.01)
        np.testing.assert_array_equal(case.run(), want)


@pytest.mark.parametrize(
    "layer", [layers.Conv2D(24, 3), layers.DepthwiseConv2D(3), layers.SeparableConv2D(24, 3)], ids=lambda la: la.name
)
def test_calls_that_differ_from_the_one_before(layer, set_num_threads):
    """One plan, arrays and views and numbers of threads in turns: each call's threads are told its own."""
    wide = np.random.default_rng(0).standard_normal((2, 40, 80, 32), np.float32)
    inputs = [wide[:, :, ::2], wide[:, :, :40].copy(), wide[:, :, 40:], wide[:, ::-1, :40]]
    set_num_threads(1)
    want = [layer(x) for x in inputs]
    for threads in (2, 3, 1, 2):
        set_num_threads(threads)
        for n in (0, 1, 1, 2, 3, 0):
            np.testing.assert_array_equal(layer(inputs[n]), want[n])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPUs are read from /proc")
@pytest.mark.parametrize(("bind", "bound"), [("false", 0), ("true", 4)])
def test_openmp_binds_its_threads(bind, bound):
    """Where it is to, they are those that compute: each of the four may use one CPU alone."""
    after = """
import os
count = lambda task: sum(
    line.startswith("Cpus_allowed:") and bin(int(line.split()[1].replace(",", ""), 16)).count("1")
    for line in open(f"/proc/self/task/{task}/status"))
print(sum(count(task) == 1 for task in os.listdir("/proc/self/task")))
"""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one CPU: all threads are bound to it")
    assert run(after=after, OMP_PROC_BIND=bind, OMP_PLACES="threads") == [str(bound)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited as Linux does")
def test_threads_that_cannot_be_started():
    """The call is then shared by those that can."""
    before = """
import os, resource
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**22, -1))
"""
    after = "print(len(os.listdir('/proc/self/task')) - started)"
    before += "started = len(os.listdir('/proc/self/task'))"
    assert int(run(before, after)[0]) < 3
