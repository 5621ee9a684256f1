"""Cases: one convolution and all its arguments, from a table row (`make`) or from Hypothesis (`cases`)."""

from dataclasses import dataclass, field

import numpy as np
import reference
from hypothesis import strategies as st

DTYPES = (np.float32, np.float64)

# Channels and filters on both sides of multiples of 4, 8 and 16 lanes, of one to four vectors of them, and of halves.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 40, 48, 56, 64, 65)
FEW_CHANNELS = CHANNELS[:11]
DATA_FORMATS = ("channels_last", "channels_first", None)

# |error| <= CONSTANT * eps * sqrt(K) * sum(|input| * |weight|): rounding errors of a sum of K products add up
# like a random walk (Higham & Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci.
# Comput., 2019). Half of the constant is for the kernels, half for the float64 reference.
CONSTANT = 4


@dataclass
class Case:
    """Arrays and arguments of one call of `cyconv.ops`.<op>."""

    op: str
    inputs: np.ndarray
    kernels: tuple[np.ndarray, ...]
    bias: np.ndarray | None = None
    options: dict = field(default_factory=dict)

    def __repr__(self):
        arrays = [described(a) for a in (self.inputs, *self.kernels)]
        bias = "" if self.bias is None else f", bias={described(self.bias)}"
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{self.op}({', '.join(arrays)}{options}{bias})"

    def _repr_pretty_(self, printer, cycle):  # how Hypothesis shows a failing example
        printer.text(repr(self))

    def run(self, **more):
        """Compute it with cyconv."""
        from cyconv import ops  # here, so that the oracle can be tested before anything is built

        return getattr(ops, self.op)(self.inputs, *self.kernels, **self.options, bias=self.bias, **more)

    def want(self):
        """Compute it with the float64 reference."""
        with np.errstate(invalid="ignore"):
            return getattr(reference, self.op)(self.inputs, *self.kernels, **self.options, bias=self.bias)

    @property
    def magnitude(self):
        """Each output's sum of absolute products, bias included."""
        arrays = [np.abs(a.astype(np.float64)) for a in (self.inputs, *self.kernels)]
        bias = None if self.bias is None else np.abs(self.bias.astype(np.float64))
        with np.errstate(invalid="ignore"):
            return getattr(reference, self.op)(*arrays, **self.options, bias=bias)

    @property
    def dtype(self):
        """The result's dtype, in native byte order."""
        return np.result_type(self.inputs, *self.kernels).newbyteorder("=")

    @property
    def reduction(self):
        """How many rounded additions one output may hold: the products of each sum, and the bias."""
        depthwise, dense = {
            "conv": (0, 1),
            "pointwise_conv": (0, 1),
            "depthwise_conv": (1, 0),
            "separable_conv": (1, 1),
        }[self.op]
        length = 1
        if depthwise:
            length += np.prod(self.kernels[0].shape[:-2], dtype=int)
        if dense:
            length += np.prod(self.kernels[-1].shape[:-1], dtype=int)
        return length


def described(array):
    """Return dtype, shape and what is unusual about an array."""
    marks = {
        f"strides={array.strides}": not array.flags.c_contiguous,
        "misaligned": not array.flags.aligned,
        "byte-swapped": not array.dtype.isnative,
        "read-only": not array.flags.writeable,
    }
    unusual = [mark for mark, holds in marks.items() if holds]
    return f"{array.dtype.name}{list(array.shape)}" + (f"<{', '.join(unusual)}>" if unusual else "")


def assert_close(got, case, want, magnitude):
    """Assert that `got` has the case's shape and dtype, and values within the rounding bound."""
    assert got.dtype == case.dtype, f"{case}: dtype {got.dtype}, expected {case.dtype}"
    assert got.shape == want.shape, f"{case}: shape {got.shape}, expected {want.shape}"
    bound = CONSTANT * np.finfo(case.dtype).eps * np.sqrt(case.reduction) * magnitude
    bound += np.finfo(case.dtype).tiny
    with np.errstate(invalid="ignore"):
        close = np.isfinite(got) & (np.abs(got - want) <= bound)
    bad = ~(close | (got == want) | (np.isnan(got) & np.isnan(want)))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(
            f"{case}: {bad.sum()} of {bad.size} values deviate; the first at {at}: "
            f"{got[at]!r}, expected {want[at]!r} within {bound[at]:.3g}"
        )


def check(case, **more):
    """Run a case and compare it with the reference; return what was computed."""
    got = case.run(**more)
    assert_close(got, case, case.want(), case.magnitude)
    return got


def make(op, input_shape, *kernel_shapes, dtype=np.float32, bias=True, seed=0, **options):
    """Return a case with random values in memory order C."""
    rng = np.random.default_rng(seed)

    def values(shape):
        return rng.standard_normal(shape).astype(dtype)

    inputs, *kernels = (values(shape) for shape in (input_shape, *kernel_shapes))
    filters = kernels[-1].shape[-1] * (kernels[0].shape[-2] if op == "depthwise_conv" else 1)
    return Case(op, inputs, tuple(kernels), values(filters) if bias else None, options)


# -- memory orders: each takes an array and returns one of the same shape and (but for "broadcast") values


