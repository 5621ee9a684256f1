"""Sequential: layers one after the other as one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cyconv.arrays import as_array
from cyconv.geometry import shown
from cyconv.layers.base import (
    REGISTRY,
    REPLACING,
    Array,
    Layer,
    Shape,
    State,
    as_shape,
    deserialize,
    dtype_policy,
    reading_config,
    serialize,
)
from cyconv.layers.input import InputLayer


@REGISTRY.add()
class Sequential(Layer):
    """Layers that are called one after the other.

    Parameters
    ----------
    layers : iterable of Layer, optional
        Layers and models; an ``Input`` may come first, and the model is then built at once.
    trainable : bool
        False makes all layers count as not trainable.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import Sequential, layers
    >>> model = Sequential([layers.Input((10, 3)), layers.Conv1D(2, 4, padding="same", use_bias=False)])
    >>> model(np.ones((5, 10, 3))).shape
    (5, 10, 2)
    >>> model.count_params()
    24
    """

    keras_module = "keras"

    def __init__(self, layers: Iterable[Layer] | None = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        try:
            added = list(() if layers is None else layers)
        except TypeError:
            raise TypeError(f"layers must be an iterable of layers, received {shown(layers)}") from None
        for layer in added:
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Layer) -> None:
        """Add a layer at the end, built where the model's input shape is known.

        Raises
        ------
        TypeError
            ``layer`` is no layer.
        ValueError
            An ``Input`` that is not the first, another layer of the same name, or a layer that cannot take
            the outputs of the one before. The model is not changed.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be a layer of cyconv's, received {shown(layer)}")
        if isinstance(layer, InputLayer):
            if self._layers or self._input is not None:
                raise ValueError(f"an Input must come first in {self.name} and only once, received {shown(layer)}")
            self._input = layer
            self._input_shape = layer.batch_shape
            return
        if layer is self or self in _tree(layer):
            raise ValueError(f"{self.name} cannot hold itself")
        if any(layer.name == other.name and layer is not other for other in self._layers):
            names = ", ".join(other.name for other in self._layers)
            raise ValueError(f"layers must have names of their own, received {layer.name!r} beside {names}")
        if self._input_shape is not None:
            layer.build(self.compute_output_shape(self._input_shape))
        self._layers.append(layer)
        self.built = self._input_shape is not None

    def pop(self) -> Layer:
        """Remove the last layer and return it.

        Raises
        ------
        IndexError
            There is none.
        """
        if not self._layers:
            raise IndexError(f"{self.name} has no layers")
        layer = self._layers.pop()
        self.built = bool(self._layers) and self.built
        return layer

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the ``Input``."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of that name or at that index.

        Raises
        ------
        TypeError
            ``name`` is no string, or ``index`` no int.
        ValueError
            There is none, or not exactly one argument is given.
        """
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a string, received {shown(name)}")
        if not isinstance(index, int | np.integer | None):
            raise TypeError(f"index must be an int, received {shown(index)}")
        if (name is None) == (index is None):
            raise ValueError(f"expected name or index, received name={shown(name)}, index={shown(index)}")
        found = [layer for i, layer in enumerate(self._layers) if layer.name == name or i == index]
        if not found:
            names = ", ".join(layer.name for layer in self._layers)
            raise ValueError(f"{self.name} has the layers {names}, received name={shown(name)}, index={shown(index)}")
        return found[0]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int) -> Layer:
        return self._layers[index]

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Build all layers for inputs of ``input_shape``, by default the ``Input``'s.

        Raises
        ------
        ValueError
            There are no layers, the shape is not the ``Input``'s, or a layer cannot take what the one before
            gives.
        """
        if not self._layers:
            raise ValueError(f"{self.name} has no layers to build")
        if input_shape is None:
            if self._input is None:
                raise ValueError(f"input_shape must be given, since {self.name} has no Input")
            input_shape = self._input.batch_shape
        shape = as_shape(input_shape, "input_shape")
        self._check_input(shape)
        self.compute_output_shape(shape)  # before anything is built
        passed: Shape = shape
        for layer in self._layers:
            layer.build(passed)
            passed = layer.compute_output_shape(passed)
        self._input_shape = shape
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the output's shape; None is an unknown size in both."""
        shape = as_shape(input_shape, "input_shape")
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def input_shape(self) -> Shape:
        """The shape that the model is built for."""
        if self._input_shape is None:
            raise AttributeError(f"{self.name} has no input shape yet: call it, build it or give it an Input")
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the outputs for :attr:`input_shape`."""
        return self.compute_output_shape(self.input_shape)

    def __call__(self, inputs: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the outputs of the last layer.

        Parameters
        ----------
        inputs : array_like
            What the first layer takes.
        out : ndarray, optional
            What the last layer takes as its ``out``.

        Raises
        ------
        TypeError, ValueError
            As the layers do, or the inputs' shape is not the ``Input``'s.
        """
        inputs = as_array(inputs, "inputs")
        if self._input is not None:
            self._check_input(inputs.shape)
        if not self.built:
            self.build(inputs.shape)
        with REPLACING:
            steps = [(layer, layer._state) for layer in self._path()]
        return _run(steps, inputs, out)

    def _compute(self, state: State, inputs: npt.ArrayLike, out: Array | None) -> Array:
        return self(inputs, out)

    def _path(self) -> Iterator[Layer]:
        """Yield the layers that a call goes through, those of nested models in their places."""
        for layer in self._layers:
            if isinstance(layer, Sequential):
                yield from layer._path()
            else:
                yield layer

    def _leaves(self) -> list[Layer]:
        return list(dict.fromkeys(self._path()))

    def _built_state(self) -> State:
        return self._state

    @property
    def trainable(self) -> bool:
        """Whether the weights count as trainable; assigning it assigns it to all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in getattr(self, "_layers", ()):
            layer.trainable = bool(value)

    def _check_input(self, shape: Shape) -> None:
        if self._input is None:
            return
        expected = self._input.batch_shape
        fits = len(shape) == len(expected) and all(
            a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
        )
        if not fits:
            raise ValueError(f"inputs of {self.name} must have the Input's shape {expected}, received shape {shape}")

    def get_config(self) -> dict[str, Any]:
        """Return the layers and the shape they are built for, as Keras writes them."""
        layers: list[Layer] = [*([] if self._input is None else [self._input]), *self._layers]
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policy(self.dtype),
            "layers": [serialize(layer) for layer in layers],
        }
        if self.built:
            config["build_input_shape"] = self._input_shape
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Return a model from a configuration, cyconv's or Keras's; weights are not part of one.

        Nothing in it is evaluated or imported.

        Raises
        ------
        TypeError
            ``config`` is no dict, or has no list of layers.
        ValueError
            A layer's class is none of cyconv's, models are nested more than 50 deep, or more than 2**28 weights
            would be built.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), (list, tuple)):
            raise TypeError(f"config must be a dict with a list of layers, received {shown(config)}")
        with reading_config():
            model = cls([deserialize(layer) for layer in config["layers"]], name=config.get("name"))
            model._trainable = bool(config.get("trainable", True))  # the layers have their own
            shape = config.get("build_input_shape")
            if shape is not None and not model.built:
                model.build(shape)
        return model

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print a table of the layers, their output shapes and their parameters.

        Parameters
        ----------
        line_length : int, optional
            Least width of the table.
        print_fn : callable, optional
            Called with each line; by default ``print``.
        expand_nested : bool
            Whether the layers of nested models have rows of their own.
        show_trainable : bool
            Whether a column says which layers are trainable.

        Examples
        --------
        >>> from cyconv import Sequential, layers
        >>> inputs = layers.Input((10, 3))
        >>> Sequential([inputs, layers.Conv1D(2, 4, padding="same", name="c")], name="model").summary()
        Model: "model"
        ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
        ┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
        ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
        │ c (Conv1D)                      │ (None, 10, 2)          │            26 │
        └─────────────────────────────────┴────────────────────────┴───────────────┘
         Total params: 26 (104.00 B)
         Trainable params: 26 (104.00 B)
         Non-trainable params: 0 (0.00 B)
        """
        rows = list(self._rows(self._input_shape if self.built else None, expand_nested))
        lines = [f'Model: "{self.name}"', *_table(rows, show_trainable, line_length or 0)]
        groups = {
            "Total": self.weights,
            "Trainable": self.trainable_weights,
            "Non-trainable": self.non_trainable_weights,
        }
        for kind, arrays in groups.items():
            size = _memory(sum(array.nbytes for array in arrays))
            lines.append(f" {kind} params: {sum(array.size for array in arrays):,} ({size})")
        for line in lines:
            (print_fn or print)(line)

    def _rows(self, shape: Shape | None, expand: bool, indent: str = "") -> Iterator[tuple[str, str, str, str]]:
        """Yield each layer's (name and type, output shape, parameters, trainable) for inputs of ``shape``."""
        for layer in self._layers:
            output = None if shape is None else layer.compute_output_shape(shape)
            name = f"{indent}{layer.name} ({type(layer).__name__})"
            params = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
            yield name, "?" if output is None else str(output), params, "Y" if layer.trainable else "N"
            if expand and isinstance(layer, Sequential):
                yield from layer._rows(shape, expand, indent=" " * max(len(indent) - 2, 0) + "   └ ")
            shape = output


