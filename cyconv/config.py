"""What is in use: threads, instruction set, how the extension was built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cyconv import kernels, plan
from cyconv.geometry import as_ints, shown


def _default_threads() -> int:
    """Cores this process may use: CYCONV_NUM_THREADS, OMP_NUM_THREADS, its CPU affinity and its cgroup's quota."""
    for name in ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text:
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(f"environment variable {name} must be a positive integer, received {text!r}")
            return int(text)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota(cores)))


def _quota(cores: int) -> int:
    """Cores of the cgroup's CPU quota (version 2), rounded up; `cores` where there is none."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return cores if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return cores


def set_num_threads(n: int) -> None:
    """Set how many threads calls use from now on, at most.

    Parameters
    ----------
    n : int
        At least 1. Results have the same bits for any number. A forked child process starts with 1, and must keep
        it where its parent used more: GNU OpenMP's threads do not outlive a fork.

    Raises
    ------
    TypeError, ValueError
        `n` is not a positive int.

    Examples
    --------
    >>> import cyconv
    >>> before = cyconv.get_num_threads()
    >>> cyconv.set_num_threads(1)
    >>> cyconv.get_num_threads()
    1
    >>> cyconv.set_num_threads(before)
    """
    plan.set_threads(_as_threads(n) if plan.OPENMP else 1)


@contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """Let calls of this Python thread use at most `n` threads, inside a ``with`` block.

    For servers and pools whose Python threads share the cores. Within another limit, the lower one holds.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        `n` is not a positive int.

    Examples
    --------
    >>> import cyconv
    >>> with cyconv.limit_threads(1):
    ...     cyconv.get_num_threads()
    1
    """
    checked = _as_threads(n)
    before = plan.limit_threads(0)
    plan.limit_threads(min(checked, before or checked))
    try:
        yield
    finally:
        plan.limit_threads(before)


def get_num_threads() -> int:
    """Return how many threads calls from this Python thread use, at most.

    The least of what was set by `set_num_threads`, `limit_threads` and, since the import of cyconv, OpenMP's own
    setting, which threadpoolctl lowers. Always 1 in a build without OpenMP.
    """
    return plan.threads()


def set_flush_denormals(on: bool) -> None:
    """Let numbers below the normal range count as zero while kernels run, or not; at first they do not.

    Some processors take a hundred cycles for arithmetic on such numbers (below 1.2e-38 in float32, 2.2e-308 in
    float64), others none. Every thread's control word is put back at the end of a call.

    Parameters
    ----------
    on : bool

    Raises
    ------
    TypeError
        `on` is not a bool.

    Examples
    --------
    >>> import cyconv, numpy as np
    >>> tiny, one = np.full((1, 1, 1), 1e-40, np.float32), np.ones((1, 1, 1), np.float32)
    >>> cyconv.set_flush_denormals(True)
    >>> cyconv.ops.conv(tiny, one).item()
    0.0
    >>> cyconv.set_flush_denormals(False)
    >>> bool(cyconv.ops.conv(tiny, one).item() > 0)
    True
    """
    if not isinstance(on, (bool, np.bool_)):
        raise TypeError(f"on must be a bool, received {shown(on)}")
    plan.set_flush(bool(on))


def set_winograd(on: bool) -> None:
    """Let dense layers take fewer products than their windows have taps, or not; at first they do where that pays.

    Under windows of 3 x 3, at stride 1, Winograd's minimal filtering takes 16 products where four outputs have 36,
    under rows of three 4 where two have 6: up to twice as fast for layers of some 16 channels and filters or more. On
    random numbers its rounding errors are the smaller ones. Every output still depends on its own window alone, but an
    error scales with the largest values of that window, where that of a sum of products scales with each input times
    its own weight; and the last bits of an output depend on whether its row and column are even or odd.
    `CYCONV_WINOGRAD=0` in the environment turns it off, too.

    Parameters
    ----------
    on : bool
        For functions from now on, and for layers that meet an input shape for the first time.

    Raises
    ------
    TypeError
        `on` is not a bool.

    References
    ----------
    S. Winograd, Arithmetic Complexity of Computations, SIAM, 1980.
    A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.

    Examples
    --------
    >>> import cyconv, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((1, 16, 16, 64), np.float32)
    >>> kernel = rng.standard_normal((3, 3, 64, 64), np.float32)
    >>> fast = cyconv.ops.conv(x, kernel)
    >>> cyconv.set_winograd(False)
    >>> direct = cyconv.ops.conv(x, kernel)
    >>> cyconv.set_winograd(True)
    >>> bool(abs(fast - direct).max() < 1e-5 * abs(direct).max())
    True
    """
    if not isinstance(on, (bool, np.bool_)):
        raise TypeError(f"on must be a bool, received {shown(on)}")
    plan.set_winograd(bool(on))


def _default_winograd() -> bool:
    text = os.environ.get("CYCONV_WINOGRAD", "1").strip()
    if text not in ("0", "1"):
        raise ValueError(f"environment variable CYCONV_WINOGRAD must be 0 or 1, received {text!r}")
    return text == "1"


def _as_threads(n: object) -> int:
    (checked,) = as_ints(n, 1, "n")
    if checked > 1024:
        raise ValueError(f"n must be at most 1024, received {checked}")
    return checked


def info() -> dict[str, Any]:
    """Return what `show_config` prints: version, ISA in use and those available, threads, settings, NumPy."""
    from cyconv import __version__

    return {
        "cyconv": __version__,
        "isa": kernels.current(),
        "isas available": kernels.available(),
        "isas built": kernels.built(),
        "threads": get_num_threads(),
        "openmp": plan.OPENMP,
        "denormals flushed": plan.flush(),
        "winograd": plan.winograd(),
        "numpy": np.__version__,
    }


def show_config() -> None:
    """Print the configuration in use."""
    for name, value in info().items():
        shown = (
            ", ".join(value)
            if isinstance(value, list)
            else "yes"
            if value is True
            else "no"
            if value is False
            else value
        )
        print(f"{name + ':':19s}{shown}")


set_num_threads(_default_threads())
set_winograd(_default_winograd())
if hasattr(os, "register_at_fork"):
    # GNU OpenMP's threads do not live on in a forked child, which would wait for them for ever.
    os.register_at_fork(after_in_child=lambda: plan.set_threads(1))
