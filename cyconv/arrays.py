"""Arrays from whatever a caller hands over, real numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cyconv.geometry import shown


def as_array(value: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return a real array as it is, anything array-like as an array.

    Parameters
    ----------
    value : array_like
        Also an object that has ``__dlpack__`` alone.
    name : str
        The argument's name, for messages.

    Raises
    ------
    TypeError
        The values are bool, complex, wider than 64 bits or no numbers.
    """
    if type(value) is np.ndarray:
        if value.dtype.char in "fd":  # as nearly always
            return value
    else:
        try:
            if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
                value = np.from_dlpack(value)  # type: ignore[arg-type]
            value = np.asarray(value)
        except (TypeError, ValueError, BufferError) as error:
            raise TypeError(f"{name} must be an array of real numbers, received {shown(value)}: {error}") from None
    if value.dtype.kind not in "fiu" or value.dtype.itemsize > 8:
        raise TypeError(f"{name} must be an array of real numbers of at most 64 bits, received dtype {value.dtype}")
    return value