def _run(steps: list[tuple[Layer, State]], inputs: npt.ArrayLike, out: Array | None) -> Array:
    """Return the outputs of layers called one after the other, each with the given weights."""
    last = len(steps) - 1
    for i, (layer, state) in enumerate(steps):
        goal = out if i == last else None
        plan = state.last
        outputs = None if plan is None else plan(inputs, goal)
        inputs = layer._compute(state, inputs, goal) if outputs is None else outputs
    return np.asarray(inputs)


def _tree(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and, for a model, all that it holds."""
    yield layer
    if isinstance(layer, Sequential):
        for inner in layer:
            yield from _tree(inner)


# The summary's columns: head, least width, alignment.
_COLUMNS = (("Layer (type)", 31, "<"), ("Output Shape", 22, "<"), ("Param #", 13, ">"), ("Trainable", 9, "^"))


def _table(rows: list[tuple[str, str, str, str]], show_trainable: bool, line_length: int) -> list[str]:
    """Return the lines of a table with the heads of ``_COLUMNS``, as wide as its cells need."""
    columns = _COLUMNS if show_trainable else _COLUMNS[:3]
    cells = [[row[i] for row in rows] for i in range(len(columns))]
    widths = [max([least, *map(len, column)]) for (_, least, _), column in zip(columns, cells, strict=True)]
    widths[0] += max(line_length - sum(widths) - 3 * len(widths) - 1, 0)

    def rule(left: str, line: str, cross: str, right: str) -> str:
        return left + cross.join(line * (width + 2) for width in widths) + right

    def row(items: Iterable[str], bar: str) -> str:
        aligned = [
            f" {item:{align}{width}} " for item, width, (_, _, align) in zip(items, widths, columns, strict=True)
        ]
        return bar + bar.join(aligned) + bar

    head = [rule("┏", "━", "┳", "┓"), row((head for head, _, _ in columns), "┃"), rule("┡", "━", "╇", "┩")]
    body = [row(items, "│") for items in zip(*cells, strict=True)]
    between = rule("├", "─", "┼", "┤")
    lines = [line for text in body for line in (text, between)][:-1]
    return [*head, *lines, rule("└", "─", "┴", "┘")]


def _memory(size: float) -> str:
    """Return a number of bytes as text."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"
