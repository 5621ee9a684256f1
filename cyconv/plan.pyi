"""Types of the compiled module `cyconv.plan`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyconv.geometry import Geometry

FUSED: tuple[str, ...]
OPENMP: bool

def cpu_runs(isa: str) -> bool: ...
def set_threads(n: int) -> None: ...
def threads() -> int: ...
def limit_threads(n: int) -> int: ...
def set_flush(on: bool) -> None: ...
def flush() -> bool: ...

class Plan:
    op: str
    geometry: Geometry
    pointwise: Geometry | None
    dtype: np.dtype[Any]
    activation: str | None
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def shares(self) -> dict[str, Any]: ...
    @property
    def workspace_bytes(self) -> int: ...
    def __init__(
        self,
        op: str,
        geometry: Geometry,
        dtype: Any,
        kernels: Any,
        activation: str | None = None,
        pointwise: Geometry | None = None,
    ) -> None: ...
    def pack(self, weights: tuple[NDArray[Any], ...], bias: NDArray[Any] | None = None) -> Plan: ...
    def __call__(self, inputs: Any, out: NDArray[Any] | None = None) -> Any: ...
