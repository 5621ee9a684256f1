"""The layer: name, weights and configuration, which every layer and model has."""

from __future__ import annotations

import itertools
import math
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from cyconv import activations
from cyconv.geometry import as_ints, shown
from cyconv.registry import Registry, from_arguments

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int | None, ...]

REGISTRY = Registry("layer", "keras.layers")
DTYPES = ("float32", "float64")

# Held while weights are replaced, and while a model reads the states of all its layers: a call sees all of
# the old weights or all of the new ones. A single layer's call reads one attribute: it needs the lock only to keep
# a new plan.
REPLACING = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A fork waits for it: held by another thread at that moment, it would never be released in the child.
    os.register_at_fork(before=REPLACING.acquire, after_in_parent=REPLACING.release, after_in_child=REPLACING.release)


class State:
    """The weights of a layer at one time, with the plans made for them; replaced as a whole, never changed.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Read-only, C-contiguous, in the order of ``layer.weights``.
    plans : dict of shape to Plan
        The plans made so far, oldest first.
    last : Plan or None
        The plan to try first; None where a call has more to do than run a plan.
    """

    __slots__ = ("arrays", "last", "plans")

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = {name: _frozen(array) for name, array in arrays.items()}
        self.plans: dict[tuple[int, ...], Any] = {}
        self.last: Any = None

    def __reduce__(self) -> tuple[type[State], tuple[dict[str, Array]]]:
        return State, (self.arrays,)  # plans are made again


