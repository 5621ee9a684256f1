"""What the schedule chooses, forced: for tests that no choice changes a bit of a result."""

import contextlib

import numpy as np
import pytest
from strategies import DTYPES

from cyconv import blocks, ops, planes, schedule, tasks, winograd

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


@contextlib.contextmanager
def scheduled(**choices):
    """Plans are made, and their work is shared, with other constants and functions."""
    if "STREAM_BYTES" in choices:  # of results that are stored past the caches: no cache holds them
        choices = {"LAST_BYTES": 0, **choices}
    with pytest.MonkeyPatch.context() as patch:
        for name, choice in choices.items():
            owners = [module for module in (schedule, planes, winograd, blocks, tasks) if hasattr(module, name)]
            assert owners, name
            for module in owners:
                patch.setattr(module, name, choice)
        ops._template.cache_clear()
        try:
            yield
        finally:
            ops._template.cache_clear()


def priced(name, cycles):
    """Return a choice of `schedule` for dense layers of planes at another price, where it fits."""
    choose = getattr(schedule, name)

    def at_price(*arguments, **options):
        price, fields = choose(*arguments, **options)
        return (cycles if price < np.inf else price), fields

    return at_price


def by_planes(tiled=np.inf, walked=np.inf, tapped=np.inf):
    """Return what makes layers take vectors of pixels, in tiles, down planes or tap after tap, at these prices."""
    return {
        "planar_blocking": priced("planar_blocking", tiled),
        "walk_blocking": priced("walk_blocking", walked),
        "tap_blocking": priced("tap_blocking", tapped),
        "dots": never,
    }


def never(*_):
    return False
