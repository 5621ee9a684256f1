"""SeparableConv1D and SeparableConv2D: a depthwise convolution, then a pointwise one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from cyconv.layers.base import REGISTRY, Weight
from cyconv.layers.convolution import Convolution


class SeparableConv(Convolution):
    """Base of :class:`SeparableConv1D` and :class:`SeparableConv2D`."""

    _op = "separable"
    _roles = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise", "bias": "bias"}

    depthwise_kernel = Weight()
    pointwise_kernel = Weight()
    bias = Weight()

    filters: int
    depth_multiplier: int
    depthwise_initializer: Callable[..., Any]
    pointwise_initializer: Callable[..., Any]
    depthwise_regularizer: Callable[..., Any] | None
    pointwise_regularizer: Callable[..., Any] | None
    depthwise_constraint: Callable[..., Any] | None
    pointwise_constraint: Callable[..., Any] | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        dtype: npt.DTypeLike | dict[str, Any] | None = None,
        trainable: bool = True,
    ) -> None:
        """Check the arguments; the weights are made at the first call or by :meth:`build`.

        Parameters
        ----------
        filters : int
            Output channels.
        kernel_size : int or sequence of int
            Window of the depthwise convolution, one size for all spatial axes or one for each.
        strides, dilation_rate : int or sequence of int
            Of the depthwise convolution.
        padding : {"valid", "same", "causal"}, int or sequence of (int, int)
            Of the depthwise convolution, as for :class:`Conv`; "causal" for one spatial axis only.
        data_format : {"channels_last", "channels_first"}, optional
            None means "channels_last".
        depth_multiplier : int
            Outputs of the depthwise convolution for each channel.
        activation : str, callable, dict or None
            Of the pointwise convolution's outputs; there is none in between.
        use_bias : bool
            Of the pointwise convolution.
        depthwise_initializer, pointwise_initializer, bias_initializer : str, callable, dict or array
        depthwise_regularizer, pointwise_regularizer, bias_regularizer : str, callable, dict or None
        activity_regularizer : str, callable, dict or None
        depthwise_constraint, pointwise_constraint, bias_constraint : str, callable, dict or None
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
            "depthwise_kernel": (*self.kernel_size, channels, self.depth_multiplier),
            "pointwise_kernel": (*[1] * self.rank, channels * self.depth_multiplier, self.filters),
            "bias": (self.filters,),
        }

    def _output_channels(self, channels: int | None) -> int | None:
        return self.filters


@REGISTRY.add()
class SeparableConv1D(SeparableConv):
    """Depthwise, then pointwise convolution over one axis.

    Inputs (batch, steps, channels) give outputs (batch, new_steps, filters); "channels_first" puts the
    channels before the steps in both. The weights are ``depthwise_kernel`` ``(kernel_size, channels,
    depth_multiplier)``, ``pointwise_kernel`` ``(1, channels * depth_multiplier, filters)`` and ``bias``
    ``(filters,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> layers.SeparableConv1D(5, 3)(np.ones((1, 10, 4))).shape
    (1, 8, 5)
    """

    rank = 1


@REGISTRY.add()
class SeparableConv2D(SeparableConv):
    """Depthwise, then pointwise convolution over two axes.

    Inputs (batch, height, width, channels) give outputs (batch, new_height, new_width, filters);
    "channels_first" puts the channels before the height in both. The weights are ``depthwise_kernel``
    ``(*kernel_size, channels, depth_multiplier)``, ``pointwise_kernel`` ``(1, 1, channels * depth_multiplier,
    filters)`` and ``bias`` ``(filters,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> layers.SeparableConv2D(16, 3, padding="same")(np.ones((1, 8, 8, 4))).shape
    (1, 8, 8, 16)
    """

    rank = 2
