"""Geometry: every argument of a convolution normalised once, and every shape error raised here.

Pure Python on tuples of ints: no array is seen, nothing is allocated. Whatever passes through
:func:`geometry` is valid, so that nothing below it (plans, kernels) needs to check a shape again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal, TypeAlias, cast

DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
Pair: TypeAlias = tuple[int, int]
AxisPadding: TypeAlias = Literal["valid", "same", "causal"] | Pair
Padding: TypeAlias = Literal["valid", "same", "causal"] | tuple[Pair, ...]

DATA_FORMATS: tuple[str, ...] = ("channels_last", "channels_first")
PADDINGS: dict[int, tuple[str, ...]] = {1: ("valid", "same", "causal"), 2: ("valid", "same")}

# No array described by a geometry has more elements than this, its padding counted in: the bytes of a float64
# array then stay below 2**62, and no offset computed from a valid geometry overflows a signed 64-bit integer.
MAX_ELEMENTS = 2**59


def shown(value: object, width: int = 120) -> str:
    """Return ``value`` as error messages show it: its repr, shortened."""
    try:
        text = repr(value)
    except Exception:  # an int of more digits than Python prints, or a repr of somebody's own
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= width else text[: width - 3] + "..."


def as_data_format(value: object) -> DataFormat:
    """Return the data format named by ``value``, in lower case.

    Parameters
    ----------
    value : str or None
        "channels_last" or "channels_first" in any case; None means "channels_last".

    Raises
    ------
    TypeError
        ``value`` is neither a string nor None.
    ValueError
        The name is unknown.

    Examples
    --------
    >>> as_data_format(None)
    'channels_last'
    """
    if value is None:
        return "channels_last"
    expected = " or ".join(map(repr, DATA_FORMATS))
    if not isinstance(value, str):
        raise TypeError(f"data_format must be {expected}, received {shown(value)}")
    if value.lower() not in DATA_FORMATS:
        raise ValueError(f"data_format must be {expected}, received {shown(value)}")
    return cast(DataFormat, value.lower())


def as_ints(value: object, rank: int, name: str, minimum: int = 1) -> tuple[int, ...]:
    """Return ``value`` as a tuple of ``rank`` ints.

    Parameters
    ----------
    value : int or sequence of int
        One int stands for all axes; a tuple, list or one-dimensional array has one int for each axis.
        NumPy integers are ints; bools and floats are not.
    rank : int
        Number of axes.
    name : str
        The argument's name, for messages.
    minimum : int
        The smallest value that is allowed.

    Raises
    ------
    TypeError
        ``value`` is not an int and not a sequence of ints.
    ValueError
        Another number of values than ``rank``, or a value below ``minimum`` or above ``MAX_ELEMENTS``.

    Examples
    --------
    >>> as_ints(3, 2, "kernel_size")
    (3, 3)
    """
    items = _items(value)
    if items is None:
        items = (value,) * rank
    elif len(items) != rank:
        raise ValueError(f"{name} must be {_ints_expected(rank)}, received {len(items)} values: {shown(value)}")
    ints = tuple(map(_int, items))
    if None in ints:
        raise TypeError(f"{name} must be {_ints_expected(rank)}, received {shown(value)}")
    checked = cast(tuple[int, ...], ints)
    for i in checked:
        if i < minimum:
            raise ValueError(f"{name} must be at least {minimum}, received {shown(value)}")
        if i > MAX_ELEMENTS:
            raise ValueError(f"{name} must be at most 2**59, received {shown(value)}")
    return checked


def as_padding(value: object, rank: int) -> Padding:
    """Return ``value`` as a padding's name, or as explicit (before, after) pairs, one for each spatial axis.

    Parameters
    ----------
    value : str, int or sequence of pairs
        "valid", "same" or, for one spatial axis, "causal", in any case; an int, added before and after on
        every axis; or one (before, after) pair for each axis. For one axis the pair may stand bare:
        ``(2, 0)`` is ``((2, 0),)``. For two axes two bare ints are refused, since they could mean either.
    rank : int
        Number of spatial axes, 1 or 2.

    Raises
    ------
    TypeError
        ``value`` is of none of these kinds.
    ValueError
        The name is unknown or not defined for this rank, the number of pairs is wrong, or a size is negative.

    Examples
    --------
    >>> as_padding("SAME", 2)
    'same'
    >>> as_padding(1, 2)
    ((1, 1), (1, 1))
    >>> as_padding((2, 0), 1)
    ((2, 0),)
    """
    if isinstance(value, str):
        name = value.lower()
        if name == "causal" and rank != 1:
            raise ValueError(
                f"padding 'causal' is defined for one spatial axis only, received it for {rank}: "
                f"{_padding_expected(rank)}"
            )
        if name not in PADDINGS[rank]:
            raise ValueError(f"{_padding_expected(rank)}, received {shown(value)}")
        return cast(Padding, name)
    items = _items(value)
    if items is None:
        if _int(value) is None:
            raise TypeError(f"{_padding_expected(rank)}, received {shown(value)}")
        before = as_ints(value, 1, "padding", minimum=0)[0]
        return ((before, before),) * rank
    if rank == 1 and len(items) == 2 and all(_int(item) is not None for item in items):
        items = (items,)
    if len(items) != rank:
        raise ValueError(f"{_padding_expected(rank)}, received {shown(value)}")
    if any(_items(item) is None for item in items):
        raise TypeError(f"{_padding_expected(rank)}, received {shown(value)}")
    return tuple(
        cast(Pair, as_ints(item, 2, f"padding of spatial axis {axis}", minimum=0)) for axis, item in enumerate(items)
    )


def spatial_axes(input_shape: Sequence[int]) -> int:
    """Return the number of spatial axes of inputs, 1 or 2; raise ValueError for any other."""
    rank = len(input_shape) - 2
    if rank not in PADDINGS:
        raise ValueError(
            "inputs must have 3 or 4 axes (batch, one or two spatial axes, channels or these first), "
            f"received {rank + 2}: shape {shown(tuple(input_shape))}"
        )
    return rank


def check_elements(shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError where an array of ``shape`` would have more than `MAX_ELEMENTS` elements."""
    if math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"{name} must have at most 2**59 elements, received sizes {shown(shape)}")


