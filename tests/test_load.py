"""Load: memory stays flat and values right over very many calls, from several threads, errors mixed in."""

import gc
import itertools
import os
import pickle
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from strategies import DTYPES, OPS, check, make

import cyconv
from cyconv import kernels, layers, ops

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")

SOAK_SECONDS = float(os.environ.get("CYCONV_SOAK_SECONDS", "20"))
MIB = 2**20


def resident():
    """Bytes of this process's memory that are in RAM."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(call, count, warm_up):
    """Resident bytes that `count` calls add after `warm_up` of them."""
    for _ in range(warm_up):
        call()
    before = resident()
    for _ in range(count):
        call()
    return resident() - before


# -- one thing, very often. A leak of one reference or of the smallest object is 16 bytes a call or more.


@pytest.mark.slow
def test_a_million_calls_of_a_layer():
    layer = layers.Conv1D(2, 4)
    x = np.ones((1, 10, 3), np.float32)
    assert growth(lambda: layer(x), 1_000_000, 1000) < 4 * MIB  # of 16 MB that the smallest leak would take


@pytest.mark.slow
def test_many_calls_of_a_function():
    x, kernel = np.ones((1, 10, 3), np.float32), np.ones((4, 3, 2), np.float32)
    assert growth(lambda: ops.conv(x, kernel), 250_000, 1000) < 2 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("call", ["layer", "ops.conv"])
def test_ever_changing_shapes(call):
    """Each call makes a plan that no call uses again: the caches of plans hold a limited number of them."""
    layer = layers.Conv1D(8, 3)
    kernel = np.ones((3, 8, 8), np.float32)
    sizes = iter(range(3, 100_000))
    memory = np.ones((1, 100_000, 8), np.float32)

    def run():
        x = memory[:, : next(sizes)]
        return layer(x) if call == "layer" else ops.conv(x, kernel)

    # A plan is some 3 KB: the 3000 that are made would take 9 MB. The last result is 0.1 MB.
    assert growth(run, 3000, 600) < 2 * MIB


def wrong_channels(layer, x):
    layer(np.ones((1, 10, 4), np.float32))


def wrong_rank(layer, x):
    layer(np.ones((10, 3), np.float32))


def wrong_dtype(layer, x):
    layer(np.ones((1, 10, 3), np.complex64))


def wrong_out(layer, x):
    layer(x, out=np.empty((1, 7, 3), np.float32))


def out_of_another_dtype(layer, x):
    layer(x, out=np.empty((1, 7, 2)))


def out_that_overlaps(layer, x):
    layer(x, out=x.ravel()[:14].reshape(1, 7, 2))


def window_too_large(layer, x):
    layer(x[:, :3])


def wrong_weights(layer, x):
    layer.set_weights([np.ones((4, 3, 2)), np.ones(3)])


def wrong_kernel_of_a_function(layer, x):
    ops.conv(x, np.ones((4, 5, 2), np.float32))


def unknown_padding(layer, x):
    ops.conv(x, np.ones((4, 3, 2), np.float32), padding="some")


def unknown_activation(layer, x):
    ops.conv(x, np.ones((4, 3, 2), np.float32), activation="some")


def wrong_bias(layer, x):
    ops.conv(x, np.ones((4, 3, 2), np.float32), bias=np.ones(3, np.float32))


ERRORS = (
    wrong_channels,
    wrong_rank,
    wrong_dtype,
    wrong_out,
    out_of_another_dtype,
    out_that_overlaps,
    window_too_large,
    wrong_weights,
    wrong_kernel_of_a_function,
    unknown_padding,
    unknown_activation,
    wrong_bias,
)


TRACED = 1000  # calls


def assert_keeps_nothing(call):
    """Assert that calls leave less than the smallest object behind for each.

    The first thousand fill the free lists of Python and NumPy, which keep some 400 small blocks. What leaks grows with
    every further thousand; a table of Python's that happens to be resized grows with one of them.
    """
    traced = []
    tracemalloc.start()
    try:
        for _ in range(4):
            for _ in range(TRACED):
                call()
            gc.collect()
            traced.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert min(b - a for a, b in itertools.pairwise(traced)) < TRACED * 16


@pytest.mark.parametrize("fails", ERRORS, ids=lambda fails: fails.__name__)
def test_errors_keep_nothing(fails):
    layer = layers.Conv1D(2, 4)
    x = np.ones((1, 10, 3), np.float32)
    layer(x)
    counts = sys.getrefcount(x), sys.getrefcount(layer)

    def call():
        with pytest.raises((TypeError, ValueError)):
            fails(layer, x)

    assert_keeps_nothing(call)
    assert (sys.getrefcount(x), sys.getrefcount(layer)) == counts


def test_pickling_keeps_nothing():
    layer = layers.SeparableConv2D(4, 3)
    x = np.ones((1, 6, 6, 3), np.float32)
    want = layer(x)

    def call():
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), want)

    assert_keeps_nothing(call)


def test_replacing_weights_keeps_nothing():
    layer = layers.Conv1D(2, 4)
    x = np.ones((1, 10, 3), np.float32)
    layer(x)
    weights = layer.get_weights()
    counts = [sys.getrefcount(array) for array in weights]

    def call():
        layer.set_weights(weights)
        layer.kernel = weights[0]
        layer(x)

    assert_keeps_nothing(call)
    assert [sys.getrefcount(array) for array in weights] == counts


# -- everything at once


def any_case(rng):
    """A random case of up to some 10,000 inputs."""
    op = rng.choice(OPS)
    rank = int(rng.integers(1, 3))
    size = [int(n) for n in rng.integers(9, 24, rank)]
    window = [int(n) for n in rng.integers(1, 4, rank)]
    groups = int(rng.choice([1, 1, 2, 3])) if op == "conv" else 1
    channels = groups * int(rng.choice([1, 2, 3, 4, 7, 8, 16, 17]))
    filters = groups * int(rng.choice([1, 2, 3, 5, 8, 16, 17, 33]))
    multiplier = int(rng.choice([1, 1, 2, 3]))
    first = bool(rng.integers(2))
    options = {"data_format": "channels_first" if first else "channels_last"}
    if op != "pointwise_conv":
        options["strides"] = tuple(int(n) for n in rng.integers(1, 4, rank))
        options["dilation_rate"] = tuple(int(n) for n in rng.integers(1, 4, rank))
        options["padding"] = str(rng.choice(["valid", "same", "causal"][: 4 - rank]))
    shapes = {
        "conv": [(*window, channels // groups, filters)],
        "pointwise_conv": [(channels, filters)],
        "depthwise_conv": [(*window, channels, multiplier)],
        "separable_conv": [(*window, channels, multiplier), (*[1] * rank, channels * multiplier, filters)],
    }[op]
    batch = int(rng.integers(1, 4))
    shape = (batch, channels, *size) if first else (batch, *size, channels)
    seed = int(rng.integers(2**32))
    return make(op, shape, *shapes, dtype=rng.choice(DTYPES), bias=bool(rng.integers(2)), seed=seed, **options)


class Shared:
    """A layer that all threads call and whose weights they change, with every right answer."""

    def __init__(self, kind, rank, dtype, *arguments):
        rng = np.random.default_rng(0)
        self.layer = kind(*arguments, dtype=dtype, activation="tanh")
        self.inputs = [rng.standard_normal((n, *(9 + 7 * n, 11)[:rank], 5)).astype(dtype) for n in range(1, 4)]
        self.layer.build(self.inputs[0].shape)
        self.weights = [[rng.standard_normal(w.shape).astype(dtype) for w in self.layer.weights] for _ in range(3)]
        self.layer.set_weights(self.weights[0])
        self.answers = [[self.fresh(w)(x) for w in self.weights] for x in self.inputs]

    def fresh(self, weights):
        layer = type(self.layer).from_config(self.layer.get_config())
        layer.build(self.inputs[0].shape)
        layer.set_weights(weights)
        return layer

    def call(self, rng):
        i = rng.integers(len(self.inputs))
        out = np.empty_like(self.answers[i][0]) if rng.integers(2) else None
        got = self.layer(self.inputs[i], out=out)
        assert any(np.array_equal(got, answer) for answer in self.answers[i]), f"{self.layer}: a mix of weights"

    def change(self, rng):
        self.layer.set_weights(self.weights[rng.integers(len(self.weights))])

    def copy(self, rng):
        pickle.loads(pickle.dumps(self.layer))(self.inputs[0])


def check_any_case(rng):
    check(any_case(rng))


def fail(rng):
    layer = layers.Conv1D(2, 4)
    x = np.ones((1, 10, 3), np.float32)
    layer(x)
    with pytest.raises((TypeError, ValueError)):
        ERRORS[rng.integers(len(ERRORS))](layer, x)


def change_threads(rng):
    cyconv.set_num_threads(int(rng.integers(1, 5)))


def soak(seconds, seed, threads=3):
    """Run random actions in several threads; return how many, and raise the first error of any thread."""
    shared = [
        Shared(layers.Conv1D, 1, "float32", 6, 3),
        Shared(layers.Conv2D, 2, "float64", 17, 3),
        Shared(layers.DepthwiseConv2D, 2, "float32", 3),
        Shared(layers.SeparableConv1D, 1, "float64", 8, 3),
        Shared(layers.SeparableConv2D, 2, "float32", 8, 3),
    ]
    end = time.monotonic() + seconds
    errors = []
    counts = [0] * threads

    def work(number):
        rng = np.random.default_rng([seed, number])
        try:
            while time.monotonic() < end and not errors:
                one = shared[rng.integers(len(shared))]
                actions = (check_any_case, one.call, one.call, one.call, one.change, one.copy, fail, change_threads)
                actions[rng.integers(len(actions))](rng)
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return sum(counts)


@pytest.mark.slow
@pytest.mark.timeout(SOAK_SECONDS + 300)
def test_soak(set_num_threads, record_property):
    """CYCONV_SOAK_SECONDS of everything; the first third fills caches, pools and the allocator's arenas.

    From then on memory may differ by 24 MiB: what the allocator keeps of the largest temporary arrays, a few
    hundred KB in each thread's arena, moves about that much from one moment to another. In ten minutes there are
    some 500,000 actions after the warm-up, so that a leak of 50 bytes an action fails.
    """
    isas = kernels.available()
    slices = 6 * len(isas)
    actions, memory = 0, []
    for number in range(slices):
        with kernels.using(isas[number % len(isas)]):
            actions += soak(SOAK_SECONDS / slices, number)
        memory.append(resident())
    warm = memory[slices // 3 - 1]
    said = f"{actions} actions in {SOAK_SECONDS:.0f} s; resident MiB: {[round(m / MIB, 1) for m in memory]}"
    print(said)
    record_property("soak", said)
    assert memory[-1] - warm < 24 * MIB, said
