"""Blocks of output pixels that fit a cache, and what every schedule says of them."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd, prod
from typing import TypeAlias

from cyconv.geometry import Geometry
from cyconv.tiles import Target, last_cache, read_cache

LINE_BYTES = 64  # of a cache
NEAR_BYTES = 16 << 20  # of input and output, that a last-level cache still has from the call before
AHEAD_BYTES = 8 << 20  # of input and output, that nearer caches have little of from the call before
STREAM_BYTES = 8 << 20  # of output, that the next reader would not find in a cache
STREAM_PRODUCTS = 8  # of a sum, that take about as long as memory takes a vector of them
LAST_BYTES = last_cache()  # of the last-level cache, 0: not known
STREAM_VECTOR = 32  # bytes of a vector that is stored so: half a line
WAYS = read_cache(189, 8)  # _SC_LEVEL1_DCACHE_ASSOC: lines that a set of the first-level cache holds
WAY_BYTES = 4096  # addresses this far apart share a set

Fields: TypeAlias = dict[str, int]


def most_rows(g: Geometry, fits: Callable[[int, int], bool]) -> int:
    """Return how many whole rows of output fit together, 0 if not even one does."""
    out_h, out_w = g.output_size
    rows = 0
    while rows < out_h and fits(rows + 1, out_w):
        rows += 1
    return rows


def equal_columns(g: Geometry, most: int, least: int, fits: Callable[[int, int], bool]) -> int:
    """Return the columns of as few pieces of a row as fit, of equal size; at least so many are halved no more."""
    out_w = g.output_size[1]
    columns = min(out_w, most)
    while columns > least and not fits(1, columns):
        columns //= 2
    return -(-out_w // -(-out_w // columns))


def equal_blocks(
    g: Geometry, together: int, most: int, least: int, fits: Callable[[int, int], bool]
) -> tuple[int, int, bool]:
    """Return (rows, columns, whether they are pieces of a row) of a depthwise block; tiles take so many rows."""
    rows = most_rows(g, fits)
    if not rows:
        return 1, equal_columns(g, most, least, fits), True
    if together < rows < g.output_size[0]:
        rows -= rows % together
    return rows, g.output_size[1], False


def loaded(outputs: int, window: int, stride: int, dilation_rate: int, splits: bool = True) -> tuple[int, bool]:
    """Return (rows or columns that are loaded for so many of output, whether tap by tap, where that is possible)."""
    spanned = (outputs - 1) * stride + (window - 1) * dilation_rate + 1
    return min((spanned, False), (outputs * window, True)) if splits else (spanned, False)


def loaded_block(g: Geometry, rows: int, columns: int, splits: bool = True) -> tuple[int, dict[str, bool]]:
    """Return (pixels that are loaded for a block of output, schedule fields that say how)."""
    (kh, kw), (sh, sw), (dh, dw) = g.window, g.strides, g.dilation_rate
    (h, split_rows), (w, split_columns) = loaded(rows, kh, sh, dh), loaded(columns, kw, sw, dw, splits)
    return h * w, {"split_rows": split_rows, "split_columns": split_columns}


def apart(elements: int, itemsize: int) -> int:
    """Return how far one copied plane is from the next: an odd number of lines, in different sets of the cache."""
    line = LINE_BYTES // itemsize
    return (-(-elements // line) | 1) * line


def lines(distance: int) -> int:
    """Return how many lines that are so many bytes from each other the first-level cache holds."""
    return WAY_BYTES // gcd(distance, WAY_BYTES) * WAYS


def streams(g: Geometry, target: Target) -> bool:
    """Return whether results go past the caches: they are large, and so are vectors.

    Short sums would wait for memory: they do not go there where half a last-level cache, which others use too, holds
    them and the input, if it is not far itself, and whole lines are stored: parts of one are fetched first.
    """
    vector_bytes = target.lanes * target.itemsize
    large = prod(g.output_shape) * target.itemsize >= STREAM_BYTES and vector_bytes >= STREAM_VECTOR
    held = vector_bytes == LINE_BYTES and not target.intel and touched_bytes(g, target) <= LAST_BYTES // 2
    return large and not (held and prod(g.window) * g.channels // g.groups < STREAM_PRODUCTS)


def touched_bytes(g: Geometry, target: Target) -> int:
    """Return the bytes of input and output."""
    return (prod(g.input_shape) + prod(g.output_shape)) * target.itemsize


def fetch_ahead(g: Geometry, target: Target, outputs: bool) -> int:
    """Return what a layer fetches ahead: 0 nothing, 1 inputs, 2 `outputs`, too."""
    skips = any(stride > window for stride, window in zip(g.strides, g.window, strict=True))  # some of the input
    return (2 if outputs else 1) * (not skips and touched_bytes(g, target) > AHEAD_BYTES)


def scratch_sizes(sizes: dict[str, int], before: int = 0) -> dict[str, int]:
    """Return the bytes of each part of scratch, in whole lines, and of all; so many come before."""
    sizes = {name: -(-size // LINE_BYTES) * LINE_BYTES for name, size in sizes.items()}
    return {**sizes, "scratch_bytes": before + sum(sizes.values())}


UNUSED = {  # by some kernels
    "planar": False,
    "walk": False,
    "direct": False,
    "block_filters": 0,
    "spread": 0,
    "dots": False,
    "short": False,
    "winograd": 0,
    "tiles": 0,
    "together": 1,
    "leave_out": 0,
    "phases": 0,
    "columnwise": False,
    "pieces": 0,
    "siblings": 1,
    "few_taps": False,
    "leads": False,
    "split_rows": False,
    "split_columns": False,
    "collides": False,
    "loaded_channels": 1,
    "fetch_ahead": 0,
    "rows_in_place": 0,
    "strip": 0,
}


def schedule_fields(sizes: dict[str, int], **chosen: int) -> Fields:
    """Return the schedule fields of a ``Conv`` struct that do not depend on the number of threads."""
    return {**UNUSED, **chosen, **scratch_sizes(sizes)}
