"""Activations: every function of Keras's, in plain NumPy or by the kernels.

Each takes an array of real numbers and returns one of the same floating-point dtype; integers are promoted.
NaN gives NaN. A convolution applies those that kernels have to each block of its results; the others are applied to
its output here.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeAlias

import numpy as np
import numpy.typing as npt

from cyconv import kernels
from cyconv.arrays import as_array
from cyconv.plan import activate
from cyconv.registry import Registry

Array: TypeAlias = npt.NDArray[Any]
P = ParamSpec("P")

# Elements for which an activation's temporary arrays stay in a core's own cache.
BLOCK = 16384


def as_real(values: npt.ArrayLike, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return ``values`` as an aligned array of real floating-point numbers in native byte order.

    Parameters
    ----------
    values : array_like
        Integers or floats.
    name : str
        The argument's name, for messages.
    dtype : numpy.dtype, optional
        The result's dtype. By default float64 stays and everything else is promoted with float32.

    Raises
    ------
    TypeError
        The values are bool, complex, wider than 64 bits or no numbers.
    """
    real = as_array(values, name)
    if dtype is None:
        dtype = np.dtype(np.float32) if real.dtype.itemsize <= 2 else np.result_type(real.dtype, np.float32)
    array: Array = real.astype(dtype, copy=False)
    return array if array.flags.aligned else array.copy()


def activation(
    *aliases: str, elementwise: bool = True
) -> Callable[[Callable[Concatenate[Array, P], Array]], Callable[Concatenate[npt.ArrayLike, P], Array]]:
    """Decorate a function of an array of floats: it is registered, takes any real array and never warns."""

    def decorate(
        function: Callable[Concatenate[Array, P], Array],
    ) -> Callable[Concatenate[npt.ArrayLike, P], Array]:
        @functools.wraps(function)
        def call(x: npt.ArrayLike, *args: P.args, **kwargs: P.kwargs) -> Array:
            with np.errstate(all="ignore"):
                return function(as_real(x, "x"), *args, **kwargs)

        REGISTRY.add(*aliases)(call)
        if elementwise:
            ELEMENTWISE.add(call)
        return call  # type: ignore[return-value]

    return decorate


def apply(function: Callable[[Array], Any], array: Array) -> Array:
    """Return ``function(array)``, overwriting ``array`` block by block where the function is elementwise.

    Parameters
    ----------
    function : callable
        One of this module, or any function of an array.
    array : ndarray
        May be overwritten.

    Returns
    -------
    ndarray
        Of ``array``'s dtype; ``array`` itself where it was overwritten.
    """
    # A callable of somebody's own may have no hash.
    if not inspect.isfunction(function) or function not in ELEMENTWISE or not array.flags.c_contiguous:
        return np.asarray(function(array), array.dtype)
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        block[...] = function(block)
    return array


def _by_kernel(name: str, x: Array, slope: float = 1.0) -> Array:
    """Return what a convolution's kernel makes of its results, bit for bit."""
    return activate(kernels.load(x.dtype.name), name, x.copy(), slope)


REGISTRY = Registry("activation", "keras.activations")
ELEMENTWISE: set[Callable[..., Any]] = set()
get = REGISTRY.get
serialize = REGISTRY.serialize


@activation()
def linear(x: Array) -> Array:
    """Return ``x``."""
    return x


REGISTRY.default = linear


@activation()
def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """Return ``x`` above ``threshold``, at most ``max_value``; ``negative_slope * (x - threshold)`` below.

    Examples
    --------
    >>> relu([-2.0, 1.0, 8.0], negative_slope=0.5, max_value=6.0).tolist()
    [-1.0, 1.0, 6.0]
    """
    y = np.maximum(x, 0) if threshold == 0 else np.where(x <= threshold, x.dtype.type(0), x)
    if max_value is not None:
        y = np.clip(y, 0, max_value)
    if negative_slope != 0:
        y = y - negative_slope * np.maximum(threshold - x, 0)
    return y


@activation()
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """Return ``x`` above 0, ``negative_slope * x`` below."""
    return np.where(x < 0, negative_slope * x, x)


@activation()
def relu6(x: Array) -> Array:
    """Return ``x`` clipped to 0 .. 6."""
    return np.clip(x, 0, 6)


@activation(elementwise=False)
def softmax(x: Array, axis: int = -1) -> Array:
    """Return ``exp(x)`` divided by its sum over ``axis``."""
    y: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    return y


