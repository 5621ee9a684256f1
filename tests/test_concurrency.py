"""Python threads: they run while a kernel does, and may share layers and plans."""

import threading
import time

import numpy as np
import pytest
from strategies import OPS, make

from cyconv import layers, ops

X = np.ones((1, 160, 160, 128), np.float32)  # 7.5 G multiply-adds: some 100 ms and more of one thread
KERNEL = np.ones((3, 3, 128, 256), np.float32)


def long_calls():
    layer = layers.Conv2D(256, 3, kernel_initializer="ones")
    layer.build(X.shape)
    plan = ops.plan("conv", X.shape, "float32", [KERNEL])
    return {"layer": lambda: layer(X), "plan": lambda: plan(X), "function": lambda: ops.conv(X, KERNEL)}


@pytest.mark.parametrize("what", ["layer", "plan", "function"])
def test_python_runs_while_a_kernel_does(what, set_num_threads):
    """Held through a kernel, the interpreter lock would keep this thread from noting the time inside of the call."""
    set_num_threads(1)
    call = long_calls()[what]
    call()
    times = {}

    def work():
        times["start"] = time.perf_counter()
        call()
        times["end"] = time.perf_counter()

    worker = threading.Thread(target=work)
    noted = []
    worker.start()
    while worker.is_alive():
        noted.append(time.perf_counter())
        time.sleep(0.001)
    length = times["end"] - times["start"]
    inside = [t for t in noted if 0.2 < (t - times["start"]) / length < 0.8]
    assert len(inside) >= 3, f"{len(inside)} of {len(noted)} times inside of a call of {length:.3f} s"


@pytest.mark.parametrize("op", OPS)
def test_one_plan_in_many_threads(op, set_num_threads):
    """Each thread with inputs and outputs of its own."""
    set_num_threads(2)
    shapes = {
        "conv": [(1, 20, 20, 8), (3, 3, 8, 16)],
        "pointwise_conv": [(1, 20, 20, 8), (1, 1, 8, 16)],
        "depthwise_conv": [(1, 20, 20, 8), (3, 3, 8, 2)],
        "separable_conv": [(1, 20, 20, 8), (3, 3, 8, 1), (1, 1, 8, 16)],
    }[op]
    case = make(op, *shapes)
    kind = {"pointwise_conv": "conv"}.get(op, op.removesuffix("_conv"))
    plan = ops.plan(kind, case.inputs.shape, "float32", case.kernels, case.bias)
    inputs = [case.inputs * np.float32(2**n) for n in range(8)]
    want = [plan(x) for x in inputs]
    wrong = []

    def call(n):
        out = np.empty_like(want[n])
        for _ in range(200):
            plan(inputs[n], out=out)
            if not (np.array_equal(out, want[n]) and np.array_equal(plan(inputs[n]), want[n])):
                wrong.append(n)
                return

    callers = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
