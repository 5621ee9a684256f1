"""Windows of 3 x 3 and 1 x 3 with fewer products than taps: values, bits, and where they are not taken."""

from dataclasses import replace

import numpy as np
import pytest
from choices import dtypes, never, scheduled
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, ORDERS, check, make

import cyconv
from cyconv import layers, ops, plan

ALWAYS = {"LEAST_WEIGHTS": 1, "WINOGRAD_GAIN": 1e9}  # wherever there are such kernels
CHANNELS = (16, 17, 24, 31, 32, 33, 48, 65, 80)  # at least a vector of any instruction set
DIRECT = {"winograd": never}


@st.composite
def cases(draw):
    """Stride 1: any sizes, batches, dilations, padding, groups and layouts; sequences as images of one row."""
    high = draw(st.sampled_from([3, 3, 1]))
    groups = draw(st.sampled_from([1, 1, 2]))
    depth, filters = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from(CHANNELS)) * groups
    dilation_rate = draw(st.sampled_from([1, 1, 1, 2, 3, (1, 2), (4, 1)]))
    padding = draw(st.sampled_from(["same", "same", "valid", 1, ((0, 2), (3, 1))]))
    spans = np.array([high - 1, 2]) * dilation_rate
    size = [int(span) + draw(st.integers(1, 12 if high == 3 or axis == 0 else 60)) for axis, span in enumerate(spans)]
    shape = [draw(st.integers(0, 3)), *size, depth * groups]
    options = {"padding": padding, "dilation_rate": dilation_rate}
    case = make("conv", shape, (high, 3, depth, filters), dtype=draw(st.sampled_from(DTYPES)), bias=draw(st.booleans()))
    case.options = options
    return channels_first(case) if draw(st.booleans()) else case


def channels_first(case):
    """The same convolution of planes."""
    planes = np.ascontiguousarray(np.moveaxis(case.inputs, -1, 1))
    return replace(case, inputs=planes, options={**case.options, "data_format": "channels_first"})


def pixels_last(case, **more):
    """The result, channels last."""
    result = case.run(**more)
    return np.moveaxis(result, 1, -1) if "data_format" in case.options else result


@pytest.mark.usefixtures("isa")
@given(case=cases(), order=st.sampled_from(sorted(ORDERS)), threads=st.sampled_from([1, 2, 3]))
def test_values(case, order, threads):
    """Within the bound of the sums of all products, on random numbers, whatever the memory order."""
    case.inputs = ORDERS[order](case.inputs)
    with cyconv.limit_threads(threads), scheduled(**ALWAYS, SERIAL_FLOPS=10, LEAST_PART_FLOPS=10):
        check(case)


@pytest.mark.usefixtures("isa")
@given(case=cases(), activation=st.sampled_from([None, "relu", "relu6", "leaky_relu", "silu"]))
def test_no_choice_changes_a_bit(case, activation, set_num_threads):
    """Neither tiles worked on together, blocks, threads, strides of the input, layout, nor images of a batch."""
    if "data_format" in case.options:
        case = replace(case, inputs=np.ascontiguousarray(np.moveaxis(case.inputs, 1, -1)))
        del case.options["data_format"]
    results = []
    for choices in ({}, {"CACHE_BYTES": 1 << 12, "LEAST_TILES": 1}, {"CACHE_BYTES": 1 << 12, "LEAST_TILES": 7}):
        with scheduled(**ALWAYS, SERIAL_FLOPS=10, LEAST_PART_FLOPS=10, **choices):
            for threads in (1, 2, 5):
                set_num_threads(threads)
                strided = replace(case, inputs=ORDERS["F"](case.inputs))
                results += [pixels_last(c, activation=activation) for c in (case, strided, channels_first(case))]
            alone = [replace(case, inputs=image[np.newaxis]).run(activation=activation) for image in case.inputs]
            results.append(np.concatenate([*alone, results[0][:0]]))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@given(case=cases(), data=st.data())
def test_an_output_depends_on_its_window_alone(case, data):
    """Whatever the others become: other numbers, NaN or infinities."""
    values = data.draw(st.sampled_from([1e3, np.nan, np.inf, -np.inf, "largest"]))
    with scheduled(**ALWAYS):
        clean = case.run()
        if clean.size == 0:
            return
        at = data.draw(st.integers(0, case.inputs.size - 1))
        ones = replace(case, inputs=np.zeros_like(case.inputs), kernels=(np.ones_like(case.kernels[0]),), bias=None)
        ones.inputs.flat[at] = 1
        reached = ones.want() != 0
        case.inputs.flat[at] = np.finfo(case.dtype).max if values == "largest" else values
        got = case.run()
        np.testing.assert_array_equal(got[~reached], clean[~reached], err_msg=str(case))
        if values != 1e3:
            with scheduled(**DIRECT):
                want = case.run()
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=str(case))
            np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
