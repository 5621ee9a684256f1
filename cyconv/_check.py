"""A float64 reference in plain NumPy and the error that rounding explains, for ``python -m cyconv``.

It shares no code with the rest of the package, so that a mistake there cannot hide here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reference(
    inputs: Array,
    kernels: tuple[Array, ...],
    bias: Array | None = None,
    *,
    depthwise: bool = False,
    strides: int = 1,
    padding: str = "valid",
    dilation_rate: int = 1,
) -> Array:
    r"""Return a channels-last convolution in float64, a sum over the taps of the window.

    Parameters
    ----------
    inputs : ndarray (batch, \*spatial, channels)
    kernels : tuple of ndarray
        One (\*window, channels, filters), or (\*window, channels, multiplier) for a depthwise one.
        Two for a separable one: depthwise, then pointwise.
    bias : ndarray (filters,), optional
    padding : {"valid", "same", "causal"}
        As Keras defines them.

    Returns
    -------
    ndarray of float64 (batch, \*output, filters)
    """
    first, *pointwise = (k.astype(np.float64) for k in kernels)
    depthwise = depthwise or bool(pointwise)
    window = first.shape[:-2]
    reach = [(k - 1) * dilation_rate for k in window]
    pads = [_pads(n, r, strides, padding) for n, r in zip(inputs.shape[1:-1], reach, strict=True)]
    x = np.pad(inputs.astype(np.float64), [(0, 0), *pads, (0, 0)])
    starts = [n - r for n, r in zip(x.shape[1:-1], reach, strict=True)]
    y: Array = np.zeros(1)
    for tap in np.ndindex(*window):
        offsets = [t * dilation_rate for t in tap]
        spatial = (slice(a, a + n, strides) for a, n in zip(offsets, starts, strict=True))
        seen = x[(slice(None), *spatial)]
        y = y + (seen[..., np.newaxis] * first[tap] if depthwise else seen @ first[tap])
    if depthwise:
        y = y.reshape(*y.shape[:-2], -1)
    for kernel in pointwise:
        y = y @ kernel.reshape(kernel.shape[-2:])
    return y if bias is None else y + bias.astype(np.float64)


def bound(inputs: Array, kernels: tuple[Array, ...], bias: Array | None = None, **options: Any) -> Array:
    """Return, for each output, the largest error that its sum of rounded products can have, in any order.

    A sum of n products is off by at most ``n u / (1 - n u)`` times the sum of their magnitudes, ``u = eps/2``
    (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1). ``n`` is the reduction
    length: the taps times the channels, one more for the bias and one for the reference's own rounding.

    Parameters
    ----------
    inputs, kernels, bias, options :
        Those of :func:`reference`; ``inputs.dtype`` says with which precision the result was computed.
    """
    depthwise = options.get("depthwise", False) or len(kernels) == 2
    terms = int(np.prod(kernels[0].shape[:-2])) * (1 if depthwise else kernels[0].shape[-2]) + 2
    if len(kernels) == 2:
        terms += kernels[1].shape[-2]
    nu = terms * float(np.finfo(inputs.dtype).eps) / 2
    weights = tuple(abs(k) for k in kernels)
    return nu / (1 - nu) * reference(abs(inputs), weights, None if bias is None else abs(bias), **options)


def _pads(size: int, reach: int, stride: int, padding: str) -> tuple[int, int]:
    """Return how many zeros Keras puts before and after an axis whose window reaches so far."""
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
        return total // 2, total - total // 2
    return (reach, 0) if padding == "causal" else (0, 0)
