"""Which kernels were built, which of them this CPU runs, and which are in use.

The kernels of one instruction set (ISA) and dtype are a module, ``_<isa>_<dtype>``, compiled from kernel.pyx.
The CPU is asked before one is imported.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from cyconv.kernels import isa as _table
from cyconv.plan import cpu_runs

DTYPES = ("float32", "float64")


def built() -> list[str]:
    """Return the ISAs whose kernels were compiled, from plain to best."""
    return [isa for isa in _table.flags() if all(find_spec(_module(isa, d)) for d in DTYPES)]


def available() -> list[str]:
    """Return the ISAs that were compiled and that this CPU runs, from plain to best."""
    return [isa for isa in built() if cpu_runs(isa)]


def current() -> str:
    """Return the ISA of the plans made from now on."""
    return _current


def load(dtype: str) -> Any:
    """Return the capsule of the current ISA's kernels for a dtype."""
    return importlib.import_module(_module(_current, dtype)).kernels


@contextmanager
def using(isa: str) -> Iterator[str]:
    """Make plans for another ISA inside a ``with`` block; plans that exist already keep theirs.

    Raises
    ------
    ValueError
        ``isa`` was not compiled, or this CPU does not run it.
    """
    global _current
    before, _current = _current, _checked(isa, "isa")
    try:
        yield isa
    finally:
        _current = before


def _module(isa: str, dtype: str) -> str:
    return f"cyconv.kernels._{isa}_{dtype}"


def _checked(isa: str, name: str) -> str:
    if isa not in available():
        why = "this CPU does not run it" if isa in built() else "it was not compiled"
        raise ValueError(f"{name} must be one of {available()}, received {isa!r}: {why}")
    return isa


_wanted = os.environ.get("CYCONV_ISA")
if not available():
    raise ModuleNotFoundError("cyconv's kernels were not compiled", name="cyconv.kernels")
_current = _checked(_wanted, "environment variable CYCONV_ISA") if _wanted else available()[-1]