def test_sums_that_overflow_on_the_way_are_those_of_the_products(dtype):
    """Differences of inputs, sums of weights, and four times a bias may be beyond the range where results are not."""
    largest = np.finfo(dtype).max
    case = make("conv", (1, 6, 7, 48), (3, 3, 48, 48), dtype=dtype, padding="same")
    with scheduled(**ALWAYS):
        for scale, array in (
            (largest, case.inputs),
            (largest, case.kernels[0]),
            (largest / 16, case.kernels[0]),
            (largest / 2, case.bias),
        ):
            before = array.copy()
            others = case.kernels[0] if array is case.inputs else case.inputs
            kept = others.copy()
            array[...] = np.sign(array) * dtype(scale)
            others *= dtype(2.0**-20)
            with np.errstate(over="ignore"):
                got = case.run()
            with scheduled(**DIRECT):
                want = case.run()
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
            np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])
            assert np.isfinite(got).any()
            array[...], others[...] = before, kept


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("where", ["kernel", "bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_take_all_products(dtype, where, value):
    """Sums and differences of infinite weights would be NaN."""
    case = make("conv", (2, 6, 7, 48), (3, 3, 48, 48), dtype=dtype, padding="same")
    (case.kernels[0] if where == "kernel" else case.bias).flat[40] = value
    with scheduled(**ALWAYS):
        got = case.run()
    with scheduled(**DIRECT):
        np.testing.assert_array_equal(got, case.run())


@pytest.mark.usefixtures("isa")
@dtypes
def test_whole_numbers_are_exact(dtype):
    case = make("conv", (2, 9, 12, 64), (3, 3, 64, 80), dtype=dtype, padding="same")
    for array in (case.inputs, case.kernels[0], case.bias):
        array[...] = np.round(4 * array)
    with scheduled(**ALWAYS):
        np.testing.assert_array_equal(case.run(), case.want())


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("channels", [32, 128, 512])
@pytest.mark.parametrize("positive", [False, True], ids=["normal", "relu"])
def test_errors_are_smaller_than_those_of_all_products(channels, positive):
    """On random numbers, in the root of their mean square, in float32."""
    case = make("conv", (1, 12, 12, channels), (3, 3, channels, 64))
    if positive:
        np.maximum(case.inputs, 0, out=case.inputs)
    want, errors = case.want(), []
    for choices in (ALWAYS, DIRECT):
        with scheduled(**choices):
            errors.append(np.sqrt(np.mean((case.run() - want) ** 2)))
    assert errors[0] < errors[1]


LAYERS = {  # input, kernel, options, whether
    "as many channels as filters": ((1, 28, 28, 64), (3, 3, 64, 64), {}, True),
    "one output, one tile": ((1, 3, 3, 64), (3, 3, 64, 64), {}, False),
    "one row: half of each tile is lost": ((1, 1, 99, 64), (3, 3, 64, 64), {"padding": "same"}, False),
    "padding in most windows": ((1, 28, 28, 64), (3, 3, 64, 64), {"padding": "same", "dilation_rate": 18}, False),
    "dilated": ((1, 28, 28, 64), (3, 3, 64, 64), {"padding": "same", "dilation_rate": 2}, True),
    "a stride": ((1, 28, 28, 64), (3, 3, 64, 64), {"strides": 2}, False),
    "another window": ((1, 28, 28, 64), (3, 5, 64, 64), {}, False),
    "sequence": ((1, 99, 128), (3, 128, 128), {}, True),
    "sequence, dilated and causal": ((1, 99, 128), (3, 128, 128), {"padding": "causal", "dilation_rate": 8}, True),
    "few channels": ((1, 28, 28, 3), (3, 3, 3, 64), {}, False),
    "few filters": ((1, 28, 28, 64), (3, 3, 64, 3), {}, False),
    "groups": ((1, 28, 28, 128), (3, 3, 64, 128), {}, True),
    "planes": ((1, 64, 28, 28), (3, 3, 64, 64), {"data_format": "channels_first"}, True),
}


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", LAYERS)
def test_where_they_are_taken(name):
    shape, kernel, options, taken = LAYERS[name]
    case = make("conv", shape, kernel, **options)
    results = []
    for choices in ({}, DIRECT):
        with scheduled(**choices):
            results.append(case.run())
    assert (results[0] != results[1]).any() == taken


def test_set_winograd_is_of_plans_from_then_on():
    """A layer keeps what it has made for a shape."""
    layer = layers.Conv2D(64, 3)
    x = np.random.default_rng(0).standard_normal((1, 9, 9, 64), np.float32)
    fast = layer(x)
    kernel, bias = layer.get_weights()
    cyconv.set_winograd(False)
    try:
        assert not plan.winograd()
        np.testing.assert_array_equal(layer(x), fast)
        direct = ops.conv(x, kernel, bias=bias)
        assert (direct != fast).any()
        np.testing.assert_array_equal(layer(x[:, :8]), direct[:, :6])  # sums of products: the same for any image
    finally:
        cyconv.set_winograd(True)
    np.testing.assert_array_equal(ops.conv(x, kernel, bias=bias), fast)


def test_set_winograd_takes_a_bool():
    with pytest.raises(TypeError, match="on must be a bool, received 0"):
        cyconv.set_winograd(0)
    assert plan.winograd()
