"""Threads and configuration: what may be set, where defaults come from, what a forked child does."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

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
    env = {k: v for k, v in os.environ.items() if k not in ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS", "CYCONV_ISA")}
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_computes():
    cyconv.set_num_threads(2)
    expected = ops.conv(BIG, KERNEL)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for threads that are gone ends here
        os._exit(0 if np.array_equal(ops.conv(BIG, KERNEL), expected) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
