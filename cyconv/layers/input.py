"""Input: the shape that a model is built for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cyconv.geometry import shown
from cyconv.layers.base import REGISTRY, Array, Layer, Shape, State, as_shape


@REGISTRY.add("Input")
class InputLayer(Layer):
    """The shape of a model's inputs, as the first item of a ``Sequential``.

    Parameters
    ----------
    shape : sequence of int or None
        Without the batch; None is an unknown size.
    batch_size : int, optional
    dtype : dtype_like, optional
        What the inputs are. It is noted in the configuration; each layer casts to its own dtype.
    sparse, ragged, optional : bool
        For configurations of Keras's; True is refused.
    batch_shape : sequence of int or None, optional
        The batch and the shape in one, instead of the two.
    name : str, optional

    Examples
    --------
    >>> Input((10, 3)).batch_shape
    (None, 10, 3)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: npt.DTypeLike | None = None,
        sparse: bool | None = False,
        ragged: bool | None = False,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        super().__init__(name)
        for argument, value in {"sparse": sparse, "ragged": ragged, "optional": optional}.items():
            if value:
                raise ValueError(f"{argument} must be False: inputs are dense arrays, received {shown(value)}")
        if (shape is None) == (batch_shape is None) or (batch_size is not None and shape is None):
            raise ValueError(
                "expected shape, with or without batch_size, or else batch_shape, received "
                f"shape={shown(shape)}, batch_size={shown(batch_size)}, batch_shape={shown(batch_shape)}"
            )
        whole: Any = batch_shape
        if shape is not None:
            whole = (batch_size, *as_shape([None, *_items(shape)], "shape")[1:])
        self.batch_shape: Shape = as_shape(whole, "batch_shape")
        self.dtype = np.dtype(np.float32 if dtype is None else dtype).name
        self.built = True

    @property
    def shape(self) -> Shape:
        """The shape with the batch, as Keras's ``Input`` has it."""
        return self.batch_shape

    def __call__(self, inputs: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return ``inputs`` as an array."""
        return self._compute(self._state, inputs, out)

    def _compute(self, state: State, inputs: npt.ArrayLike, out: Array | None) -> Array:
        array: Array = np.asarray(inputs)
        if out is None:
            return array
        out[...] = array
        return out

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Do nothing: there are no weights."""

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return ``input_shape``."""
        return as_shape(input_shape, "input_shape")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras writes them."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": False,
        }


Input = InputLayer


def _items(shape: Any) -> Any:
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"shape must be a tuple of ints and Nones, received {shown(shape)}")
    return shape
