"""Arguments and shapes: what is normalised to what, and every error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import zeros_around
from strategies import cases, paddings

from cyconv.geometry import (
    MAX_ELEMENTS,
    as_data_format,
    as_ints,
    as_padding,
    axis_pads,
    geometry,
    output_size,
)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (None, "channels_last"),
        ("channels_last", "channels_last"),
        ("channels_first", "channels_first"),
        ("Channels_First", "channels_first"),
    ],
)
def test_data_format(value, want):
    assert as_data_format(value) == want


@pytest.mark.parametrize(
    ("value", "rank", "want"),
    [
        (3, 1, (3,)),
        (3, 2, (3, 3)),
        ((1, 2), 2, (1, 2)),
        ([1, 2], 2, (1, 2)),
        ((4,), 1, (4,)),
        (np.int8(3), 2, (3, 3)),
        ((np.int64(3), np.uint16(2)), 2, (3, 2)),
        (np.array([1, 2]), 2, (1, 2)),
        (np.array(5), 2, (5, 5)),
    ],
)
def test_ints(value, rank, want):
    got = as_ints(value, rank, "strides")
    assert got == want
    assert all(type(i) is int for i in got)


@pytest.mark.parametrize(
    ("value", "rank", "error", "message"),
    [
        (0, 2, ValueError, "strides must be at least 1, received 0"),
        ((1, -2), 2, ValueError, r"strides must be at least 1, received \(1, -2\)"),
        (2**60, 1, ValueError, r"strides must be at most 2\*\*59, received 1152921504606846976"),
        pytest.param(10**5000, 1, ValueError, r"strides must be at most 2\*\*59", id="5000 digits"),
        ((1, 2), 1, ValueError, r"strides must be an int, received 2 values: \(1, 2\)"),
        ((1,), 2, ValueError, r"strides must be an int or 2 ints, received 1 values: \(1,\)"),
        ((), 2, ValueError, "received 0 values"),
        (True, 2, TypeError, "strides must be an int or 2 ints, received True"),
        (np.True_, 2, TypeError, "strides must be an int or 2 ints, received"),
        ((1, True), 2, TypeError, r"received \(1, True\)"),
        (2.0, 1, TypeError, "strides must be an int, received 2.0"),
        ((1.0, 2), 2, TypeError, r"received \(1.0, 2\)"),
        (np.float32(2), 2, TypeError, "received"),
        (np.array([1.0, 2.0]), 2, TypeError, "received"),
        ("12", 2, TypeError, "received '12'"),
        (None, 2, TypeError, "received None"),
        ({1, 2}, 2, TypeError, r"received \{1, 2\}"),
        (((1, 2), (3, 4)), 2, TypeError, "received"),
        (np.ndarray, 2, TypeError, "received"),
        (object(), 2, TypeError, "received <object"),
    ],
)
def test_ints_refused(value, rank, error, message):
    with pytest.raises(error, match=message):
        as_ints(value, rank, "strides")


def test_ints_minimum():
    assert as_ints(0, 1, "padding", minimum=0) == (0,)


@pytest.mark.parametrize(
    ("value", "rank", "want"),
    [
        ("valid", 1, "valid"),
        ("SAME", 2, "same"),
        ("Causal", 1, "causal"),
        (0, 2, ((0, 0), (0, 0))),
        (2, 1, ((2, 2),)),
        (np.int32(2), 2, ((2, 2), (2, 2))),
        (((1, 2),), 1, ((1, 2),)),
        ((1, 2), 1, ((1, 2),)),
        ([1, 2], 1, ((1, 2),)),
        (((1, 2), (3, 0)), 2, ((1, 2), (3, 0))),
        ([[1, 2], [3, 0]], 2, ((1, 2), (3, 0))),
        (np.array([[1, 2], [3, 0]]), 2, ((1, 2), (3, 0))),
    ],
)
def test_padding(value, rank, want):
    assert as_padding(value, rank) == want


@pytest.mark.parametrize(
    ("value", "rank", "error", "message"),
    [
        ("full", 1, ValueError, "padding must be 'valid', 'same', 'causal', an int or .* received 'full'"),
        ("full", 2, ValueError, "padding must be 'valid', 'same', an int or 2 .* received 'full'"),
        ("causal", 2, ValueError, "padding 'causal' is defined for one spatial axis only"),
        (-1, 1, ValueError, "padding must be at least 0, received -1"),
        (
            ((0, 0), (0, -3)),
            2,
            ValueError,
            r"padding of spatial axis 1 must be at least 0, received \(0, -3\)",
        ),
        ((1, -1), 1, ValueError, r"padding of spatial axis 0 must be at least 0, received \(1, -1\)"),
        ((1, 2), 2, TypeError, r"padding must be .* received \(1, 2\)"),
        ((1,), 1, TypeError, r"padding must be .* received \(1,\)"),
        (((1, 2),), 2, ValueError, r"padding must be .* received \(\(1, 2\),\)"),
        (((1, 2), (3, 4)), 1, ValueError, "padding must be"),
        (((1, 2, 3), (3, 4, 5)), 2, ValueError, "padding of spatial axis 0 must be"),
        (True, 1, TypeError, "padding must be .* received True"),
        (1.0, 1, TypeError, "padding must be .* received 1.0"),
        (((1.0, 2),), 1, TypeError, "padding of spatial axis 0 must be"),
        (None, 1, TypeError, "padding must be .* received None"),
        (b"same", 1, TypeError, "padding must be .* received b'same'"),
    ],
)
def test_padding_refused(value, rank, error, message):
    with pytest.raises(error, match=message):
        as_padding(value, rank)


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation_rate", "padding", "pads", "want"),
    [
        (224, 7, 2, 1, "same", (2, 3), 112),
        (224, 3, 2, 1, "same", (0, 1), 112),
        (5, 3, 2, 1, "same", (1, 1), 3),
        (10, 3, 1, 2, "same", (2, 2), 10),
        (10, 4, 1, 1, "same", (1, 2), 10),
        (10, 1, 4, 1, "same", (0, 0), 3),  # ceil, and no negative padding
        (1, 9, 5, 3, "same", (12, 12), 1),
        (10, 3, 1, 1, "causal", (2, 0), 10),
        (10, 3, 2, 4, "causal", (8, 0), 5),
        (10, 3, 3, 1, "valid", (0, 0), 3),
        (10, 3, 1, 5, (1, 0), (1, 0), 1),
        (3, 31, 1, 1, (14, 14), (14, 14), 1),
    ],
)
def test_one_axis(size, window, stride, dilation_rate, padding, pads, want):
    assert axis_pads(size, window, stride, dilation_rate, padding) == pads
    assert output_size(size, window, stride, dilation_rate, padding) == want
    assert output_size(size, window, stride, dilation_rate, pads) == want


@given(
    size=st.integers(1, 60),
    window=st.integers(1, 7),
    stride=st.integers(1, 5),
    dilation_rate=st.integers(1, 4),
    padding=paddings(1),
)
def test_one_axis_against_counting(size, window, stride, dilation_rate, padding):
    """The output has one entry for each start from which the window stays inside the padded input."""
    before, after = zeros_around(size, window, stride, dilation_rate, padding, 0)
    (how,) = as_padding(padding, 1) if not isinstance(padding, str) else (padding,)
    assert axis_pads(size, window, stride, dilation_rate, how) == (before, after)
    starts = [
        start
        for start in range(0, before + size + after, stride)
        if start + (window - 1) * dilation_rate < before + size + after
    ]
    if starts:
        assert output_size(size, window, stride, dilation_rate, how) == len(starts)
    else:
        with pytest.raises(ValueError, match="larger than the padded input"):
            output_size(size, window, stride, dilation_rate, how)


def test_unknown_size_stays_unknown():
    assert output_size(None, 3, 2, 1, "same") is None


def test_one_axis_is_two_with_height_one():
    g = geometry("conv", (2, 10, 6), (4, 3, 8), strides=2, padding=(1, 2), dilation_rate=3)
    assert (g.rank, g.channels_first, g.batch, g.size, g.channels) == (1, False, 2, (1, 10), 6)
    assert (g.window, g.strides, g.dilation_rate, g.pads) == ((1, 4), (1, 2), (1, 3), ((0, 0), (1, 2)))
    assert (g.groups, g.filters, g.output_size) == (2, 8, (1, 2))
    assert (g.input_shape, g.kernel_shape, g.output_shape) == ((2, 10, 6), (4, 3, 8), (2, 2, 8))
    assert g.flops == 2 * (2 * 2 * 8) * (4 * 3)


def test_channels_first():
    g = geometry("conv", (1, 3, 20, 30), (5, 3, 3, 16), (2, 3), "same", "channels_first")
    assert (g.size, g.channels, g.pads) == ((20, 30), 3, ((1, 2), (0, 0)))
    assert (g.input_shape, g.output_shape) == ((1, 3, 20, 30), (1, 16, 10, 10))


def test_depthwise_is_grouped():
    g = geometry("depthwise", (1, 9, 9, 5), (3, 3, 5, 2))
    assert (g.channels, g.groups, g.filters, g.kernel_shape) == (5, 5, 10, (3, 3, 1, 10))
    assert g.output_shape == (1, 7, 7, 10)


def test_sizes_are_python_ints():
    shape = tuple(np.array([1, 8, 8, 3]))
    g = geometry("conv", shape, tuple(np.array([3, 3, 3, 4])), np.int64(2), np.int8(1))
    sizes = (g.batch, *g.size, g.channels, *g.window, *g.strides, *g.dilation_rate, *g.pads[0], g.filters)
    assert all(type(i) is int for i in sizes)


def test_same_arguments_are_equal_and_hash_equal():
    one = geometry("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, "same")
    other = geometry("conv", [1, 8, 8, 3], [3, 3, 3, 4], (1, 1), ((1, 1), (1, 1)), "channels_last", [1, 1])
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(AttributeError):
        one.batch = 2


def test_arguments_without_effect_are_made_small():
    """But strides no smaller than the window: what depends on them is the same for all images."""
    g = geometry("conv", (1, 9, 3), (1, 3, 4), strides=2**50, dilation_rate=2**50)
    assert (g.strides, g.dilation_rate, g.output_size) == ((1, 9), (1, 1), (1, 1))
    g = geometry("conv", (1, 9, 3), (4, 3, 4), strides=7, dilation_rate=2)
    assert (g.strides, g.output_size) == ((1, 4), (1, 1))


@given(case=cases())
def test_output_shape_is_the_references(case):
    kernel = case.kernels[0]
    if case.op == "pointwise_conv":
        kernel = kernel.reshape(*(1,) * (case.inputs.ndim - 2), *kernel.shape[-2:])
    op = "depthwise" if case.op in ("depthwise_conv", "separable_conv") else "conv"
    g = geometry(op, case.inputs.shape, kernel.shape, **case.options)
    want = list(case.want().shape)
    if case.op == "separable_conv":
        want[1 if g.channels_first else -1] = g.filters
    assert list(g.output_shape) == want
    assert g.input_shape == case.inputs.shape


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("conv", (10, 3), (3, 3, 4)),
            ValueError,
            r"inputs must have 3 or 4 axes .* received 2: shape \(10, 3\)",
        ),
        (
            ("conv", (1, 2, 3, 4, 5), (1, 1, 1, 5, 6)),
            ValueError,
            "inputs must have 3 or 4 axes .* received 5",
        ),
        (("conv", (1, 10, 3), (3, 3, 3, 4)), ValueError, "kernel must have 3 axes .* received 4"),
        (("depthwise", (1, 9, 9, 3), (3, 3, 4)), ValueError, "kernel must have 4 axes .* received 3"),
        (("conv", (1, 10, 3), (3, 5, 4)), ValueError, "received 3 in inputs and 5 in kernel"),
        (("conv", (1, 10, 6), (3, 4, 4)), ValueError, "received 6 in inputs and 4 in kernel"),
        (
            ("conv", (1, 10, 6), (3, 2, 4)),
            ValueError,
            "filters must be divisible by groups, received 4 .* 3 groups",
        ),
        (("depthwise", (1, 10, 6), (3, 5, 1)), ValueError, "received 5 in kernel and 6 in inputs"),
        (
            ("conv", (1, 10, 0), (3, 0, 4)),
            ValueError,
            r"inputs must have at least one .* received shape \(1, 10, 0\)",
        ),
        (("conv", (1, 0, 3), (3, 3, 4)), ValueError, "inputs must have at least one"),
        (
            ("conv", (1, 10, 3), (0, 3, 4)),
            ValueError,
            r"shape of kernel must be at least 1, received \(0, 3, 4\)",
        ),
        (("conv", (1, 10, 3), (3, 3, 0)), ValueError, "shape of kernel must be at least 1"),
        (("conv", (-1, 10, 3), (3, 3, 4)), ValueError, "shape of inputs must be at least 0"),
        (("conv", (1, None, 3), (3, 3, 4)), TypeError, "shape of inputs must be"),
        (("conv", (1, 10.0, 3), (3, 3, 4)), TypeError, "shape of inputs must be"),
        (("conv", (1, 3, 3), (4, 3, 4)), ValueError, "window of 4 .* input size of 3 padded by"),
        (
            ("conv", (1, 6, 3), (3, 3, 4), 1, 1, None, 4),
            ValueError,
            r"spans 9\) over an input size of 6 padded by \(1, 1\)",
        ),
        (("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, "causal"), ValueError, "padding 'causal'"),
        (("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, "full"), ValueError, "padding must be 'valid', 'same'"),
        (("conv", (1, 8, 8, 3), (3, 3, 3, 4), 0), ValueError, "strides must be at least 1, received 0"),
        (
            ("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1.5),
            TypeError,
            "strides must be an int or 2 ints, received 1.5",
        ),
        (
            ("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, 0, None, -1),
            ValueError,
            "dilation_rate must be at least 1",
        ),
        (
            ("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, 0, "NHWC"),
            ValueError,
            "'channels_last' or 'channels_first', .*'NHWC'",
        ),
        (("conv", (1, 8, 8, 3), (3, 3, 3, 4), 1, 0, 1), TypeError, "data_format must be .* received 1"),
        (
            ("dense", (1, 8, 8, 3), (3, 3, 3, 4)),
            ValueError,
            "op must be 'conv' or 'depthwise', received 'dense'",
        ),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        geometry(*arguments)


@pytest.mark.parametrize(
    ("input_shape", "kernel_shape", "options", "name"),
    [
        ((2**30, 2**30, 3), (1, 3, 3), {}, "padded inputs"),
        ((0, 2**30, 2**30, 3), (1, 1, 3, 3), {}, "padded inputs"),
        ((1, 5, 3), (2, 3, 4), {"padding": 2**59}, "padded inputs"),
        ((1, 5, 3), (3, 3, 4), {"padding": "same", "dilation_rate": 2**59}, "padded inputs"),
        ((1, 5, 2**30), (1, 2**30, 2**30), {}, "kernel"),
        ((2**30, 5, 1), (1, 1, 2**30), {}, "output"),
    ],
)
def test_sizes_that_overflow(input_shape, kernel_shape, options, name):
    with pytest.raises(ValueError, match=rf"{name} must have at most 2\*\*59 elements, received sizes"):
        geometry("conv", input_shape, kernel_shape, **options)


def test_messages_use_the_callers_name_of_the_kernel():
    with pytest.raises(ValueError, match=r"depthwise_kernel must have .* received 4 in depthwise_kernel"):
        geometry("depthwise", (1, 9, 3), (3, 4, 1), kernel_name="depthwise_kernel")


def test_largest_sizes():
    g = geometry("conv", (2**29, 2**30, 1), (1, 1, 1))
    assert math.prod(g.output_shape) == MAX_ELEMENTS


def test_batch_of_nothing():
    g = geometry("conv", (0, 8, 8, 3), (3, 3, 3, 4))
    assert g.output_shape == (0, 6, 6, 4)
    assert g.flops == 0


@pytest.mark.parametrize("padding", ["same", 15, ((15, 15), (15, 15))])
def test_window_larger_than_the_image(padding):
    assert geometry("conv", (1, 2, 2, 1), (31, 31, 1, 1), padding=padding).output_size == (2, 2)
