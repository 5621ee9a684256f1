"""Regularizers: penalties on weights and outputs."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cyconv.geometry import shown
from cyconv.registry import Configurable, Registry

REGISTRY = Registry("regularizer", "keras.regularizers")
get = REGISTRY.get
serialize = REGISTRY.serialize


class Regularizer(Configurable):
    """Base of the regularizers: a function of an array that returns a number."""

    def __call__(self, x: npt.NDArray[Any]) -> Any:
        """Return the penalty of ``x``, of its dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x)")


@REGISTRY.add("l1_l2", "l1l2")
class L1L2(Regularizer):
    """The penalty ``l1 * sum(|x|) + l2 * sum(x**2)``.

    Parameters
    ----------
    l1, l2 : float
        Not negative.

    Examples
    --------
    >>> float(L1L2(l1=0.5, l2=0.25)(np.array([1.0, -2.0])))
    2.75
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _as_factor(l1, "l1")
        self.l2 = _as_factor(l2, "l2")

    def __call__(self, x: npt.NDArray[Any]) -> Any:
        """Return the penalty of ``x``."""
        return _l1(self.l1, x) + _l2(self.l2, x)


@REGISTRY.add("l1")
class L1(Regularizer):
    """The penalty ``l1 * sum(|x|)``."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _as_factor(l1, "l1")

    def __call__(self, x: npt.NDArray[Any]) -> Any:
        """Return the penalty of ``x``."""
        return _l1(self.l1, x)


@REGISTRY.add("l2")
class L2(Regularizer):
    """The penalty ``l2 * sum(x**2)``."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _as_factor(l2, "l2")

    def __call__(self, x: npt.NDArray[Any]) -> Any:
        """Return the penalty of ``x``."""
        return _l2(self.l2, x)


@REGISTRY.add("orthogonal", "orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """The penalty ``factor`` times the mean |cosine| between the rows, or the columns, of a matrix.

    A kernel of more axes is read as the matrix (taps and channels, filters), where Keras takes matrices only.

    Parameters
    ----------
    factor : float
        Not negative.
    mode : {"rows", "columns"}

    Examples
    --------
    >>> float(OrthogonalRegularizer(1.0)(np.array([[3.0, 4.0], [4.0, -3.0]])))
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: Literal["rows", "columns"] = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', received {shown(mode)}")
        self.factor = _as_factor(factor, "factor")
        self.mode = mode

    def __call__(self, x: npt.NDArray[Any]) -> Any:
        """Return the penalty of ``x``."""
        if x.ndim < 2:
            raise ValueError(f"orthogonal regularizer needs at least 2 axes, received shape {x.shape}")
        matrix = x.reshape(-1, x.shape[-1])
        vectors = matrix if self.mode == "rows" else matrix.T
        norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        unit = vectors / np.maximum(norms, 1e-7)
        cosines = np.abs(unit @ unit.T)
        count = len(vectors)
        pairs = max(count * (count - 1), 1)  # each pair twice, as in the sum
        return x.dtype.type(self.factor) * (cosines.sum() - np.trace(cosines)) / x.dtype.type(pairs)


def _l1(factor: float, x: npt.NDArray[Any]) -> Any:
    return x.dtype.type(factor) * np.abs(x).sum(dtype=x.dtype) if factor else x.dtype.type(0)


def _l2(factor: float, x: npt.NDArray[Any]) -> Any:
    return x.dtype.type(factor) * np.square(x).sum(dtype=x.dtype) if factor else x.dtype.type(0)


def _as_factor(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, received {shown(value)}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, received {shown(value)}")
    return float(value)
