"""What all convolution layers share: arguments, weights, plans, and the bias-and-activation tail."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cyconv import activations, constraints, initializers, ops, regularizers
from cyconv.geometry import Padding, as_data_format, as_ints, as_padding, check_elements, output_size, shown
from cyconv.layers.base import REPLACING, Array, Layer, Shape, State, as_dtype, as_shape, count_built, dtype_policy
from cyconv.plan import FUSED

# Plans that a layer keeps, one for each shape of its inputs.
PLANS = 16

# The last word of an argument's name -> where its names are looked up.
FAMILIES: dict[str, Any] = {
    "activation": activations,
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}

# Every other argument -> its check, a function of (value, number of spatial axes, name).
CHECKS: dict[str, Callable[[Any, int, str], Any]] = {
    "filters": lambda value, rank, name: as_count(value, name),
    "groups": lambda value, rank, name: as_count(value, name),
    "depth_multiplier": lambda value, rank, name: as_count(value, name),
    "kernel_size": as_ints,
    "strides": as_ints,
    "dilation_rate": as_ints,
    "padding": lambda value, rank, name: as_padding(value, rank),
    "data_format": lambda value, rank, name: as_data_format(value),
    "use_bias": lambda value, rank, name: as_bool(value, name),
    "dtype": lambda value, rank, name: as_dtype(value),
}


class Convolution(Layer):
    """Base of the convolution layers.

    A family (conv, depthwise, separable) spells its arguments in its constructor and hands them over as a
    dict; a leaf adds the number of spatial axes.

    Attributes
    ----------
    rank : int
        Number of spatial axes.
    """

    rank: ClassVar[int]
    _op: ClassVar[str]
    # Weight -> the first word of its initializer's, regularizer's and constraint's names.
    _roles: ClassVar[Mapping[str, str]]

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding
    data_format: str
    dilation_rate: tuple[int, ...]
    activation: Callable[..., Any]
    use_bias: bool
    bias_initializer: Callable[..., Any]
    bias_regularizer: Callable[..., Any] | None
    activity_regularizer: Callable[..., Any] | None
    bias_constraint: Callable[..., Any] | None

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments["name"], as_bool(arguments["trainable"], "trainable"))
        names = [name for name in arguments if name in CHECKS or _family(name) is not None]
        for name in names:
            setattr(self, name, self._normalised(name, arguments[name]))
        self._arguments = tuple(names)
        self._fused = activations.REGISTRY.name_of(self.activation)
        if self._fused not in FUSED:
            self._fused = None
        self._plan_is_all = self._fused is not None and self.activity_regularizer is None
        self._fixed = frozenset(names)

    # What a family defines.

    def _weight_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights, the bias last."""
        raise NotImplementedError

    def _output_channels(self, channels: int | None) -> int | None:
        raise NotImplementedError

    # What follows.

    def __call__(self, inputs: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the outputs for ``inputs``.

        Parameters
        ----------
        inputs : array_like
            ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` for "channels_first", of any
            float or integer dtype: cast to the layer's.
        out : ndarray, optional
            Takes the outputs: C-contiguous, of the layer's dtype, apart from ``inputs``. While an activation
            that the kernel does not apply runs, it holds the values before it.

        Returns
        -------
        ndarray
            Of the layer's dtype; ``out`` where that was given.

        Raises
        ------
        TypeError
            ``inputs`` are bool, complex or no numbers.
        ValueError
            Their shape does not fit the layer, or ``out`` does not fit the outputs.
        """
        state = self._state
        plan = state.last
        if plan is not None:
            outputs: Array | None = plan(inputs, out)
            if outputs is not None:
                return outputs
        return self._compute(state, inputs, out)

    def _compute(self, state: State, inputs: npt.ArrayLike, out: Array | None) -> Array:
        array = activations.as_real(inputs, "inputs", np.dtype(self.dtype))
        if out is not None and array is not inputs and np.may_share_memory(inputs, out):
            raise ValueError("out must not overlap inputs")  # a plan only sees the copy
        if not state.arrays:
            self.build(array.shape)
            state = self._state
        plan = state.plans.get(array.shape)
        if plan is None:
            plan = self._new_plan(state, array.shape)
        if self._plan_is_all:
            state.last = plan
        outputs: Array = plan(array, out)
        return outputs if self._plan_is_all else self._finished(outputs, out)

    def _new_plan(self, state: State, shape: tuple[int, ...]) -> Any:
        self._check_channels(self._split(shape)[2])
        kernels = tuple(array for name, array in state.arrays.items() if name != "bias")
        plan = ops.plan(
            self._op,
            shape,
            np.dtype(self.dtype),
            kernels,
            state.arrays.get("bias"),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
            activation=self._fused,
        )
        with REPLACING:
            if len(state.plans) >= PLANS:
                del state.plans[next(iter(state.plans))]
            state.plans[shape] = plan
        return plan

    def _finished(self, outputs: Array, out: Array | None) -> Array:
        """Return the outputs after the activation that the kernel did not apply, their penalty noted."""
        if self._fused is None:
            outputs = activations.apply(self.activation, outputs)
            if out is not None and outputs is not out:
                if outputs.shape != out.shape:
                    raise ValueError(f"out must have the activation's shape {outputs.shape}, received {out.shape}")
                out[...] = outputs
                outputs = out
        if self.activity_regularizer is not None:
            number = outputs.dtype.type
            self._activity_losses = [number(self.activity_regularizer(outputs)) / number(max(len(outputs), 1))]
        return outputs

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of ``input_shape``.

        A layer that is built keeps its weights where they fit.

        Parameters
        ----------
        input_shape : sequence of int or None
            ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)`` for "channels_first"; all but
            the channels may be None.

        Raises
        ------
        ValueError
            The layer cannot take such inputs.
        """
        self.compute_output_shape(input_shape)
        shape = as_shape(input_shape, "input_shape")
        channels = self._split(shape)[2]
        if channels is None:
            raise ValueError(f"channels of input_shape must be known, received {shape}")
        shapes = self._weight_shapes(channels)
        if not self.use_bias:
            del shapes["bias"]
        with REPLACING:
            if self.built:
                return
            for name, sizes in shapes.items():
                check_elements(sizes, name)
            count_built(sum(math.prod(sizes) for sizes in shapes.values()))
            self._state = State({name: self._initialized(name, shape) for name, shape in shapes.items()})
            self._input_shape = shape
            self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the output's shape.

        Parameters
        ----------
        input_shape : sequence of int or None
            As for :meth:`build`, and the channels may be None too.

        Examples
        --------
        >>> from cyconv import layers
        >>> layers.Conv1D(4, 3, strides=2).compute_output_shape((None, 11, 3))
        (None, 5, 4)
        """
        batch, spatial, channels = self._split(input_shape)
        self._check_channels(channels)
        paddings = self.padding if isinstance(self.padding, tuple) else (self.padding,) * self.rank
        axes = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, paddings, strict=True)
        sizes = tuple(output_size(*axis) for axis in axes)
        filters = self._output_channels(channels)
        return (batch, filters, *sizes) if self._channels_first else (batch, *sizes, filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras writes them.

        A function of your own stays itself in the configuration; everything else is made of strings, numbers,
        tuples and dicts.
        """
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policy(self.dtype),
        }
        for name in self._arguments:
            family = _family(name)
            value = getattr(self, name)
            if name != "dtype":
                config[name] = value if family is None else family.serialize(value)
        return config

    def _normalised(self, name: str, value: object) -> Any:
        family = _family(name)
        if family is None:
            return CHECKS[name](value, self.rank, name)
        if value is None and family is initializers:
            value = "zeros" if name == "bias_initializer" else "glorot_uniform"
        return family.get(value, name)

    def _role(self, weight: str, what: str) -> Any:
        """Return the weight's initializer, regularizer or constraint."""
        return getattr(self, f"{self._roles[weight]}_{what}")

    def _initialized(self, name: str, shape: tuple[int, ...]) -> Array:
        values = self._role(name, "initializer")(shape, dtype=self.dtype)
        array = activations.as_real(values, f"values of {name}'s initializer", np.dtype(self.dtype))
        if array.shape != shape:
            raise ValueError(f"{name}'s initializer must return shape {shape}, received shape {array.shape}")
        return array

    def _penalties(self) -> list[Any]:
        weights = self._state.arrays.items()
        regularized = [(self._role(name, "regularizer"), array) for name, array in weights]
        return [regularizer(array) for regularizer, array in regularized if regularizer is not None]

    def _constrained(self) -> State:
        arrays = self._state.arrays
        projections = {name: self._role(name, "constraint") for name in arrays}
        projected = {name: project(arrays[name]) for name, project in projections.items() if project}
        return self._checked({**arrays, **projected}) if projected else self._state

    @property
    def _channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _split(self, input_shape: Sequence[int | None]) -> tuple[int | None, Shape, int | None]:
        """Return (batch, spatial sizes, channels)."""
        shape = as_shape(input_shape, "input_shape")
        if len(shape) != self.rank + 2:
            axes = "(batch, channels, *spatial)" if self._channels_first else "(batch, *spatial, channels)"
            raise ValueError(
                f"inputs of {self.name} ({type(self).__name__}) must have {self.rank + 2} axes {axes}, "
                f"received {len(shape)}: shape {shape}"
            )
        if self._channels_first:
            return shape[0], shape[2:], shape[1]
        return shape[0], shape[1:-1], shape[-1]

    def _check_channels(self, channels: int | None) -> None:
        """Raise where the layer cannot take so many channels, or is built for another number."""
        if channels is None:
            return
        self._weight_shapes(channels)
        built = self._split(self._input_shape)[2] if self._input_shape is not None else channels
        if channels != built:
            raise ValueError(
                f"inputs of {self.name} must have the {built} channels that it was built for, "
                f"received {channels} channels"
            )


def as_count(value: object, name: str) -> int:
    """Return ``value`` as a positive int."""
    if isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be an int, received {shown(value)}")
    return as_ints(value, 1, name)[0]


def as_bool(value: object, name: str) -> bool:
    """Return ``value`` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool, received {shown(value)}")
    return bool(value)


def _family(name: str) -> Any:
    """Return the module in which an argument's names are looked up; None for other arguments."""
    return FAMILIES.get(name.rpartition("_")[2])