class Weight:
    """A weight as an attribute of its layer: reading gives a read-only array, assigning replaces it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Layer | None, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if not layer.built:
            raise AttributeError(f"{layer.name}.{self.name} does not exist yet: call the layer or build(input_shape)")
        return layer._state.arrays.get(self.name)

    def __set__(self, layer: Layer, value: npt.ArrayLike) -> None:
        with REPLACING:
            arrays = layer._built_state().arrays
            if self.name not in arrays:
                raise AttributeError(f"{layer.name} has no {self.name}")
            layer._state = layer._checked({**arrays, self.name: value})


class Layer:
    """Base of layers and models.

    Parameters
    ----------
    name : str, optional
        By default the class's name with a running number.
    trainable : bool
        Whether the weights count as trainable and their penalties as losses.

    Attributes
    ----------
    built : bool
        Whether the weights exist.
    """

    name: str
    trainable: bool
    built: bool = False
    dtype: str = "float32"
    keras_module: ClassVar[str] = REGISTRY.module

    # Constructor arguments, which cannot be assigned later: plans and weights follow from them.
    _fixed: frozenset[str] = frozenset()

    def __init__(self, name: str | None = None, trainable: bool = True) -> None:
        self.name = _as_name(name, type(self).__name__)
        self.trainable = bool(trainable)
        self._state = State({})
        self._input_shape: Shape | None = None
        self._activity_losses: list[Any] = []

    def __setattr__(self, name: str, value: object) -> None:
        if name in self._fixed:
            raise AttributeError(
                f"{name} of {self.name} cannot be changed: make another layer, "
                f"{type(self).__name__}.from_config({{**layer.get_config(), {name!r}: {shown(value, 40)}}})"
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # What a kind of layer defines.

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of ``input_shape``, in which None is an unknown size."""
        raise NotImplementedError(f"{type(self).__name__} must define build(input_shape)")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the output's shape for inputs of ``input_shape``; None is an unknown size in both."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_output_shape(input_shape)")

    def __call__(self, inputs: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the outputs for ``inputs``."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(inputs, out)")

    def _compute(self, state: State, inputs: npt.ArrayLike, out: Array | None) -> Array:
        """Return the outputs with the weights of ``state``."""
        raise NotImplementedError(f"{type(self).__name__} must define _compute(state, inputs, out)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras writes them, for :meth:`from_config` here and there."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config()")

    def _leaves(self) -> list[Layer]:
        """Return the layers that hold weights, each once: for a layer itself."""
        return [self]

    def _penalties(self) -> list[Any]:
        """Return the penalties of the weights."""
        return []

    def _constrained(self) -> State:
        """Return the state after the constraints."""
        return self._state

    # What all have.

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Return a layer from a configuration, cyconv's or Keras's.

        Nothing in it is evaluated or imported.

        Raises
        ------
        TypeError
            ``config`` is no dict or has an argument that the layer does not know.
        ValueError
            A value in it is not allowed.
        """
        if not isinstance(config, Mapping):
            raise TypeError(f"config must be a dict, received {shown(config)}")
        return from_arguments(cls, config)

    @property
    def weights(self) -> list[Array]:
        """The weights, read-only; assign ``layer.kernel`` or call :meth:`set_weights` to replace them."""
        return [array for leaf in self._leaves() for array in leaf._state.arrays.values()]

    @property
    def trainable_weights(self) -> list[Array]:
        """The weights of trainable layers."""
        return [array for leaf in self._leaves() if leaf.trainable for array in leaf._state.arrays.values()]

    @property
    def non_trainable_weights(self) -> list[Array]:
        """The weights of the other layers."""
        return [array for leaf in self._leaves() if not leaf.trainable for array in leaf._state.arrays.values()]

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in the order of :attr:`weights`."""
        return [array.copy() for array in self.weights]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Replace all weights.

        Calls in other threads use all of the old weights or all of the new ones.

        Parameters
        ----------
        weights : sequence of array_like
            As :meth:`get_weights` returns them; cast to the layer's dtype.

        Raises
        ------
        ValueError
            Another number of arrays, an array of another shape, or a layer that is not built. No weight is
            changed.
        TypeError
            No sequence, or an array that is not of real numbers. No weight is changed.
        """
        try:
            values = list(weights)
        except TypeError:
            raise TypeError(f"weights must be a sequence of arrays, received {shown(weights)}") from None
        with REPLACING:
            leaves = self._leaves()
            expected = sum(len(leaf._built_state().arrays) for leaf in leaves)
            if len(values) != expected:
                raise ValueError(f"weights must be {expected} arrays for {self.name}, received {len(values)}")
            rest = iter(values)
            states = [leaf._checked(dict(zip(leaf._state.arrays, rest, strict=False))) for leaf in leaves]
            self._replace(leaves, states)

    def apply_constraints(self) -> None:
        """Replace each weight that has a constraint by its projection.

        Keras does this after each step of an optimizer; here it is done on request.
        """
        with REPLACING:
            leaves = self._leaves()
            self._replace(leaves, [leaf._constrained() for leaf in leaves])

    def count_params(self) -> int:
        """Return the number of scalars in the weights.

        Raises
        ------
        ValueError
            The layer is not built.
        """
        return sum(math.prod(array.shape) for leaf in self._leaves() for array in leaf._built_state().arrays.values())

    @property
    def losses(self) -> list[Any]:
        """The penalties: of the outputs of the last call, then of the trainable weights.

        Each is of its layer's dtype. As in Keras, the penalty of an output is divided by the batch size.
        """
        leaves = self._leaves()
        activity = [loss for leaf in leaves for loss in leaf._activity_losses]
        return activity + [loss for leaf in leaves if leaf.trainable for loss in leaf._penalties()]

    @staticmethod
    def _replace(leaves: list[Layer], states: list[State]) -> None:
        for leaf, state in zip(leaves, states, strict=True):
            leaf._state = state

    def _built_state(self) -> State:
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call it or build(input_shape) first")
        return self._state

    def _checked(self, values: Mapping[str, npt.ArrayLike]) -> State:
        """Return a state of new values for all weights, which must have the shapes of the old ones."""
        dtype = np.dtype(self.dtype)
        arrays = {name: activations.as_real(value, name, dtype) for name, value in values.items()}
        for name, old in self._state.arrays.items():
            if arrays[name].shape != old.shape:
                raise ValueError(
                    f"{name} of {self.name} must have shape {old.shape}, received shape {arrays[name].shape}"
                )
        return State(arrays)


MOST_WEIGHTS = 2**28  # that one configuration builds: 1 GiB in float32
MOST_NESTED = 50  # models in models
_reading: ContextVar[list[int] | None] = ContextVar("_reading", default=None)  # weights left, depth of blocks


@contextmanager
def reading_config() -> Iterator[None]:
    """Bound what is built from a configuration, which may come from a stranger, inside a ``with`` block.

    A model in a model is two blocks: its own dict, and its list of layers.
    """
    bounds = _reading.get()
    token = _reading.set([MOST_WEIGHTS, 0]) if bounds is None else None
    bounds = bounds or _reading.get() or []
    bounds[1] += 1
    try:
        if bounds[1] > 2 * MOST_NESTED:
            raise ValueError(f"config must nest at most {MOST_NESTED} models, received more")
        yield
    finally:
        bounds[1] -= 1
        if token is not None:
            _reading.reset(token)


def count_built(weights: int) -> None:
    """Count weights about to be made; raise where a configuration asks for too many."""
    bounds = _reading.get()
    if bounds is None:
        return
    bounds[0] -= weights
    if bounds[0] < 0:
        raise ValueError(
            f"config must build at most {MOST_WEIGHTS} weights, received one with {MOST_WEIGHTS - bounds[0]} or more: "
            "leave its build_config out and call build(input_shape)"
        )


def serialize(layer: Layer) -> dict[str, Any]:
    """Return Keras's dict of a layer: its class, its configuration and the shape it was built for."""
    serialized: dict[str, Any] = REGISTRY.serialize(layer)
    if not isinstance(serialized, dict):
        raise TypeError(f"layer must be one of {', '.join(REGISTRY.names)}, received {shown(layer)}")
    if layer._input_shape is not None:
        serialized["build_config"] = {"input_shape": layer._input_shape}
    return serialized


def deserialize(config: Mapping[str, Any]) -> Layer:
    """Return the layer of a dict from :func:`serialize` or from Keras, built where the dict says so.

    Raises
    ------
    TypeError
        ``config`` is not such a dict.
    ValueError
        The class is none of cyconv's, or more than 2**28 weights would be built.
    """
    with reading_config():
        layer = REGISTRY.get(config, "config")
        if not isinstance(layer, Layer) or not isinstance(config, Mapping):
            raise TypeError(f"config must be the dict of a layer, received {shown(config)}")
        build_config = config.get("build_config")
        if not isinstance(build_config, Mapping | None):
            raise TypeError(f"build_config must be a dict, received {shown(build_config)}")
        shape = (build_config or {}).get("input_shape")
        if shape is not None and not layer.built:
            layer.build(shape)
    return layer


def as_shape(value: object, name: str, rank: int | None = None) -> Shape:
    """Return ``value`` as a tuple of sizes, of which the first (the batch) may be 0 and all may be None."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of ints and Nones, received {shown(value)}")
    if rank is not None and len(value) != rank:
        raise ValueError(f"{name} must have {rank} axes, received {len(value)}: {shown(tuple(value))}")
    return tuple(
        None if size is None else as_ints((size,), 1, name, minimum=min(axis, 1))[0] for axis, size in enumerate(value)
    )


def as_dtype(value: object) -> str:
    """Return the name of a layer's dtype from a name, a NumPy dtype or Keras's dict of a dtype policy."""
    if value is None:
        return DTYPES[0]
    name: object = value
    if isinstance(value, Mapping):
        config = value.get("config")
        name = config.get("name") if isinstance(config, Mapping) else None
    elif not isinstance(value, str):
        try:
            name = np.dtype(value).name  # type: ignore[call-overload]
        except (TypeError, ValueError):
            name = None
    if name not in DTYPES:
        raise ValueError(f"dtype must be {' or '.join(map(repr, DTYPES))}, received {shown(value)}")
    return str(name)


def dtype_policy(name: str) -> dict[str, Any]:
    """Return Keras's dict of a dtype policy."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


def _frozen(array: Array) -> Array:
    """Return a read-only view of a read-only copy, which nobody can make writable."""
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy.view()


_NUMBERS: dict[str, Iterator[int]] = defaultdict(itertools.count)


def _as_name(name: object, kind: str) -> str:
    if name is None:
        stem = re.sub("(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        number = next(_NUMBERS[stem])
        return f"{stem}_{number}" if number else stem
    if not isinstance(name, str) or not name:
        raise TypeError(f"name must be a string with at least one character, received {shown(name)}")
    return name