def axis_pads(size: int, window: int, stride: int, dilation_rate: int, padding: AxisPadding) -> Pair:
    """Return the zeros added (before, after) one axis.

    "same" is TensorFlow's convention: the output has ``ceil(size / stride)`` entries, and where the zeros it
    needs are odd in number the extra one comes after. "causal" pads ``dilation_rate * (window - 1)`` before,
    so that output ``i`` sees no input beyond ``i * stride``, for any stride.

    Examples
    --------
    >>> axis_pads(224, 3, 2, 1, "same")
    (0, 1)
    """
    span = (window - 1) * dilation_rate
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return span, 0
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + span + 1 - size, 0)
        return total // 2, total - total // 2
    return padding


def output_size(size: int | None, window: int, stride: int, dilation_rate: int, padding: AxisPadding) -> int | None:
    """Return the output's size on one axis; None for an unknown input size.

    Parameters
    ----------
    size : int or None
        Input size.
    window, stride, dilation_rate : int
        Positive.
    padding : {"valid", "same", "causal"} or (int, int)
        One axis' padding.

    Raises
    ------
    ValueError
        The dilated window is larger than the padded input.

    Examples
    --------
    >>> output_size(224, 7, 2, 1, "same")
    112
    >>> output_size(None, 3, 1, 1, "valid") is None
    True
    """
    if size is None:
        return None
    before, after = axis_pads(size, window, stride, dilation_rate, padding)
    room = size + before + after - (window - 1) * dilation_rate - 1
    if room < 0:
        raise ValueError(
            f"kernel window must not be larger than the padded input, received a window of {window} "
            f"(dilation_rate {dilation_rate}: spans {(window - 1) * dilation_rate + 1}) "
            f"over an input size of {size} padded by {(before, after)}"
        )
    return room // stride + 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """All sizes of one convolution; made by :func:`geometry`, always valid.

    One spatial axis is two with H = 1. A depthwise convolution is a grouped one: ``groups == channels`` and
    ``filters == channels * depth_multiplier``.

    Attributes
    ----------
    rank : int
        Spatial axes that the caller sees, 1 or 2.
    channels_first : bool
    batch : int
        May be 0.
    size : (int, int)
        Input height and width.
    channels : int
        Input channels.
    window : (int, int)
        The kernel's height and width.
    strides, dilation_rate : (int, int)
        Those that have no effect are made small: a stride that leads out of the padded input at once, but no smaller
        than the window, as the order of a sum may depend on small ones; and the dilation of a window of 1. Every
        product with a size therefore stays in range.
    pads : ((int, int), (int, int))
        Zeros ((top, bottom), (left, right)).
    groups : int
    filters : int
        Output channels in all.
    """

    rank: int
    channels_first: bool
    batch: int
    size: Pair
    channels: int
    window: Pair
    strides: Pair
    dilation_rate: Pair
    pads: tuple[Pair, Pair]
    groups: int
    filters: int

    @property
    def output_size(self) -> Pair:
        """Output (height, width)."""
        axes = zip(self.size, self.window, self.strides, self.dilation_rate, self.pads, strict=True)
        return cast(Pair, tuple(output_size(*axis) for axis in axes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The input's shape, in the caller's rank and layout."""
        return self._shape(self.size, self.channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output's shape, in the caller's rank and layout."""
        return self._shape(self.output_size, self.filters)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """The kernel's shape (*window, channels // groups, filters), in the caller's rank."""
        return (*self.window[2 - self.rank :], self.channels // self.groups, self.filters)

    @property
    def flops(self) -> int:
        """Multiplications and additions, the taps that fall on padding counted as the others."""
        return 2 * self.batch * math.prod(self.output_size) * math.prod(self.kernel_shape)

    def _shape(self, size: Pair, channels: int) -> tuple[int, ...]:
        spatial = size[2 - self.rank :]
        return (self.batch, channels, *spatial) if self.channels_first else (self.batch, *spatial, channels)


def geometry(
    op: str,
    input_shape: Sequence[int],
    kernel_shape: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    kernel_name: str = "kernel",
) -> Geometry:
    """Check and normalise the arguments of a convolution.

    Parameters
    ----------
    op : {"conv", "depthwise"}
        What the last two sizes of the kernel mean.
    input_shape : sequence of int
        (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first"; one or two
        spatial axes.
    kernel_shape : sequence of int
        "conv": (*window, channels // groups, filters).
        "depthwise": (*window, channels, depth_multiplier).
    strides, dilation_rate : int or sequence of int
        One for all axes, or one for each.
    padding : str, int or sequence of (int, int)
        As :func:`as_padding` takes it.
    data_format : {None, "channels_last", "channels_first"}
        None means "channels_last".
    kernel_name : str
        What messages call the kernel: the caller's argument.

    Returns
    -------
    Geometry

    Raises
    ------
    TypeError
        A size that is no int, or an argument of another kind than those above.
    ValueError
        A wrong number of axes, a size below 1 (the batch may be 0), channels that do not fit the kernel's,
        filters or channels that groups do not divide, a window larger than the padded input, an unknown name,
        or arrays of more than 2**59 elements.

    Examples
    --------
    >>> geometry("conv", (1, 224, 224, 3), (7, 7, 3, 64), strides=2, padding="same").output_shape
    (1, 112, 112, 64)
    >>> geometry("depthwise", (8, 100, 16), (5, 16, 2), padding="causal").output_shape
    (8, 100, 32)
    """
    if op not in ("conv", "depthwise"):
        raise ValueError(f"op must be 'conv' or 'depthwise', received {shown(op)}")
    channels_first = as_data_format(data_format) == "channels_first"
    rank = spatial_axes(input_shape)
    if len(kernel_shape) != rank + 2:
        last = "channels, depth_multiplier" if op == "depthwise" else "channels // groups, filters"
        raise ValueError(
            f"{kernel_name} must have {rank + 2} axes (*window, {last}) for inputs with {rank + 2} axes, "
            f"received {len(kernel_shape)}: shape {shown(tuple(kernel_shape))}"
        )
    batch, *sizes = as_ints(tuple(input_shape), rank + 2, "shape of inputs", minimum=0)
    if 0 in sizes:
        raise ValueError(
            "inputs must have at least one element on every axis but the batch, "
            f"received shape {shown(tuple(input_shape))}"
        )
    if channels_first:
        sizes.append(sizes.pop(0))
    *size, channels = sizes
    *window, depth, last_size = as_ints(tuple(kernel_shape), rank + 2, f"shape of {kernel_name}")
    groups, filters = _groups_and_filters(op, channels, depth, last_size, kernel_name)

    steps = as_ints(strides, rank, "strides")
    rates = as_ints(dilation_rate, rank, "dilation_rate")
    how = as_padding(padding, rank)
    axes_padding = how if isinstance(how, tuple) else (how,) * rank
    pads = [axis_pads(*axis) for axis in zip(size, window, steps, rates, axes_padding, strict=True)]
    output = [cast(int, output_size(*axis)) for axis in zip(size, window, steps, rates, pads, strict=True)]
    padded = [n + before + after for n, (before, after) in zip(size, pads, strict=True)]
    arrays = {
        "padded inputs": (max(batch, 1), *padded, channels),
        kernel_name: (*window, depth, last_size),
        "output": (max(batch, 1), *output, filters),
    }
    for name, shape in arrays.items():
        check_elements(shape, name)

    # What has no effect must not overflow an offset: see Geometry.
    rates = tuple(d if k > 1 else 1 for d, k in zip(rates, window, strict=True))
    steps = tuple(min(s, max(n - (k - 1) * d, k)) for s, n, k, d in zip(steps, padded, window, rates, strict=True))
    flat = rank == 1  # one spatial axis: a row of an image with H = 1
    return Geometry(
        rank=rank,
        channels_first=channels_first,
        batch=batch,
        size=(1, size[0]) if flat else (size[0], size[1]),
        channels=channels,
        window=(1, window[0]) if flat else (window[0], window[1]),
        strides=(1, steps[0]) if flat else (steps[0], steps[1]),
        dilation_rate=(1, rates[0]) if flat else (rates[0], rates[1]),
        pads=((0, 0), pads[0]) if flat else (pads[0], pads[1]),
        groups=groups,
        filters=filters,
    )


def _groups_and_filters(op: str, channels: int, depth: int, last_size: int, name: str) -> Pair:
    """Return (groups, filters) from the input's channels and the last two sizes of the kernel."""
    if op == "depthwise":
        if depth != channels:
            raise ValueError(
                f"{name} must have as many channels as inputs, received {depth} in {name} and {channels} in inputs"
            )
        return channels, channels * last_size
    if channels % depth:
        raise ValueError(
            f"channels of inputs must be a multiple of the channels of {name}, "
            f"received {channels} in inputs and {depth} in {name}"
        )
    groups = channels // depth
    if last_size % groups:
        raise ValueError(
            f"filters must be divisible by groups, received {last_size} filters and {groups} groups "
            f"({channels} channels of inputs / {depth} of {name})"
        )
    return groups, last_size


def _int(value: object) -> int | None:
    """Return an int, or None for what is not one; bools are not."""
    if isinstance(value, bool):
        return None
    try:
        return index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


MOST_ITEMS = 16  # of an array; no argument takes more


def _items(value: object) -> tuple[object, ...] | None:
    """Return the items of a tuple, list or array; None for anything else."""
    if not isinstance(value, (tuple, list)):
        # Arrays, whose items then become Python's own; a large one would take all memory.
        if isinstance(value, type) or not hasattr(value, "tolist") or getattr(value, "size", 0) > MOST_ITEMS:
            return None
        value = value.tolist()
    return tuple(value) if isinstance(value, (tuple, list)) else None


def _ints_expected(rank: int) -> str:
    return "an int" if rank == 1 else f"an int or {rank} ints"


def _padding_expected(rank: int) -> str:
    names = ", ".join(map(repr, PADDINGS[rank]))
    pairs = "a (before, after) pair of ints" if rank == 1 else f"{rank} (before, after) pairs of ints"
    return f"padding must be {names}, an int or {pairs}"
