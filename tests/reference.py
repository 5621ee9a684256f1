"""The oracle: each convolution as plain float64 NumPy, a sum over the taps of the window.

Zeros are added around the input and multiplied by the weights like any other value: that is the rule of
padding, and a zero times an infinite weight is NaN.
"""

import numpy as np

FLOAT = np.float64  # what is computed in


def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, bias=None):
    """Sum over taps of shifted inputs (..., channels) times kernel[tap] (channels // groups, filters)."""
    *window, depth, _ = kernel.shape
    groups = inputs.shape[data_format_axis(data_format)] // depth
    kernel = np.split(kernel.astype(FLOAT), groups, axis=-1)
    outputs = [0.0] * groups
    for tap, shifted in taps(inputs, window, strides, padding, data_format, dilation_rate):
        for g, part in enumerate(np.split(shifted, groups, axis=-1)):
            outputs[g] = outputs[g] + np.einsum("...c,cf->...f", part, kernel[g][tap])
    return finished(np.concatenate(outputs, axis=-1), bias, data_format)


def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, bias=None):
    """Sum over taps of each channel c times kernel[tap][c, j], the output channel c * multiplier + j."""
    *window, channels, multiplier = kernel.shape
    outputs = 0.0
    for tap, shifted in taps(inputs, window, strides, padding, data_format, dilation_rate):
        outputs = outputs + shifted[..., :, np.newaxis] * kernel[tap].astype(FLOAT)
    return finished(outputs.reshape(*outputs.shape[:-2], channels * multiplier), bias, data_format)


def pointwise_conv(inputs, kernel, data_format=None, bias=None):
    """A window of one: kernel (channels, filters), or the same with leading ones."""
    window = (1,) * (inputs.ndim - 2)
    return conv(inputs, kernel.reshape(*window, *kernel.shape[-2:]), data_format=data_format, bias=bias)


def separable_conv(
    inputs,
    depthwise_kernel,
    pointwise_kernel,
    strides=1,
    padding="valid",
    data_format=None,
    dilation_rate=1,
    bias=None,
):
    """Depthwise without bias, then pointwise."""
    depthwise = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return pointwise_conv(depthwise, pointwise_kernel, data_format, bias)


def taps(inputs, window, strides, padding, data_format, dilation_rate):
    """Yield (tap, the padded inputs that it meets, one for each output position), channels last."""
    x = np.moveaxis(inputs.astype(FLOAT), data_format_axis(data_format), -1)
    rank = x.ndim - 2
    strides = np.broadcast_to(strides, rank)
    rates = np.broadcast_to(dilation_rate, rank)
    pads = [zeros_around(*axis, padding, i) for i, axis in enumerate(zip(x.shape[1:], window, strides, rates))]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[1:], window, strides, rates)]
    for tap in np.ndindex(*window):
        first = [t * d for t, d in zip(tap, rates)]
        spatial = [slice(f, f + s * (n - 1) + 1, s) for f, s, n in zip(first, strides, sizes)]
        yield tap, x[(slice(None), *spatial)]


def zeros_around(size, window, stride, dilation_rate, padding, axis):
    """Return how many zeros come before and after one axis."""
    reach = dilation_rate * (window - 1)  # the window sees inputs i ... i + reach
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach, 0
    if padding == "same":
        last = int(np.ceil(size / stride) - 1) * stride  # where the last window starts, were there no zeros
        total = max(last + reach + 1 - size, 0)
        return total // 2, (total + 1) // 2
    if isinstance(padding, int):
        return padding, padding
    return padding[axis]


def data_format_axis(data_format):
    """Return the axis of the channels."""
    return 1 if data_format == "channels_first" else -1


def finished(outputs, bias, data_format):
    """Add the bias and move the channels back to where they belong."""
    if bias is not None:
        outputs = outputs + bias.astype(FLOAT)
    return np.moveaxis(outputs, -1, data_format_axis(data_format))
