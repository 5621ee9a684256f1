"""What a register tile takes: the model, in cycles, that `schedule` compares tiles and ways to meet padding by."""

from __future__ import annotations

import os
import sys
from math import ceil, isqrt, prod
from typing import NamedTuple

from cyconv.geometry import Geometry


def read_cache(name: int, least: int) -> int:
    """Return what glibc says of a core's caches (Python has no names for it), or what all processors at hand have."""
    try:
        return max(os.sysconf(name), least) if sys.platform == "linux" else least
    except (OSError, ValueError):
        return least


def last_cache() -> int:
    """Return what Linux says of the last-level cache that cores share (glibc adds up those of a socket), else 0."""
    try:
        with open("/sys/devices/system/cpu/cpu0/cache/index3/size") as file:
            return int(file.read().removesuffix("K\n")) * 1024
    except (OSError, ValueError):
        return 0


CACHE_BYTES = read_cache(191, 512 * 1024)  # _SC_LEVEL2_CACHE_SIZE, of one core
PLACES = 8  # of pixels, written at a time: some behind those of a dense block
WALKED_SUMS = 24  # of vectors that go down planes: walk.pxi
MOST_PARTS = 512  # that the model looks at: a few milliseconds
UNEVEN = 1.05  # price of filter blocks that are not all equal
# Cycles of a vector of short sums, at least; beside its products; more of one that is stored in part; of what begins a
# part of a block.
SHORT_SUM, SHORT_END, SHORT_PART, SHORT_BEGIN = 2.5, 0.7, 1.0, 40.0
DOT_ENDS = 40  # multiply-adds that begin and end of a tile cost whose vectors are of channels
TRANSPOSE = 6.0  # cycles of a vector of pixels that comes from planes, or goes there
INTERLEAVE = 4.0  # of one of two to four channels that do
ELEMENT = 1.5  # of an element by itself that planes and pixels exchange


class Target(NamedTuple):
    """What tiles are chosen for: an instruction set and dtype on this CPU."""

    lanes: int  # elements of a vector
    itemsize: int  # bytes of an element
    tile_pixels: tuple[int, ...]  # most pixels of a tile by its width in vectors, 0: there is none
    spreads: bool  # whether there are tiles of groups that share a vector
    halves: bool  # whether there are tiles whose last vector is half a one, or is stored in part
    two_passes: bool  # whether a multiply-add of one takes half the time of a vector's
    intel: bool  # whether the CPU is one of Intel's with AVX-512: far caches and loads that meet two lines take long
    dots: int  # sums of a tile whose vectors are of channels, 0: there is none
    products: int  # of a dense sum, at most, for its weights to stay in registers
    winograd: bool = True  # whether 3 x 3 windows may take fewer products than they have taps


