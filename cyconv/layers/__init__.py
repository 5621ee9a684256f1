"""Layers: convolutions with Keras's interface, on NumPy arrays."""

from cyconv.layers.base import Layer, deserialize, serialize
from cyconv.layers.conv import Conv1D, Conv2D
from cyconv.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D
from cyconv.layers.input import Input, InputLayer
from cyconv.layers.separable import SeparableConv1D, SeparableConv2D

__all__ = [
    "Conv1D",
    "Conv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Input",
    "InputLayer",
    "Layer",
    "SeparableConv1D",
    "SeparableConv2D",
    "deserialize",
    "serialize",
]
