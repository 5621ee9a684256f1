"""DepthwiseConv1D and DepthwiseConv2D: every channel convolved by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from cyconv.layers.base import REGISTRY, Weight
from cyconv.layers.convolution import Convolution


class DepthwiseConv(Convolution):
    """Base of :class:`DepthwiseConv1D` and :class:`DepthwiseConv2D`."""

    _op = "depthwise"
    _roles = {"kernel": "depthwise", "bias": "bias"}

    kernel = Weight()
    bias = Weight()

    depth_multiplier: int
    depthwise_initializer: Callable[..., Any]
    depthwise_regularizer: Callable[..., Any] | None
    depthwise_constraint: Callable[..., Any] | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        dtype: npt.DTypeLike | dict[str, Any] | None = None,
        trainable: bool = True,
    ) -> None:
        """Check the arguments; the weights are made at the first call or by :meth:`build`.

        Parameters
        ----------
        kernel_size : int or sequence of int
            Window, one size for all spatial axes or one for each.
        strides : int or sequence of int
            Unequal ones too, which Keras refuses.
        padding : {"valid", "same", "causal"}, int or sequence of (int, int)
            As for :class:`Conv`; "causal" for one spatial axis only.
        depth_multiplier : int
            Outputs of each channel: output ``c * depth_multiplier + m`` is the m-th of channel c.
        data_format : {"channels_last", "channels_first"}, optional
            None means "channels_last".
        dilation_rate : int or sequence of int
        activation : str, callable, dict or None
        use_bias : bool
        depthwise_initializer, bias_initializer : str, callable, dict or array
        depthwise_regularizer, bias_regularizer, activity_regularizer : str, callable, dict or None
        depthwise_constraint, bias_constraint : str, callable, dict or None
        name, dtype, trainable
            As for :class:`Conv`, like all from ``activation`` on.

        Raises
        ------
        TypeError
            An argument of a kind that it does not take.
        ValueError
            A size that is not positive, or an unknown name.
        """
        super().__init__(locals())

    def _weight_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        return {
            "kernel": (*self.kernel_size, channels, self.depth_multiplier),
            "bias": (channels * self.depth_multiplier,),
        }

    def _output_channels(self, channels: int | None) -> int | None:
        return None if channels is None else channels * self.depth_multiplier


@REGISTRY.add()
class DepthwiseConv1D(DepthwiseConv):
    """Convolution of each channel by itself, over one axis.

    Inputs (batch, steps, channels) give outputs (batch, new_steps, channels * depth_multiplier);
    "channels_first" puts the channels before the steps in both. The weights are ``kernel`` ``(kernel_size,
    channels, depth_multiplier)`` and ``bias`` ``(channels * depth_multiplier,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> layers.DepthwiseConv1D(3, depth_multiplier=2)(np.ones((1, 10, 4))).shape
    (1, 8, 8)
    """

    rank = 1


@REGISTRY.add()
class DepthwiseConv2D(DepthwiseConv):
    """Convolution of each channel by itself, over two axes.

    Inputs (batch, height, width, channels) give outputs (batch, new_height, new_width, channels *
    depth_multiplier); "channels_first" puts the channels before the height in both. The weights are
    ``kernel`` ``(*kernel_size, channels, depth_multiplier)`` and ``bias`` ``(channels * depth_multiplier,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> layers.DepthwiseConv2D(3, padding="same")(np.ones((1, 8, 8, 4))).shape
    (1, 8, 8, 4)
    """

    rank = 2
