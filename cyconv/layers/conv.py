"""Conv1D and Conv2D: dense and grouped convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from cyconv.layers.base import REGISTRY, Weight
from cyconv.layers.convolution import Convolution


class Conv(Convolution):
    """Base of :class:`Conv1D` and :class:`Conv2D`."""

    _op = "conv"
    _roles = {"kernel": "kernel", "bias": "bias"}

    kernel = Weight()
    bias = Weight()

    filters: int
    groups: int
    kernel_initializer: Callable[..., Any]
    kernel_regularizer: Callable[..., Any] | None
    kernel_constraint: Callable[..., Any] | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
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
            Window, one size for all spatial axes or one for each.
        strides : int or sequence of int
        padding : {"valid", "same", "causal"}, int or sequence of (int, int)
            "causal" for one spatial axis only. Beyond Keras: an int pads both ends of every spatial axis, and
            pairs give the zeros (before, after) of each.
        data_format : {"channels_last", "channels_first"}, optional
            None means "channels_last".
        dilation_rate : int or sequence of int
            Together with strides too, which Keras refuses.
        groups : int
            Divides the input's channels and ``filters``.
        activation : str, callable, dict or None
            A name from :mod:`cyconv.activations`, or any function of an array.
        use_bias : bool
        kernel_initializer, bias_initializer : str, callable, dict or array
            A name or an instance from :mod:`cyconv.initializers`, any function of (shape, dtype), or the
            values.
        kernel_regularizer, bias_regularizer : str, callable, dict or None
            A name or an instance from :mod:`cyconv.regularizers`, or any function of an array; see
            :attr:`losses`.
        activity_regularizer : str, callable, dict or None
            The same for the outputs.
        kernel_constraint, bias_constraint : str, callable, dict or None
            A name or an instance from :mod:`cyconv.constraints`, or any function of an array; see
            :meth:`apply_constraints`.
        name : str, optional
        dtype : {"float32", "float64"}, optional
            Of weights and outputs; inputs are cast to it. None means "float32".
        trainable : bool
            Whether the weights count as trainable.

        Raises
        ------
        TypeError
            An argument of a kind that it does not take.
        ValueError
            A size that is not positive, an unknown name, or filters that groups do not divide.
        """
        super().__init__(locals())
        if self.filters % self.groups:
            raise ValueError(f"filters must be divisible by groups, received {self.filters} and {self.groups}")

    def _weight_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        if channels % self.groups:
            raise ValueError(f"channels of inputs must be divisible by groups, received {channels} and {self.groups}")
        return {"kernel": (*self.kernel_size, channels // self.groups, self.filters), "bias": (self.filters,)}

    def _output_channels(self, channels: int | None) -> int | None:
        return self.filters


@REGISTRY.add()
class Conv1D(Conv):
    """Convolution over one axis: of a sequence or a recording.

    Inputs (batch, steps, channels) give outputs (batch, new_steps, filters); "channels_first" puts the
    channels before the steps in both. The weights are ``kernel`` ``(kernel_size, channels // groups,
    filters)`` and ``bias`` ``(filters,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> smooth = layers.Conv1D(1, 2, padding="causal", kernel_initializer="ones", use_bias=False)
    >>> smooth(np.arange(4.0).reshape(1, 4, 1)).ravel().tolist()
    [0.0, 1.0, 3.0, 5.0]
    """

    rank = 1


@REGISTRY.add()
class Conv2D(Conv):
    """Convolution over two axes: of an image.

    Inputs (batch, height, width, channels) give outputs (batch, new_height, new_width, filters);
    "channels_first" puts the channels before the height in both. The weights are ``kernel`` ``(*kernel_size,
    channels // groups, filters)`` and ``bias`` ``(filters,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import layers
    >>> layer = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
    >>> layer(np.ones((1, 32, 32, 3))).shape
    (1, 16, 16, 8)
    >>> layer.kernel.shape
    (3, 3, 3, 8)
    """

    rank = 2
