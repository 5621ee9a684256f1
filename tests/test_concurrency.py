"""Python threads: they run while a kernel does, and may share layers and plans."""

import sys
import threading
import time

import numpy as np
import pytest
from strategies import OPS, make

import cyconv
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


def in_threads(*calls):
    """Run functions at once, each in a thread, switched often; return the errors."""
    errors = []
    start = threading.Barrier(len(calls))

    def work(call):
        try:
            start.wait()
            call()
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=work, args=(call,)) for call in calls]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(before)
    return errors


MADE = {
    "layer": lambda: layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
    "layer, activation apart": lambda: layers.Conv2D(6, 3, padding="same", activation="tanh"),
    "model": lambda: cyconv.Sequential(
        [layers.Conv2D(6, 3, padding="same"), cyconv.Sequential([layers.DepthwiseConv2D(3), layers.Conv2D(3, 1)])]
    ),
}
made = pytest.mark.parametrize("kind", MADE)
INPUTS = [np.random.default_rng(n).standard_normal((1 + n % 2, 8 + n, 9, 5), np.float32) for n in range(6)]


@made
def test_the_first_call_is_made_by_many_threads(kind):
    """With inputs of different shapes, some with `out`: one set of weights is made, and every plan is right."""
    for _ in range(20):
        layer = MADE[kind]()
        shapes = [layer.compute_output_shape(x.shape) for x in INPUTS] if kind != "model" else [None] * len(INPUTS)
        got = [None] * len(INPUTS)

        def call(n, layer=layer, got=got, shapes=shapes):
            out = np.empty(shapes[n], np.float32) if shapes[n] and n % 2 else None
            got[n] = layer(INPUTS[n], out=out)
            assert out is None or got[n] is out

        assert not in_threads(*(lambda n=n: call(n) for n in range(len(INPUTS))))
        for x, y in zip(INPUTS, got):
            np.testing.assert_array_equal(y, layer(x))


def set_all(layer, weights):
    layer.set_weights(weights)


def assign_kernel(layer, weights):
    layer.kernel = weights[0]


def constrain(layer, weights):
    """Replaced by what the constraint makes of them: the sets differ in a factor that it removes, and are kept."""
    layer.set_weights(weights)
    layer.apply_constraints()


REPLACED = {
    "set_weights of a layer": (MADE["layer, activation apart"], set_all),
    "set_weights of a model": (MADE["model"], set_all),
    "kernel": (lambda: layers.Conv2D(6, 3), assign_kernel),
    "apply_constraints": (
        lambda: cyconv.Sequential(
            [layers.Conv2D(6, 3, kernel_constraint="non_neg", bias_constraint="non_neg"), layers.Conv2D(2, 1)]
        ),
        constrain,
    ),
}


@pytest.mark.parametrize("how", REPLACED)
def test_weights_replaced_while_plans_are_made(how):
    """Calls of more shapes than a layer keeps plans for: each is of one set of weights or of another, never a mix."""
    make_layer, replace = REPLACED[how]
    layer = make_layer()
    memory = np.random.default_rng(0).standard_normal((1, 40, 9, 5), np.float32)
    inputs = [memory[:, :n] for n in range(6, 40, 2)]
    layer(inputs[0])
    rng = np.random.default_rng(1)
    sets = [[rng.standard_normal(w.shape, np.float32) for w in layer.weights] for _ in range(3)]
    allowed = []
    for weights in sets:
        layer.set_weights(weights)
        states = [weights]
        if replace is constrain:
            layer.apply_constraints()
            states.append(layer.get_weights())
        if replace is assign_kernel:
            states = [[weights[0], np.zeros_like(weights[1])]]
        for state in states:
            layer.set_weights(state)
            allowed.append([layer(x).tobytes() for x in inputs])
    done = threading.Event()
    calls = [0, 0]
    seen = set()

    def call(thread):
        try:
            while not done.is_set():
                n = calls[thread] % len(inputs)
                got = layer(inputs[n]).tobytes()
                which = [i for i, answers in enumerate(allowed) if answers[n] == got]
                assert which, f"a mix of weights in call {calls[thread]}"
                seen.update(which)
                calls[thread] += 1
        finally:
            done.set()

    def swap():
        """Until there was time to meet, however slow the machine: every input twice in each thread, several sets."""
        try:
            least = time.monotonic() + 1
            n = 0
            while not done.is_set():
                replace(layer, sets[n % len(sets)])
                n += 1
                met = n >= 100 and min(calls) >= 2 * len(inputs) and len(seen) > 1
                if met and time.monotonic() > least:
                    return
        finally:
            done.set()

    if replace is assign_kernel:
        layer.set_weights([sets[0][0], np.zeros_like(sets[0][1])])
    assert not in_threads(lambda: call(0), lambda: call(1), swap)
