"""Constraints: projections of a weight onto a set of allowed values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cyconv.registry import Configurable, Registry

REGISTRY = Registry("constraint", "keras.constraints")
get = REGISTRY.get
serialize = REGISTRY.serialize

# Added to a norm before division, as Keras does.
EPSILON = 1e-7


class Constraint(Configurable):
    """Base of the constraints: a function of a weight that returns an allowed one of the same shape."""

    def __call__(self, w: npt.NDArray[Any]) -> Any:
        """Return the projection of ``w``, of its dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w)")


@REGISTRY.add("max_norm")
class MaxNorm(Constraint):
    """Weights whose norm over ``axis`` is at most ``max_value``.

    Parameters
    ----------
    max_value : float
    axis : int or sequence of int
        The axes that one norm is taken over: (0, 1, 2) for each filter of a ``Conv2D`` kernel.

    Examples
    --------
    >>> MaxNorm(2.5)(np.array([[3.0, 0.0], [4.0, 1.0]])).round(5).tolist()
    [[1.5, 0.0], [2.0, 1.0]]
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: npt.NDArray[Any]) -> Any:
        """Return the projection of ``w``."""
        norms = _norms(w, self.axis)
        return w * (np.clip(norms, 0, self.max_value) / (EPSILON + norms))


@REGISTRY.add("non_neg")
class NonNeg(Constraint):
    """Weights that are not negative.

    Examples
    --------
    >>> NonNeg()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: npt.NDArray[Any]) -> Any:
        """Return the projection of ``w``."""
        return np.maximum(w, 0)


@REGISTRY.add("unit_norm")
class UnitNorm(Constraint):
    """Weights whose norm over ``axis`` is 1.

    Parameters
    ----------
    axis : int or sequence of int
        As for :class:`MaxNorm`.
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: npt.NDArray[Any]) -> Any:
        """Return the projection of ``w``."""
        return w / (EPSILON + _norms(w, self.axis))


@REGISTRY.add("min_max_norm")
class MinMaxNorm(Constraint):
    """Weights whose norm over ``axis`` lies between ``min_value`` and ``max_value``.

    Parameters
    ----------
    min_value, max_value : float
    rate : float
        How far the norm is moved to the allowed interval: 1 all the way, 0 not at all.
    axis : int or sequence of int
        As for :class:`MaxNorm`.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: npt.NDArray[Any]) -> Any:
        """Return the projection of ``w``."""
        norms = _norms(w, self.axis)
        desired = self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (desired / (EPSILON + norms))


def _norms(w: npt.NDArray[Any], axis: int | Sequence[int]) -> npt.NDArray[Any]:
    """Return the Euclidean norms of ``w`` over ``axis``, which stays with size 1."""
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    norms: npt.NDArray[Any] = np.sqrt(np.square(w).sum(axis=axes, keepdims=True))
    return norms
