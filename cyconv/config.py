"""What is in use: threads, instruction set, how the extension was built."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cyconv import kernels, plan
from cyconv.geometry import as_ints


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
    (checked,) = as_ints(n, 1, "n")
    if checked > 1024:
        raise ValueError(f"n must be at most 1024, received {checked}")
    plan.set_threads(checked if plan.OPENMP else 1)


def get_num_threads() -> int:
    """Return how many threads calls use, at most (always 1 in a build without OpenMP)."""
    return plan.threads()


def info() -> dict[str, Any]:
    """Return what `show_config` prints: version, ISA in use and those available, threads, OpenMP, NumPy."""
    from cyconv import __version__

    return {
        "cyconv": __version__,
        "isa": kernels.current(),
        "isas available": kernels.available(),
        "isas built": kernels.built(),
        "threads": get_num_threads(),
        "openmp": plan.OPENMP,
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
        print(f"{name + ':':16s}{shown}")


set_num_threads(_default_threads())
if hasattr(os, "register_at_fork"):
    # GNU OpenMP's threads do not live on in a forked child, which would wait for them for ever.
    os.register_at_fork(after_in_child=lambda: plan.set_threads(1))