def axis_parts(
    size: int, outputs: int, pad: int, window: int, stride: int, dilation_rate: int
) -> list[tuple[int, int]]:
    """Return (outputs, taps) of one axis: neighbouring outputs that meet the input with the same taps, and how many."""
    parts, i = [], 0
    while i < outputs:
        at = i * stride - pad
        first = min(window, max(0, -(at // dilation_rate)))
        last = max(first, min(window, max(0, -((at - size) // dilation_rate))))
        end = outputs
        if first:  # the first output that meets one tap more
            end = min(end, -(((first - 1) * dilation_rate - pad) // stride))
        if first < last:  # the first that has lost the last
            end = min(end, -(((last - 1) * dilation_rate - pad - size) // stride))
        parts.append((end - i, last - first))
        i = end
    return parts


def tap_outputs(size: int, outputs: int, pad: int, window: int, stride: int, dilation_rate: int) -> list[int]:
    """Return how many outputs of one axis meet the input with each tap."""
    places = [tap * dilation_rate - pad for tap in range(window)]
    return [max(0, min(outputs, -((at - size) // stride)) - min(outputs, max(0, -(at // stride)))) for at in places]


def multiply_adds(vectors: float, target: Target) -> float:
    """Return how many a pixel takes of a tile so wide, by the time of one of a whole vector.

    Half a vector takes as long as a whole one, where not half of it; one and a half are three halves.
    """
    return vectors if target.two_passes else 3 if vectors == 1.5 else ceil(vectors)


class Part(NamedTuple):
    """Pixels that a dense layer tiles together."""

    times: float  # how often in an image
    pixels: int  # in a block
    reduction: int  # products of each pixel
    resume: bool = False  # sums are read from the output first


def tile_vectors(vectors: float, parts: list[Part], target: Target, most: int = 4) -> tuple[float, int]:
    """Return (cycles, width) of the register tile, at most so many vectors wide, that takes the fewest cycles.

    What it tiles is so many vectors, of which the last may be half a one.

    The model: two multiply-adds and two loads a cycle, the loads a little beside that, as other threads of the core
    wait for them; four cycles until a sum can be added to again; a quarter of a cycle for a vector of weights that
    comes from the second-level cache, half of one from the last; and a fixed price for each tile and each load and
    store of its sums. Blocks that are not all of one width are harder to share out.
    """
    menu = target.tile_pixels[: most + 1]

    def cycles(width: int, weights: float) -> float:
        total = 0.0
        for v, blocks in ((width, vectors // width), (vectors % width, 1)):
            if v and blocks:
                for times, pixels, reduction, resume in parts:
                    tiles = -(-pixels // menu[ceil(v)])
                    mr = pixels / tiles
                    far = v * target.lanes * target.itemsize * reduction > CACHE_BYTES * 3 // 4
                    step = max(mr * multiply_adds(v, target) / 2, (mr + v) / 2, 4.0) + (mr + v) / 50
                    step += v * (0.5 if far else weights)
                    total += times * blocks * tiles * (reduction * step + 8 + (4 if resume else 2) * mr * v)
        return total * (UNEVEN if vectors % width else 1)

    _, width = min((cycles(v, 1 / 16), v) for v in range(1, len(menu)) if menu[v] and v < max(vectors, 1) + 1)
    # Widths compare by less than what vectors of pixels and of filters, or whole windows and those that padding is left
    # out of, compare by: a tile computes while its weights come, so that wide ones pay; and all pay alike where a
    # multiply-add takes a cycle because half a vector takes half the time.
    more = target.two_passes * vectors * sum(p.times * p.pixels * p.reduction for p in parts) / 2
    return cycles(width, 1 / 4) + more, width


def short_cycles(filters: int, parts: list[Part], target: Target) -> float:
    """Return the cycles of a layer whose weights stay in registers.

    The model: the multiply-adds, or instructions and stores, and a little beside them.
    """
    step = 1.0 if target.two_passes else 0.5  # of a product
    ends = SHORT_END + SHORT_PART * (filters < target.lanes)
    cycles = sum(p.times * (p.pixels * (max(p.reduction * step, SHORT_SUM) + ends) + SHORT_BEGIN) for p in parts)
    return -(-filters // target.lanes) * cycles


def walked_cycles(columns: int, filters: int, g: Geometry, target: Target) -> float:
    """Return the cycles of a row of input whose vectors of pixels go down their planes, for a block of filters.

    The model, for each column of the window and each channel that some vectors of pixels meet: their multiply-adds, or
    loads, or four cycles until a sum can be added to again; and a fixed price for each of them and each loop over
    channels.
    """
    (kh, kw), depth = g.window, g.channels // g.groups
    cycles, vectors = 0.0, -(-columns // target.lanes)
    for width in (4, 2, 1):
        sums = width * kh * filters
        if sums <= WALKED_SUMS:
            times, vectors = divmod(vectors, width)
            step = max(sums / (1 if target.two_passes else 2), (width + kh * filters) / 2, 4.0)
            cycles += times * kw * (depth * (step + 1 / 4) + 5)
    return cycles


def dot_tile(filters: int, parts: list[Part], target: Target, loaded_cycles: float) -> tuple[float, int]:
    """Return (cycles, filters) of the register tile whose vectors are of channels: it has DOT_ENDS beside its sums."""
    width = -(-filters // -(-filters // isqrt(target.dots)))
    pixels = target.dots // width
    tiles = [(p.times * -(-p.pixels // pixels), p.reduction / target.lanes * pixels * width) for p in parts]
    return loaded_cycles + -(-filters // width) * sum(times * (products + DOT_ENDS) for times, products in tiles), width


def dense_parts(g: Geometry, block_rows: int, block_columns: int, images: int = 1) -> list[list[Part]]:
    """Return the parts of the three ways to meet padding: whole windows, pixels alike, tap after tap.

    Of the first alone where the others have so many that a plan would take long to make. A block is of so many images,
    except that whole windows are loaded with their padding from one.
    """
    out_h, out_w = g.output_size
    depth = g.channels // g.groups
    axes = [
        (size, outputs, pad, window, stride, dilation_rate)
        for size, outputs, (pad, _), window, stride, dilation_rate in zip(
            g.size, g.output_size, g.pads, g.window, g.strides, g.dilation_rate, strict=True
        )
    ]

    def part(rows: int, columns: int, reduction: int, resume: bool = False, images: int = images) -> Part:
        pixels = min(rows, block_rows) * min(columns, block_columns)
        return Part(rows * columns / pixels / images, pixels * images, reduction, resume)

    rows, columns = (axis_parts(*axis) for axis in axes)
    tap_rows, tap_columns = (tap_outputs(*axis) for axis in axes)
    whole = [part(out_h, out_w, prod(g.window) * depth, images=1 if any(map(any, g.pads)) else images)]
    if max(len(rows) * len(columns), prod(g.window)) > MOST_PARTS:
        return [whole]
    ends = [part(out_h, out_w, 0), part(out_h, out_w, 0, True)]
    return [
        whole,
        [part(r, c, r_taps * c_taps * depth) for r, r_taps in rows for c, c_taps in columns],
        [*ends, *(part(r, c, depth, True) for r in tap_rows for c in tap_columns if r * c)],
    ]


def transposed_cycles(rows: float, pixels: int, channels: int, lanes: int) -> float:
    """Return the cycles that rows of so many pixels take to become planes, or planes pixels."""
    if pixels < lanes:
        return rows * pixels * channels * ELEMENT
    return rows * -(-pixels // lanes) * min(lanes * -(-channels // lanes) * TRANSPOSE, channels * lanes * ELEMENT)


def exchanged_cycles(rows: float, pixels: int, channels: int, every: int, lanes: int, back: bool = False) -> float:
    """Return the cycles that channels, of every so many, of rows of pixels take to become planes, or pixels again."""
    if channels == every <= 4 and pixels >= lanes:
        return rows * -(-pixels // lanes) * channels * INTERLEAVE
    if back and channels < lanes:
        return rows * pixels * channels * ELEMENT
    return transposed_cycles(rows, pixels, channels, lanes)


def pixel_bytes(block_pixels: int, parts: int = 1) -> int:
    """Return the bytes that a dense block's pixels (two indices each) and parts (five) take."""
    return (block_pixels + PLACES) * 16 + parts * 40
