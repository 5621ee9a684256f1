"""The layers that the tests of layers run, their inputs and their reference."""

import numpy as np
import pytest
import reference

from cyconv import layers

# layer -> (spatial axes, reference, leading arguments)
LAYERS = {
    layers.Conv1D: (1, reference.conv, {"filters": 4, "kernel_size": 3}),
    layers.Conv2D: (2, reference.conv, {"filters": 4, "kernel_size": (3, 2)}),
    layers.DepthwiseConv1D: (1, reference.depthwise_conv, {"kernel_size": 3}),
    layers.DepthwiseConv2D: (2, reference.depthwise_conv, {"kernel_size": (3, 2)}),
    layers.SeparableConv1D: (1, reference.separable_conv, {"filters": 5, "kernel_size": 3}),
    layers.SeparableConv2D: (2, reference.separable_conv, {"filters": 5, "kernel_size": (3, 2)}),
}
CHANNELS = 6
EPS = {"float32": np.finfo(np.float32).eps, "float64": np.finfo(np.float64).eps}

every_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)


def make(kind, **options):
    """A layer with a random bias, so that the bias shows."""
    return kind(**{**LAYERS[kind][2], "bias_initializer": "random_normal", **options})


def inputs_of(layer, batch=2, dtype="float32", size=11):
    spatial = (size, size - 2)[: layer.rank]
    shape = (batch, *spatial, CHANNELS)
    if layer.data_format == "channels_first":
        shape = (batch, CHANNELS, *spatial)
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def expected(layer, x):
    """The reference's outputs, before an activation."""
    layer.build(x.shape)
    op = LAYERS[type(layer)][1]
    kernels = [w for w in layer.weights if w is not layer.bias]
    return op(x, *kernels, layer.strides, layer.padding, layer.data_format, layer.dilation_rate, bias=layer.bias)


def assert_close(got, want, dtype):
    """Reductions here are shorter than 64 products of magnitude below 16."""
    assert got.dtype == dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=32 * EPS[dtype], atol=64 * EPS[dtype])