def shapes(op, size, window, channels, filters=1, multiplier=1):
    """Return (input shape, *kernel shapes) of one image."""
    ones = (1,) * len(size)
    depthwise = (*window, channels, multiplier)
    return ((1, *size, channels),) + {
        "conv": ((*window, channels, filters),),
        "pointwise_conv": ((channels, filters),),
        "depthwise_conv": (depthwise,),
        "separable_conv": (depthwise, (*ones, channels * multiplier, filters)),
    }[op]


def same(op):
    """Return the padding that leaves images their size, for the ops that have one."""
    return {} if op == "pointwise_conv" else {"padding": "same"}


def fortran(array):
    return np.asfortranarray(array)


def negative(array):
    """Every stride negative."""
    back = (slice(None, None, -1),) * array.ndim
    return array[back].copy()[back]


def sliced(array):
    """Every second channel of a larger array: the last axis is not contiguous."""
    larger = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    larger[..., ::2] = array
    return larger[..., ::2]


def window_of_larger(array):
    """The middle of a larger array full of NaN: contiguous channels, odd strides."""
    larger = np.full([n + 3 for n in array.shape], np.nan, array.dtype)
    view = larger[tuple(slice(1, n + 1) for n in array.shape)]
    view[...] = array
    return view


def broadcast(array):
    """One entry of the first axis that has several, repeated with stride 0."""
    axis = next((a for a, n in enumerate(array.shape) if n > 1), None)
    if axis is None:
        return array
    return np.broadcast_to(np.take(array, [0], axis), array.shape)


def at_offset(array, offset):
    """The array `offset` bytes behind an address that is a multiple of 64."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    moved = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def by_one_element(array):
    return at_offset(array, array.itemsize)


def by_one_byte(array):
    return at_offset(array, 1)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder())


ORDERS = {
    "C": np.ascontiguousarray,
    "F": fortran,
    "negative strides": negative,
    "sliced channels": sliced,
    "window of a larger array": window_of_larger,
    "broadcast": broadcast,
    "offset by one element": by_one_element,
    "misaligned": by_one_byte,
    "read-only": read_only,
    "byte-swapped": byte_swapped,
}


# -- Hypothesis

OPS = ("conv", "depthwise_conv", "pointwise_conv", "separable_conv")


@st.composite
def paddings(draw, rank):
    """Any padding: a name, an int, or a (before, after) pair for each axis."""
    names = ["valid", "same", "causal"][: 4 - rank]
    pair = st.tuples(st.integers(0, 4), st.integers(0, 4))
    return draw(st.one_of(st.sampled_from(names), st.integers(0, 3), st.tuples(*[pair] * rank)))


@st.composite
def cases(draw, op=None, dtypes=DTYPES, orders=tuple(ORDERS), batches=(1, 2, 3, 0), data_formats=DATA_FORMATS):
    """A whole case: rank, shapes, strides, dilations, paddings, groups, multipliers, layouts, orders."""
    op = op or draw(st.sampled_from(OPS))
    rank = draw(st.sampled_from([1, 2]))
    axes = range(rank)
    window = (1,) * rank
    options = {}
    if op != "pointwise_conv":
        window = tuple(draw(st.integers(1, 5)) for _ in axes)
        options["strides"] = tuple(draw(st.integers(1, 3)) for _ in axes)
        options["padding"] = draw(paddings(rank))
        options["dilation_rate"] = tuple(draw(st.integers(1, 3)) for _ in axes)
    options["data_format"] = draw(st.sampled_from(data_formats))

    size = []
    for axis, k in enumerate(window):
        spanned = (k - 1) * options.get("dilation_rate", (1, 1))[axis] + 1
        padding = options.get("padding", "valid")
        if isinstance(padding, str):
            smallest = spanned if padding == "valid" else 1
        else:
            around = 2 * padding if isinstance(padding, int) else sum(padding[axis])
            smallest = max(spanned - around, 1)
        size.append(smallest + draw(st.integers(0, 29 if axis == rank - 1 else 5)))

    batch = draw(st.sampled_from(batches))
    channels = draw(st.sampled_from(CHANNELS))
    filters = draw(st.sampled_from(CHANNELS))
    if op == "conv":
        groups = draw(st.sampled_from([1, 1, 1, 2, 3, 4, 8]))
        if groups > 1:
            channels, filters = (groups * draw(st.sampled_from(FEW_CHANNELS)) for _ in "cf")
            if draw(st.booleans()):
                filters = channels
        kernels = [(*window, channels // groups, filters)]
    elif op == "pointwise_conv":
        kernels = [draw(st.sampled_from([(channels, filters), (*window, channels, filters)]))]
    else:
        multiplier = draw(st.sampled_from([1, 1, 2, 3, 4, 8]))
        kernels = [(*window, channels, multiplier)]
        if op == "separable_conv":
            kernels.append((*(1,) * rank, channels * multiplier, filters))

    first = options["data_format"] == "channels_first"
    shape = (batch, channels, *size) if first else (batch, *size, channels)
    dtype = draw(st.sampled_from(dtypes))
    seed = draw(st.integers(0, 2**32 - 1))
    case = make(op, shape, *kernels, dtype=dtype, bias=draw(st.booleans()), seed=seed, **options)
    order = st.sampled_from(orders).map(ORDERS.get)
    case.inputs = draw(order)(case.inputs)
    case.kernels = tuple(draw(order)(kernel) for kernel in case.kernels)
    if case.bias is not None:
        case.bias = draw(order)(case.bias)
    return case
