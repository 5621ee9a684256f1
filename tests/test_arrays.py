"""Any array that NumPy can make or take: right answers, inputs left as they were, `out` apart from them."""

import numpy as np
import pytest
from layer_cases import LAYERS, every_layer, inputs_of
from layer_cases import make as make_layer
from strategies import OPS, ORDERS, at_offset, check, make

SHAPES = {
    "conv": [(1, 6, 8, 4), (3, 3, 4, 5)],
    "pointwise_conv": [(1, 6, 8, 4), (4, 5)],
    "depthwise_conv": [(1, 6, 8, 4), (3, 3, 4, 2)],
    "separable_conv": [(1, 6, 8, 4), (3, 3, 4, 1), (1, 1, 4, 5)],
}


class Sub(np.ndarray):
    """A subclass with arithmetic of its own, which must not be met."""

    def __mul__(self, other):
        raise AssertionError("a kernel computes on the values")


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class WithDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def memory_mapped(array, path):
    mapped = np.memmap(path, array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    mapped.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape)


KINDS = {
    **{name: lambda array, path, order=order: order(array) for name, order in ORDERS.items()},
    "memmap": memory_mapped,
    "subclass": lambda array, path: array.view(Sub),
    "nested lists": lambda array, path: array.tolist(),
    "__array__": lambda array, path: WithArray(array),
    "__dlpack__ alone": lambda array, path: WithDLPack(array),
    "integers": lambda array, path: (10 * array).astype(np.int8),
}
kinds = pytest.mark.parametrize("make_kind", KINDS.values(), ids=KINDS)
every_op = pytest.mark.parametrize("op", OPS)


def values(array):
    """The values that an array-like object stands for, in an array of their own."""
    return np.array(np.from_dlpack(array) if isinstance(array, WithDLPack) else array)


@kinds
@every_op
def test_functions_take_any_array(op, make_kind, tmp_path):
    """For inputs, every kernel and the bias at once."""
    case = make(op, *SHAPES[op], dtype=np.float64)
    given = [make_kind(a, tmp_path / str(i)) for i, a in enumerate((case.inputs, *case.kernels, case.bias))]
    before = [values(array) for array in given]
    case.inputs, *kernels, case.bias = before
    case.kernels = tuple(kernels)
    want = case.want()
    case.inputs, *kernels, case.bias = given
    case.kernels = tuple(kernels)
    np.testing.assert_allclose(case.run(), want, rtol=1e-13, atol=1e-12)
    for array, old in zip(given, before):
        np.testing.assert_array_equal(values(array), old)


@kinds
@every_layer
def test_layers_take_any_array(kind, make_kind, tmp_path):
    layer = make_layer(kind)
    x = inputs_of(layer)
    given = make_kind(x, tmp_path / "x")
    before = values(given)
    want = layer(np.ascontiguousarray(before, np.float32))
    np.testing.assert_array_equal(layer(given), want)
    np.testing.assert_array_equal(values(given), before)
    layer.set_weights([make_kind(w, tmp_path / str(i)) for i, w in enumerate(layer.get_weights())])
    if make_kind is not KINDS["integers"] and make_kind is not KINDS["broadcast"]:
        np.testing.assert_array_equal(layer(x), layer(x.copy()))
        np.testing.assert_array_equal(layer(given), want)


@every_op
def test_axes_of_one(op):
    for shape in ((1, 1, 1, 4), (1, 1, 8, 4), (1, 6, 1, 4)):
        check(make(op, shape, *SHAPES[op][1:], **({} if op == "pointwise_conv" else {"padding": "same"})))


def test_a_masked_array_is_its_data():
    case = make("conv", *SHAPES["conv"])
    want = case.run()
    case.inputs = np.ma.array(case.inputs, mask=case.inputs > 0)
    np.testing.assert_array_equal(case.run(), want)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_op
def test_same_bits_wherever_arrays_lie(op, dtype, set_num_threads):
    """Threads x alignment x strides x `out` or not."""
    case = make(op, *SHAPES[op], dtype=dtype)
    inputs = case.inputs
    set_num_threads(1)
    want = case.run()
    for threads in (1, 2, 3, 7, 16):
        set_num_threads(threads)
        for order in sorted(ORDERS.keys() - {"broadcast", "byte-swapped"}):
            case.inputs = ORDERS[order](inputs)
            np.testing.assert_array_equal(case.run(), want, err_msg=f"{order}, {threads} threads")
            for offset in (0, want.itemsize, 32, 64 - want.itemsize):
                out = at_offset(np.full_like(want, np.nan), offset)
                case.run(out=out)
                np.testing.assert_array_equal(out, want, err_msg=f"{order}, {threads} threads, out at {offset}")


@pytest.mark.parametrize("wrap", [lambda a: a.view(Sub), WithArray], ids=["subclass", "__array__"])
@pytest.mark.parametrize("where", ["function", "layer"])
def test_out_that_overlaps_a_wrapped_input_is_refused(where, wrap):
    case = make("conv", (1, 9, 4), (1, 4, 4))
    out = case.inputs
    before = out.copy()
    layer = make_layer(next(iter(LAYERS)), kernel_size=1)
    layer.build((1, 9, 4))
    case.inputs = wrap(case.inputs)
    with pytest.raises(ValueError, match="out must not overlap inputs"):
        layer(case.inputs, out=out) if where == "layer" else case.run(out=out)
    np.testing.assert_array_equal(out, before)


def test_out_may_be_memory_mapped(tmp_path):
    case = make("conv", *SHAPES["conv"])
    want = case.run()
    out = np.memmap(tmp_path / "out", want.dtype, "w+", shape=want.shape)
    assert case.run(out=out) is out
    np.testing.assert_array_equal(out, want)
