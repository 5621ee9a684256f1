"""The functions: values against the oracle, dtypes, `out`, activations, and every error of an argument."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, OPS, ORDERS, assert_close, at_offset, cases, check, make

from cyconv import ops

# One small case for each op and rank, in positional arguments of `make`.
SMALL = {
    "conv 1d": ("conv", (2, 12, 3), (4, 3, 5)),
    "conv 2d": ("conv", (2, 9, 8, 3), (3, 2, 3, 5)),
    "grouped": ("conv", (1, 9, 8, 6), (3, 3, 2, 9)),
    "depthwise 1d": ("depthwise_conv", (2, 12, 3), (4, 3, 2)),
    "depthwise 2d": ("depthwise_conv", (2, 9, 8, 17), (3, 3, 17, 1)),
    "pointwise 1d": ("pointwise_conv", (2, 12, 3), (3, 5)),
    "pointwise 2d": ("pointwise_conv", (2, 9, 8, 3), (1, 1, 3, 5)),
    "separable 1d": ("separable_conv", (2, 12, 3), (4, 3, 2), (1, 6, 5)),
    "separable 2d": ("separable_conv", (2, 9, 8, 3), (3, 3, 3, 1), (1, 1, 3, 5)),
}
small = pytest.mark.parametrize("row", SMALL.values(), ids=SMALL)


@given(case=cases())
def test_any_case(case):
    arrays = [case.inputs, *case.kernels] + ([] if case.bias is None else [case.bias])
    before = [a.tobytes() for a in arrays]
    check(case)
    assert [a.tobytes() for a in arrays] == before, f"{case}: an argument was changed"


@pytest.mark.parametrize("op", OPS)
@given(data=st.data())
def test_any_case_of_an_op(op, data):
    check(data.draw(cases(op)))


@small
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_orders(row, order, dtype):
    case = make(*row, dtype=dtype)
    case.inputs = ORDERS[order](case.inputs)
    want = check(case)
    case.kernels = tuple(map(ORDERS[order], case.kernels))
    case.bias = ORDERS[order](case.bias)
    got = check(case)
    if order != "broadcast":  # which changes the weights
        np.testing.assert_array_equal(got, want)


@small
def test_memory_order_does_not_change_a_bit(row):
    case = make(*row)
    want = case.run()
    plain = case.inputs
    for order, lay_out in ORDERS.items():
        if order != "broadcast":
            case.inputs = lay_out(plain)
            np.testing.assert_array_equal(case.run(), want, err_msg=order)


@pytest.mark.parametrize("data_format", [None, "channels_last", "CHANNELS_FIRST"])
@pytest.mark.parametrize("padding", ["VALID", "Same", 1, (1, 2), [(1, 2)], np.int64(1)])
def test_spellings(data_format, padding):
    case = make("conv", (2, 9, 9), (3, 9, 4))
    got = ops.conv(case.inputs, case.kernels[0], np.int8(2), padding, data_format, [1])
    pads = {(1, 2): [(1, 2)], np.int64(1): 1}.get(padding, padding) if not isinstance(padding, list) else padding
    case.options = {
        "strides": 2,
        "padding": pads.lower() if isinstance(pads, str) else pads,
        "data_format": data_format and data_format.lower(),
    }
    case.bias = None
    assert_close(got, case, case.want(), case.magnitude)


def test_positional_arguments():
    case = make("conv", (2, 3, 9, 9), (3, 3, 3, 4), bias=False)
    case.options = dict(zip(("strides", "padding", "data_format", "dilation_rate"), (2, "same", "channels_first", 2)))
    np.testing.assert_array_equal(ops.conv(case.inputs, *case.kernels, 2, "same", "channels_first", 2), check(case))


def test_list_inputs():
    got = ops.conv([[[1.0], [2.0], [3.0]]], [[[1.0]], [[10.0]]])
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [[[21.0], [32.0]]])


@small
def test_result_is_new_and_contiguous(row):
    case = make(*row)
    got, again = case.run(), case.run()
    assert got.flags.c_contiguous
    assert got.flags.writeable
    assert got.flags.owndata
    assert not np.shares_memory(got, again)


# -- dtypes


@pytest.mark.parametrize(
    ("inputs", "kernel", "want"),
    [
        (np.float32, np.float32, np.float32),
        (np.float64, np.float64, np.float64),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.uint8, np.float32, np.float32),
        (np.int16, np.float32, np.float32),
        (np.int32, np.float32, np.float64),
        (np.uint8, np.float64, np.float64),
    ],
)
@pytest.mark.parametrize("op", OPS)
def test_promotion(op, inputs, kernel, want):
    row = next(row for row in SMALL.values() if row[0] == op)
    case = make(*row, dtype=kernel, bias=False)
    case.inputs = (case.inputs * 30).astype(inputs)
    got = check(case)
    assert got.dtype == want


@small
@pytest.mark.parametrize("dtype", [bool, np.complex64, np.complex128, object, "U3", "M8[s]"])
def test_dtypes_refused(row, dtype):
    case = make(*row, bias=False)
    for name, arrays in (
        ("inputs", (np.zeros(case.inputs.shape, dtype), *case.kernels)),
        ("kernel", (case.inputs, *(np.zeros(k.shape, dtype) for k in case.kernels))),
    ):
        with pytest.raises(TypeError, match=name):
            getattr(ops, case.op)(*arrays)


@small
@pytest.mark.parametrize("dtype", [bool, np.complex64, object])
def test_bias_dtypes_refused(row, dtype):
    case = make(*row)
    case.bias = np.zeros(case.bias.shape, dtype)
    with pytest.raises(TypeError, match="bias"):
        case.run()


@pytest.mark.parametrize("value", [None, "image.png", object(), {}, 3.0, np.float32(1)])
def test_no_arrays_refused(value):
    with pytest.raises((TypeError, ValueError), match="inputs"):
        ops.conv(value, np.ones((3, 1, 1), np.float32))
    with pytest.raises((TypeError, ValueError), match="kernel"):
        ops.conv(np.ones((1, 9, 1), np.float32), value)


# -- separable, activations, NaN


@given(case=cases("separable_conv"))
def test_separable_is_depthwise_then_pointwise_bit_for_bit(case):
    depthwise, pointwise = case.kernels
    middle = ops.depthwise_conv(case.inputs, depthwise, **case.options)
    want = ops.pointwise_conv(middle, pointwise, case.options["data_format"], bias=case.bias)
    np.testing.assert_array_equal(case.run(), want)


FUSED = {
    None: lambda y: y,
    "linear": lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "relu6": lambda y: np.clip(y, 0, 6),
    "leaky_relu": lambda y: np.where(y < 0, y * y.dtype.type(0.2), y),
}


@small
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", FUSED)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_activation_is_applied_after_the_sum(row, dtype, activation, data_format):
    case = make(*row, dtype=dtype)
    case.inputs *= 3  # some sums are above 6
    case.options["data_format"] = data_format
    if data_format == "channels_first":
        case.inputs = np.moveaxis(case.inputs, -1, 1)
    np.testing.assert_array_equal(case.run(activation=activation), FUSED[activation](case.run()))


@pytest.mark.parametrize("activation", ["silu", "sigmoid", "tanh", "gelu", "softmax", "elu", "celu", "squareplus"])
@small
def test_other_activations(row, activation):
    from cyconv import activations

    case = make(*row)
    want = activations.get(activation)(case.run())
    np.testing.assert_array_equal(case.run(activation=activation), want)


def test_activation_may_be_a_function():
    case = make(*SMALL["conv 2d"])
    np.testing.assert_array_equal(case.run(activation=np.abs), np.abs(case.run()))


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu"])
def test_nan_passes_through_an_activation(activation):
    case = make("conv", (1, 5, 1), (1, 1, 17), bias=False)
    case.inputs[0, 2] = np.nan
    got = case.run(activation=activation)
    np.testing.assert_array_equal(np.isnan(got), np.arange(5)[None, :, None].repeat(17, -1) == 2)


# -- out


@given(case=cases())
def test_out(case):
    want = case.run()
    out = np.full(want.shape, np.nan, want.dtype)
    assert case.run(out=out) is out
    np.testing.assert_array_equal(out, want)


@small
@pytest.mark.parametrize("activation", [None, "relu", "silu"])
def test_out_with_activation(row, activation):
    case = make(*row)
    want = case.run(activation=activation)
    out = np.full(want.shape, np.nan, want.dtype)
    assert case.run(out=out, activation=activation) is out
    np.testing.assert_array_equal(out, want)


def with_order(shape, dtype, axes):
    return np.empty([shape[a] for a in axes], dtype).transpose(np.argsort(axes))


BAD_OUTS = {
    "shape": (lambda y: np.zeros((*y.shape[:-1], y.shape[-1] + 1), y.dtype), ValueError, r"\(\d.* received"),
    "fewer axes": (lambda y: np.zeros(y.size, y.dtype), ValueError, "received"),
    "float64": (
        lambda y: np.zeros(y.shape, np.float64),
        (TypeError, ValueError),
        "float32.*received.*float64",
    ),
    "int32": (lambda y: np.zeros(y.shape, np.int32), (TypeError, ValueError), "float32.*received.*int32"),
    "byte-swapped": (
        lambda y: np.zeros(y.shape, y.dtype.newbyteorder()),
        (TypeError, ValueError),
        "received",
    ),
    "F order": (lambda y: np.zeros(y.shape, y.dtype, "F"), ValueError, "received"),
    "sliced": (
        lambda y: np.zeros((*y.shape[:-1], 2 * y.shape[-1]), y.dtype)[..., ::2],
        ValueError,
        "received",
    ),
    "read-only": (lambda y: ORDERS["read-only"](np.zeros_like(y)), ValueError, "received"),
    "misaligned": (lambda y: ORDERS["misaligned"](np.zeros_like(y)), ValueError, "received"),
    "list": (lambda y: y.tolist(), TypeError, "received"),
    "string": (lambda y: "out", TypeError, "received"),
}


@small
@pytest.mark.parametrize("bad", BAD_OUTS)
def test_out_refused(row, bad):
    case = make(*row)
    make_out, error, message = BAD_OUTS[bad]
    out = make_out(case.run())
    before = np.array(out)
    with pytest.raises(error, match=f"(?s)out must.*{message}"):
        case.run(out=out)
    np.testing.assert_array_equal(np.array(out), before)


@pytest.mark.parametrize("order", ["C", "sliced channels", "misaligned", "byte-swapped"])
def test_out_that_overlaps_inputs_refused(order):
    """Also where the inputs are copied before the kernel sees them."""
    case = make("conv", (1, 9, 4), (1, 4, 4))
    memory = np.zeros(4 * 9 * 4 * 2 + 8, np.uint8)
    offset = 1 if order == "misaligned" else 0
    dtype = np.dtype(">f4" if order == "byte-swapped" else "f4")
    inputs = memory[offset : offset + 288].view(dtype).reshape(1, 9, 8)
    inputs = inputs[..., ::2] if order == "sliced channels" else inputs[..., :4]
    out = memory[4:148].view(np.float32).reshape(1, 9, 4)
    with pytest.raises(ValueError, match="out must not overlap inputs"):
        ops.conv(inputs, case.kernels[0], out=out)


@pytest.mark.parametrize("which", ["kernel", "bias"])
def test_out_that_overlaps_weights(which):
    """Refused, or computed as if they did not overlap: never a mixture."""
    case = make("conv", (1, 4, 4), (1, 4, 4))
    want = case.run()
    out = np.zeros((1, 4, 4), np.float32)
    if which == "kernel":
        out[...] = case.kernels[0]
        case.kernels = (out.reshape(1, 4, 4),)
    else:
        out[0, 0] = case.bias
        case.bias = out[0, 0]
    before = out.copy()
    try:
        got = case.run(out=out)
    except ValueError as error:
        assert f"overlap {which}" in str(error)  # noqa: PT017
        np.testing.assert_array_equal(out, before)
    else:
        np.testing.assert_array_equal(got, want)


def test_failed_call_leaves_out_alone():
    case = make("conv", (1, 9, 3), (3, 3, 4))
    out = np.full((1, 7, 4), 7.0, np.float32)
    for wrong in (
        {"strides": 0},
        {"padding": "full"},
        {"data_format": "NWC"},
        {"dilation_rate": 5},
        {"activation": "rectify"},
        {"bias": np.ones(3, np.float32)},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the messages are tested below
            ops.conv(case.inputs, case.kernels[0], **wrong, out=out)
        assert (out == 7).all()


# -- errors: each names the argument, what was expected and what was received

x1, k1 = np.ones((1, 9, 4), np.float32), np.ones((3, 4, 6), np.float32)
x2, k2 = np.ones((1, 9, 9, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)
p1, d1 = np.ones((1, 8, 5), np.float32), np.ones((3, 4, 2), np.float32)


@pytest.mark.parametrize(
    ("op", "arrays", "options", "error", "message"),
    [
        ("conv", (x1[0], k1), {}, ValueError, r"inputs must have 3 or 4 axes.*received 2.*\(9, 4\)"),
        ("conv", (x2[None], k2), {}, ValueError, "inputs must have 3 or 4 axes.*received 5"),
        ("conv", (x1, k2), {}, ValueError, "kernel must have 3 axes.*received 4"),
        ("conv", (x1, k1[:, :3]), {}, ValueError, "received 4.*and 3"),
        ("conv", (x1, k1[:, :2, :5]), {}, ValueError, "filters.*5.*2 groups"),
        ("conv", (x1, k1[:0]), {}, ValueError, "kernel"),
        ("conv", (x1[:, :2], k1), {}, ValueError, "window of 3.*input size of 2"),
        ("conv", (x1, k1), {"strides": 0}, ValueError, "strides must be at least 1, received 0"),
        (
            "conv",
            (x1, k1),
            {"strides": (1, 2)},
            ValueError,
            r"strides must be an int, received 2 values: \(1, 2\)",
        ),
        ("conv", (x1, k1), {"strides": 1.0}, TypeError, "strides must be an int, received 1.0"),
        ("conv", (x1, k1), {"strides": True}, TypeError, "strides must be an int, received True"),
        ("conv", (x1, k1), {"strides": None}, TypeError, "strides must be an int, received None"),
        ("conv", (x1, k1), {"dilation_rate": 0}, ValueError, "dilation_rate must be at least 1, received 0"),
        ("conv", (x1, k1), {"dilation_rate": "2"}, TypeError, "dilation_rate must be an int, received '2'"),
        (
            "conv",
            (x1, k1),
            {"padding": "full"},
            ValueError,
            "padding must be 'valid', 'same', 'causal'.*received 'full'",
        ),
        (
            "conv",
            (x2, k2),
            {"padding": "causal"},
            ValueError,
            "padding 'causal' is defined for one spatial axis only",
        ),
        ("conv", (x1, k1), {"padding": -1}, ValueError, "padding must be at least 0, received -1"),
        (
            "conv",
            (x1, k1),
            {"data_format": "NWC"},
            ValueError,
            "data_format must be.*'channels_last'.*received 'NWC'",
        ),
        ("conv", (x1, k1), {"data_format": 3}, TypeError, "data_format must be.*received 3"),
        ("conv", (x1, k1), {"bias": np.ones(5)}, ValueError, r"bias must.*6.*received.*\(5,\)"),
        ("conv", (x1, k1), {"bias": np.ones((1, 6))}, ValueError, r"bias must.*received.*\(1, 6\)"),
        ("conv", (x1, k1), {"bias": "six"}, TypeError, "bias must.*received"),
        (
            "conv",
            (x1, k1),
            {"activation": "rectify"},
            ValueError,
            "activation must.*'relu'.*received 'rectify'",
        ),
        ("conv", (x1, k1), {"activation": 3}, (TypeError, ValueError), "activation must.*received 3"),
        ("depthwise_conv", (x1, d1[:, :3]), {}, ValueError, "received 3 in kernel and 4 in inputs"),
        ("depthwise_conv", (x1, k2), {}, ValueError, "kernel must have 3 axes"),
        ("depthwise_conv", (x1, d1), {"bias": np.ones(4)}, ValueError, r"bias must.*8.*received.*\(4,\)"),
        ("pointwise_conv", (x1, p1), {}, ValueError, "received 4 .*8"),
        ("pointwise_conv", (x1, p1[0, 0]), {}, ValueError, "kernel"),
        ("pointwise_conv", (x1, k1), {}, ValueError, "kernel.*received"),
        (
            "separable_conv",
            (x1, d1, p1[:, :7]),
            {},
            ValueError,
            "pointwise_kernel.*8.*7|pointwise_kernel.*7.*8",
        ),
        (
            "separable_conv",
            (x1, d1[:, :3], p1),
            {},
            ValueError,
            "depthwise_kernel.*3.*4|depthwise_kernel.*4.*3",
        ),
        ("separable_conv", (x1, d1, k1), {}, ValueError, "pointwise_kernel"),
        ("separable_conv", (x1, d1, p1), {"bias": np.ones(8)}, ValueError, r"bias must.*5.*received.*\(8,\)"),
    ],
)
def test_errors(op, arrays, options, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        getattr(ops, op)(*arrays, **options)


def test_depth_of_a_separable_kernel_is_not_taken_for_groups():
    """A pointwise step has one group: 8 channels in, so a kernel of 4 is an error, not two groups."""
    with pytest.raises(ValueError, match="pointwise_kernel"):
        ops.separable_conv(x1, d1, p1[:, :4, :4])
    with pytest.raises(ValueError, match="kernel"):
        ops.pointwise_conv(np.ones((1, 3, 8), np.float32), p1[0, :4, :4])


def test_sizes_that_overflow():
    inputs = np.broadcast_to(np.float32(0), (2**20, 2**20, 2**15))
    with pytest.raises(ValueError, match=r"at most 2\*\*59 elements"):
        ops.conv(inputs, np.broadcast_to(np.float32(0), (1, 2**15, 2**22)))


@small
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_batch_of_nothing(row, data_format):
    case = make(*row)
    shape = case.run().shape
    case.inputs = case.inputs[:0]
    if data_format == "channels_first":
        case.inputs = np.moveaxis(case.inputs, -1, 1)
        shape = (shape[0], shape[-1], *shape[1:-1])
    got = case.run(data_format=data_format)
    assert got.shape == (0, *shape[1:])
    assert got.dtype == np.float32
    out = np.empty_like(got)
    assert case.run(data_format=data_format, out=out) is out


@pytest.mark.parametrize("offset", [0, 16, 32, 48])
def test_results_lie_on_a_cache_line_or_where_the_input_does_if_vectors_begin_there(offset):
    x = at_offset(np.ones((1, 9, 9, 272), np.float32), offset)
    y = ops.depthwise_conv(x, np.ones((2, 2, 272, 1), np.float32), strides=2)
    assert y.nbytes > 8192
    assert y.ctypes.data % 64 == offset
    assert ops.conv(x, np.ones((1, 1, 272, 64), np.float32)).ctypes.data % 64 == 0


@pytest.mark.parametrize("filters", [1, 2, 3, 100])  # results of 4, 8, 12 and 400 KiB
def test_results_are_ordinary_arrays_and_large_ones_lie_apart_from_their_input(filters):
    x = np.ones((1, 32, 32, 3), np.float32)
    core = np._core if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else np.core
    handler = core.multiarray.get_handler_name
    before = handler()
    y = ops.conv(x, np.ones((1, 1, 3, filters), np.float32))
    assert handler() == before  # other arrays are NumPy's
    assert y.flags.owndata
    assert y.flags.carray
    if y.nbytes >= 8192:  # on a cache line, and at another place of a page
        assert y.ctypes.data % 64 == 0
        assert 128 <= (y.ctypes.data - x.ctypes.data) % 4096 <= 4096 - 128
    y.resize((3, 32, 32, filters), refcheck=False)  # grows in the memory of its own kind
    assert (y[0] == 3).all()
    assert (y[1:] == 0).all()
    y.resize((1, 32, 16, filters), refcheck=False)
    assert (y == 3).all()
