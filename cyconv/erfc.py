"""The series by which kernels compute gelu: of ``exp(m**2) * erfc(m)``, m >= 0, in ``2 / (2 + m)``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

FAR = 7.0  # beyond, erfc is below float64's resolution of 1 and the interpolation may stop
DEGREE = 24


def series(itemsize: int) -> list[float]:
    """Return (FAR, the middle of ``2 / (2 + m)``, 1 / half its range, the last term, Chebyshev's coefficients ...).

    Terms that no result of so many bytes would show are left out.
    """
    middle, half = (1 + 2 / (2 + FAR)) / 2, (1 - 2 / (2 + FAR)) / 2

    def scaled_erfc(u: Any) -> Any:
        m = 2 / (middle + half * u) - 2
        return np.exp(m * m) * [math.erfc(value) for value in m]

    coefficients = np.polynomial.chebyshev.chebinterpolate(scaled_erfc, DEGREE)
    last = np.flatnonzero(np.abs(coefficients) > np.finfo(f"f{itemsize}").eps / 64)[-1]
    return [FAR, middle, 1 / half, last, *coefficients[: last + 1]]