@activation(elementwise=False)
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Return the logarithm of :func:`softmax`."""
    shifted = x - x.max(axis=axis, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y


@activation(elementwise=False)
def sparsemax(x: Array, axis: int = -1) -> Array:
    """Return the Euclidean projection of ``x`` onto the probability simplex along ``axis``.

    Martins and Astudillo, "From Softmax to Sparsemax", 2016, algorithm 1. (Keras up to 3.15 returns smaller
    values where more than one entry is positive: its issue 23425.)

    Examples
    --------
    >>> sparsemax([0.5, 0.25, -3.0]).tolist()
    [0.625, 0.375, 0.0]
    """
    z = np.moveaxis(x, axis, -1)
    ordered = np.sort(z, axis=-1)[..., ::-1]
    excess = np.cumsum(ordered, axis=-1) - 1
    counts = np.arange(1, z.shape[-1] + 1, dtype=x.dtype)
    support = (counts * ordered > excess).sum(axis=-1, keepdims=True)
    last = np.maximum(support, 1) - 1
    tau = np.take_along_axis(excess, last, axis=-1) / (last + 1).astype(x.dtype)
    # A NaN sorts to the end and may lie outside the support: the sum over the axis brings it to every entry.
    tau = tau + 0 * z.sum(axis=-1, keepdims=True)
    return np.moveaxis(np.maximum(z - tau, 0), -1, axis)


@activation()
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return ``x`` above 0, ``alpha * (exp(x) - 1)`` below."""
    return _by_kernel("elu", x, alpha)


@activation()
def celu(x: Array, alpha: float = 1.0) -> Array:
    """Return ``x`` above 0, ``alpha * (exp(x / alpha) - 1)`` below."""
    if alpha == 1:
        return _by_kernel("elu", x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


@activation()
def selu(x: Array) -> Array:
    """Return the scaled :func:`elu` that keeps mean 0 and variance 1.

    Klambauer et al., "Self-Normalizing Neural Networks", 2017, equation 14.
    """
    return _by_kernel("selu", x)


@activation()
def softplus(x: Array) -> Array:
    """Return ``log(1 + exp(x))``."""
    return _by_kernel("softplus", x)


@activation()
def softsign(x: Array) -> Array:
    """Return ``x / (1 + |x|)``."""
    return _by_kernel("softsign", x)


@activation()
def squareplus(x: Array, b: float = 4) -> Array:
    """Return ``(x + sqrt(x**2 + b)) / 2``."""
    y: Array = (x + np.sqrt(x * x + b)) / 2
    return y


@activation()
def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Return ``x`` moved towards 0 by ``threshold``; 0 within it."""
    y: Array = x - np.clip(x, -threshold, threshold)
    return y


@activation()
def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Return ``x`` where its magnitude exceeds ``threshold``, else 0."""
    return np.where(np.abs(x) <= threshold, x.dtype.type(0), x)


@activation()
def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """Return ``x`` above ``threshold``, else ``default_value``."""
    return np.where(x <= threshold, x.dtype.type(default_value), x)


@activation()
def sparse_plus(x: Array) -> Array:
    """Return 0 below -1, ``(x + 1)**2 / 4`` to 1, ``x`` above."""
    return np.where(x >= 1, x, np.square(np.clip(x, -1, 1) + 1) / 4)


@activation()
def sparse_sigmoid(x: Array) -> Array:
    """Return ``(x + 1) / 2`` clipped to 0 .. 1."""
    return np.clip((x + 1) / 2, 0, 1)


@activation()
def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``."""
    return _by_kernel("sigmoid", x)


@activation()
def log_sigmoid(x: Array) -> Array:
    """Return ``log(1 / (1 + exp(-x)))``."""
    return _by_kernel("log_sigmoid", x)


@activation()
def hard_sigmoid(x: Array) -> Array:
    """Return ``x / 6 + 1/2`` clipped to 0 .. 1."""
    return _by_kernel("hard_sigmoid", x)


@activation("swish")
def silu(x: Array) -> Array:
    """Return ``x * sigmoid(x)``."""
    return _by_kernel("silu", x)


@activation("hard_swish")
def hard_silu(x: Array) -> Array:
    """Return ``x * hard_sigmoid(x)``."""
    return _by_kernel("hard_silu", x)


@activation()
def gelu(x: Array, approximate: bool = False) -> Array:
    """Return ``x`` times the probability that a standard normal number is below ``x``.

    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016; ``approximate`` takes their tanh formula.
    """
    if approximate:
        return x * (0.5 + 0.5 * np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    return _by_kernel("gelu", x)


@activation()
def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    return _by_kernel("tanh", x)


@activation()
def tanh_shrink(x: Array) -> Array:
    """Return ``x - tanh(x)``."""
    y: Array = x - np.tanh(x)
    return y


@activation()
def hard_tanh(x: Array) -> Array:
    """Return ``x`` clipped to -1 .. 1."""
    return _by_kernel("hard_tanh", x)


@activation()
def mish(x: Array) -> Array:
    """Return ``x * tanh(softplus(x))``."""
    return _by_kernel("mish", x)


@activation()
def exponential(x: Array) -> Array:
    """Return ``exp(x)``."""
    return _by_kernel("exponential", x)


@activation(elementwise=False)
def glu(x: Array, axis: int = -1) -> Array:
    """Return the first half of ``x`` along ``axis`` times the sigmoid of the second.

    Raises
    ------
    ValueError
        The axis has an odd number of entries.
    """
    if x.shape[axis] % 2:
        raise ValueError(f"x must have an even size on axis {axis}, received shape {x.shape}")
    values, gates = np.split(x, 2, axis)
    y: Array = values / (1 + np.exp(-gates))
    return y
