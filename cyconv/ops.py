"""Convolution as functions: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv import activations, kernels
from cyconv.arrays import as_array
from cyconv.geometry import Geometry, as_data_format, as_ints, as_padding, geometry, spatial_axes
from cyconv.plan import FUSED, Plan, winograd

__all__ = ["conv", "depthwise_conv", "pointwise_conv", "separable_conv"]

Array: TypeAlias = NDArray[Any]
Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[Sequence[int]]
Activation: TypeAlias = str | Callable[[Array], Array] | None

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Ints = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
    *,
    bias: ArrayLike | None = None,
    activation: Activation = None,
    out: Array | None = None,
) -> Array:
    """Convolve images or sequences: a sum over window and channels, for each filter.

    For one spatial axis, ``outputs[n, i, f]`` is ``bias[f]`` plus the sum over taps ``t`` and channels ``c`` of
    ``inputs[n, i * stride + t * dilation_rate - before, c] * kernel[t, c, f]``: the cross-correlation that neural
    networks call convolution. Padding is zeros that are multiplied by the kernel like any other input.

    Parameters
    ----------
    inputs : array_like, shape (batch, *spatial, channels) or (batch, channels, *spatial)
        One or two spatial axes. Any strides; float32 and float64 are read in place where channels are contiguous.
    kernel : array_like, shape (*window, channels // groups, filters)
        The number of groups is what the shapes say: channels of inputs / channels of kernel.
    strides, dilation_rate : int or sequence of int
        One for all spatial axes, or one for each.
    padding : {"valid", "same", "causal"}, int or sequence of (int, int)
        "causal" for one spatial axis only; an int pads every side; or one (before, after) pair for each axis.
    data_format : {None, "channels_last", "channels_first"}
        None means "channels_last".
    bias : array_like, shape (filters,), optional
    activation : str or callable, optional
        A name from `cyconv.activations`, or a function of an array.
    out : numpy.ndarray, optional
        Where to put the result: C-contiguous, of the result's shape and dtype, apart from `inputs`.

    Returns
    -------
    numpy.ndarray, shape (batch, *output, filters) or (batch, filters, *output)
        Of the dtype that NumPy promotes inputs, kernel and bias to; float64 for integers, float32 for float16.

    Raises
    ------
    TypeError
        A dtype that is not real (bool, complex, object, ...), or an argument of the wrong kind.
    ValueError
        A shape, size or name that does not fit; the message says which, what was expected and what was received.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import ops
    >>> x = np.arange(5.0).reshape(1, 5, 1)
    >>> ops.conv(x, np.ones((3, 1, 1)), padding="same").ravel()
    array([1., 3., 6., 9., 7.])
    """
    return _run("conv", inputs, (kernel,), strides, padding, data_format, dilation_rate, bias, activation, out)


def depthwise_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Ints = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
    *,
    bias: ArrayLike | None = None,
    activation: Activation = None,
    out: Array | None = None,
) -> Array:
    """Convolve every channel by itself: output channel ``c * multiplier + m`` is channel ``c`` under window ``m``.

    Parameters
    ----------
    inputs, strides, padding, data_format, dilation_rate, activation, out :
        As in `conv`.
    kernel : array_like, shape (*window, channels, multiplier)
    bias : array_like, shape (channels * multiplier,), optional

    Returns
    -------
    numpy.ndarray, shape (batch, *output, channels * multiplier) or channels first

    Raises
    ------
    TypeError, ValueError
        As in `conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import ops
    >>> x = np.ones((1, 4, 4, 2))
    >>> ops.depthwise_conv(x, np.ones((3, 3, 2, 1))).shape
    (1, 2, 2, 2)
    """
    return _run("depthwise", inputs, (kernel,), strides, padding, data_format, dilation_rate, bias, activation, out)


def pointwise_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    data_format: str | None = None,
    *,
    bias: ArrayLike | None = None,
    activation: Activation = None,
    out: Array | None = None,
) -> Array:
    """Mix channels at every pixel: `conv` with a window of one pixel.

    Parameters
    ----------
    inputs, data_format, bias, activation, out :
        As in `conv`.
    kernel : array_like, shape (channels, filters) or (1, ..., 1, channels, filters)

    Returns
    -------
    numpy.ndarray, shape (batch, *spatial, filters) or (batch, filters, *spatial)

    Raises
    ------
    TypeError, ValueError
        As in `conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import ops
    >>> ops.pointwise_conv(np.ones((1, 2, 2, 3)), np.ones((3, 5))).shape
    (1, 2, 2, 5)
    """
    x = as_array(inputs, "inputs")
    w = _pointwise(as_array(kernel, "kernel"), x.ndim - 2, "kernel")
    channels = x.shape[1 if as_data_format(data_format) == "channels_first" else -1] if x.ndim else 0
    if 3 <= x.ndim <= 4 and w.shape[-2] != channels:
        raise ValueError(
            f"kernel must have the channels of inputs, received {channels} in inputs and {w.shape[-2]} in the kernel"
        )
    return _run("conv", x, (w,), 1, "valid", data_format, 1, bias, activation, out)


def separable_conv(
    inputs: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    strides: Ints = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
    *,
    bias: ArrayLike | None = None,
    activation: Activation = None,
    out: Array | None = None,
) -> Array:
    """Convolve every channel by itself, then mix channels: exactly `depthwise_conv` then `pointwise_conv`.

    The result of the first step is never whole in memory: a few rows of it at a time feed the second.

    Parameters
    ----------
    inputs, strides, padding, data_format, dilation_rate, activation, out :
        As in `conv`.
    depthwise_kernel : array_like, shape (*window, channels, multiplier)
    pointwise_kernel : array_like, shape (1, ..., 1, channels * multiplier, filters) or (channels * multiplier, filters)
    bias : array_like, shape (filters,), optional

    Returns
    -------
    numpy.ndarray, shape (batch, *output, filters) or (batch, filters, *output)

    Raises
    ------
    TypeError, ValueError
        As in `conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import ops
    >>> x = np.ones((1, 8, 8, 3), np.float32)
    >>> depthwise, pointwise = np.ones((3, 3, 3, 1), np.float32), np.ones((3, 4), np.float32)
    >>> ops.separable_conv(x, depthwise, pointwise, padding="same").shape
    (1, 8, 8, 4)
    """
    weights = (depthwise_kernel, pointwise_kernel)
    return _run("separable", inputs, weights, strides, padding, data_format, dilation_rate, bias, activation, out)


def plan(
    op: str,
    input_shape: Sequence[int],
    dtype: Any,
    weights: Sequence[Array],
    bias: Array | None = None,
    *,
    strides: Ints = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Ints = 1,
    activation: str | None = None,
) -> Plan:
    """Return what computes one convolution of one shape, for calling many times.

    Parameters
    ----------
    op : {"conv", "depthwise", "separable"}
    input_shape : sequence of int
    dtype : {"float32", "float64"}
        Of inputs and outputs; weights and bias are cast to it.
    weights : sequence of array
        The kernel; the depthwise and the pointwise kernel for "separable".
    bias : array, optional
    activation : str, optional
        One of `cyconv.plan.FUSED`.

    Returns
    -------
    Plan
        ``plan(x, out=None)`` is the convolution; see `cyconv.plan.Plan`.

    Raises
    ------
    TypeError, ValueError
        As in `conv`.
    """
    arrays = [as_array(w, name) for w, name in zip(weights, _NAMES[op], strict=True)]
    b = None if bias is None else as_array(bias, "bias")
    return _plan(
        op, tuple(input_shape), np.dtype(dtype), arrays, b, strides, padding, data_format, dilation_rate, activation
    )


_NAMES = {
    "conv": ("kernel",),
    "depthwise": ("kernel",),
    "separable": ("depthwise_kernel", "pointwise_kernel"),
}


def _plan(
    op: str,
    input_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    arrays: list[Array],
    bias: Array | None,
    strides: Ints,
    padding: Padding,
    data_format: str | None,
    dilation_rate: Ints,
    activation: str | None,
) -> Plan:
    """Return `plan`'s result, for weights that are arrays already."""
    rank = spatial_axes(input_shape)
    if op == "separable":
        arrays = [arrays[0], _pointwise(arrays[1], rank, _NAMES[op][1])]
    shapes = tuple([a.shape for a in arrays])
    template = _template(
        op,
        kernels.current(),
        input_shape,
        shapes,
        dtype.char,  # hashed faster than a dtype
        _ints(strides, rank, "strides"),
        padding if type(padding) is str else as_padding(padding, rank),
        data_format if data_format is None or type(data_format) is str else as_data_format(data_format),
        _ints(dilation_rate, rank, "dilation_rate"),
        activation,
        winograd(),
    )
    if bias is not None:
        filters = shapes[-1][-1] if op != "depthwise" else shapes[0][-1] * shapes[0][-2]
        if bias.shape != (filters,):
            raise ValueError(f"bias must have shape ({filters},), received {bias.shape}")
        bias = _behaved(bias, dtype)
    return template.pack(tuple([_behaved(a, dtype) for a in arrays]), bias)


def _run(
    op: str,
    inputs: ArrayLike,
    weights: tuple[ArrayLike, ...],
    strides: Ints,
    padding: Padding,
    data_format: str | None,
    dilation_rate: Ints,
    bias: ArrayLike | None,
    activation: Activation,
    out: Array | None,
) -> Array:
    x = as_array(inputs, "inputs")
    arrays = [as_array(w, name) for w, name in zip(weights, _NAMES[op], strict=True)]
    b = None if bias is None else as_array(bias, "bias")
    every = [x, *arrays] if b is None else [x, *arrays, b]
    dtype = x.dtype
    for array in every:  # any() would cost more than the whole check
        if array.dtype is not dtype or dtype not in _FLOATS:
            dtype = _float(np.result_type(*every))
            break
    function = None if activation is None else activations.get(activation)
    name = None if function is None else activations.REGISTRY.name_of(function)
    fused = name in FUSED
    made = _plan(op, x.shape, dtype, arrays, b, strides, padding, data_format, dilation_rate, name if fused else None)
    result: Array | None = made(x, out)
    if result is None:  # of another dtype, or misaligned
        if isinstance(out, np.ndarray) and np.may_share_memory(x, out):
            raise ValueError("out must not overlap inputs")
        result = made(_behaved(x, dtype), out)
    assert result is not None
    if function is None or fused:
        return result
    activated = activations.apply(function, result)
    if out is None or activated is out:
        return activated
    if activated.shape != out.shape:
        raise ValueError(f"out must have the shape of the activation's result, {activated.shape}, received {out.shape}")
    out[...] = activated
    return out


@lru_cache(maxsize=256, typed=True)
def _template(
    op: str,
    isa: str,
    input_shape: tuple[int, ...],
    shapes: tuple[tuple[int, ...], ...],
    char: str,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilation_rate: Any,
    activation: str | None,
    winograd: bool,
) -> Plan:
    """Return a plan without weights."""
    dtype = np.dtype(char)
    if op != "separable":
        g = geometry(op, input_shape, shapes[0], strides, padding, data_format, dilation_rate)
        return Plan(op, g, dtype, kernels.load(dtype.name), activation, winograd=winograd)
    name = _NAMES[op][0]
    g = geometry("depthwise", input_shape, shapes[0], strides, padding, data_format, dilation_rate, kernel_name=name)
    second = _second_step(g, shapes[1], as_data_format(data_format))
    return Plan(op, g, dtype, kernels.load(dtype.name), activation, second)


def _second_step(first: Geometry, kernel_shape: tuple[int, ...], data_format: str) -> Geometry:
    if kernel_shape[-2] != first.filters:
        raise ValueError(
            f"pointwise_kernel must have {first.filters} input channels (channels * depth_multiplier of "
            f"depthwise_kernel), received {kernel_shape[-2]}: shape {kernel_shape}"
        )
    return geometry("conv", first.output_shape, kernel_shape, data_format=data_format, kernel_name="pointwise_kernel")


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that is computed in: float32 or float64."""
    if dtype.kind == "f":
        return _FLOATS[dtype.itemsize > 4]
    return _FLOATS[1]


def _behaved(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array that is contiguous, aligned and of a native dtype: itself where it is all that."""
    if array.dtype is dtype and array.flags.carray:
        return array
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.aligned else array.copy()


def _ints(value: Ints, rank: int, name: str) -> Ints:
    """Return what a cache can tell apart: an int as it is, anything else checked (1.0 equals 1, but is refused)."""
    return value if type(value) is int else as_ints(value, rank, name)


def _pointwise(kernel: Array, rank: int, name: str) -> Array:
    """Return a pointwise kernel with its window of ones."""
    if kernel.ndim != 2 and (kernel.ndim != rank + 2 or kernel.shape[:-2] != (1,) * rank):
        raise ValueError(
            f"{name} must have shape (channels, filters) or {(1,) * rank} + (channels, filters), "
            f"received {kernel.shape}"
        )
    return kernel.reshape((1,) * rank + kernel.shape[-2:])
