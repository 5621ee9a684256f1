"""What is chosen for layers whose vectors are of pixels that lie side by side in planes."""

from __future__ import annotations

import math
from math import gcd, prod
from typing import NamedTuple

from cyconv.blocks import (
    AHEAD_BYTES,
    LINE_BYTES,
    NEAR_BYTES,
    WAY_BYTES,
    Fields,
    apart,
    equal_blocks,
    fetch_ahead,
    lines,
    loaded,
    most_rows,
    schedule_fields,
    streams,
    touched_bytes,
)
from cyconv.geometry import Geometry
from cyconv.tiles import CACHE_BYTES, Part, Target, exchanged_cycles, tile_vectors, walked_cycles

MOST_PLANE_PIXELS = 8192  # of one plane: columns then find its rows in a near cache
SQUARES = {(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)}  # (columns, stride) of depthwise windows with kernels of their own
PICK = 9.0  # cycles that a depthwise layer's vector of pixels takes more where every second is picked
RUN = 2.0  # what going along the rows of fewer channels than lanes takes longer, window by window
PICKING_LANES = 4  # of a vector at least, to pick from it
IN_PART = 12.0  # cycles of a vector of pixels that is stored in part, where no instruction does so
LISTED_TAPS = 128  # of a window, that are added one after the other
# Cycles of a depthwise vector of pixels that adds tap after tap: of each load, at a stride of two of each load and of
# each tap; of the rest; of each load where rows, and what sets up each where columns reach beyond the plane.
TAP_LOAD, STRIDED_LOAD, STRIDED_SUM, TAP_ENDS = 2.1, 1.7, 1.0, 6.0
BEYOND_ROWS, BEYOND_COLUMNS = 2.5, 12.0
NARROWER = 0.58  # of these, and of a depthwise vector of channels, what one takes that is less than a line
PARTS = 2.0  # times as long as such a one takes a vector whose windows reach beyond the plane: its loads have masks
EXCHANGE = 11.0  # cycles of a vector of a depthwise layer's channels that comes from planes, or goes there
WALKED_FILTERS = 4  # of a block at most, where vectors of pixels go down planes
FAR_ROWS = 2  # of output for each of the window but one, in a block of planes that come from memory
CACHE_RATE = 24  # bytes that come in a cycle to vectors that go down planes, from a last-level cache
PLANAR_FILTERS = 64  # of a block at most, where tiles are of vectors of pixels
MOST_PLANAR_PIXELS = 1024  # of such a block
TILE = 50.0  # cycles that a tile of planes takes more than one whose vectors are of filters
COPY = 6.0  # cycles of a vector of a plane that is copied to scratch, or from there
# Cycles of planes that are copied at a stride: each, each row of them, each element at a stride of two, at larger ones.
PICKED_PLANE, PICKED_ROW, PICKED, GATHERED = 40.0, 14.0, 0.4, 0.5


class PlaneBlock(NamedTuple):
    """What a dense layer loads of its planes at a time, and how they then lie."""

    rows: int  # of output
    columns: int
    pieces: bool  # of rows, else whole rows
    split_rows: bool  # loaded tap by tap, else by the phases of the stride
    split_columns: bool
    loaded_rows: int  # of each plane
    pitch: int  # from one loaded row to the next
    gapless: bool  # without columns between rows that only the window needs: vectors of pixels go on in the next row
    elements: int  # loaded, without what lies between planes
    load_bytes: int


def planes_bytes(count: int, elements: int, target: Target) -> int:
    """Return the bytes of so many copied planes, and of a vector behind them."""
    return (count * apart(elements, target.itemsize) + target.lanes) * target.itemsize


def plane_block(g: Geometry, target: Target) -> PlaneBlock | None:
    """Return the block of a dense layer of planes, None if not even a vector of pixels fits."""
    lanes = target.lanes
    (out_h, out_w), (kh, kw), (sh, sw), (dh, dw) = g.output_size, g.window, g.strides, g.dilation_rate
    depth = g.channels // g.groups

    def phases(outputs: int, window: int, stride: int, dilation_rate: int) -> tuple[int, int, bool]:
        """Return (loaded of each, how many, whether they are taps)."""
        loaded = outputs + (window - 1) * dilation_rate // stride
        return (outputs, window, True) if window * outputs < stride * loaded else (loaded, stride, False)

    def block(rows: int, columns: int) -> PlaneBlock:
        (h, phases_h, split_rows), (w, phases_w, split_columns) = phases(rows, kh, sh, dh), phases(columns, kw, sw, dw)
        planes = phases_h * phases_w * depth
        load_bytes = planes_bytes(planes, h * w, target)
        return PlaneBlock(
            rows, columns, columns < out_w, split_rows, split_columns, h, w, w == columns, planes * h * w, load_bytes
        )

    def fits(rows: int, columns: int) -> bool:
        return block(rows, columns).load_bytes <= CACHE_BYTES // 2 and rows * columns <= MOST_PLANAR_PIXELS

    rows = most_rows(g, fits)
    if rows:
        rows = -(-out_h // -(-out_h // rows))
        together = lanes // gcd(lanes, out_w)  # rows that are whole vectors
        return block(rows - rows % together if rows >= together else rows, out_w)
    most = min(out_w, MOST_PLANAR_PIXELS)
    columns = max([n for n in range(lanes, most + 1, lanes) if fits(1, n)], default=min(out_w, lanes))
    piece = block(1, columns)
    return piece if piece.load_bytes <= CACHE_BYTES // 2 else None


def whole_vectors(g: Geometry, block: PlaneBlock, lanes: int) -> tuple[int, bool]:
    """Return (pixels that tasks are cut between, whether they and blocks then start on whole vectors)."""
    out_h, out_w = g.output_size
    pixels = out_h * out_w
    if block.pieces:
        return lanes, pixels % lanes == 0 and (out_w % lanes == 0 or out_h == 1)
    if out_w % lanes == 0:
        return out_w, True
    aligned = block.gapless and pixels % lanes == 0 and block.rows * out_w % lanes == 0
    return out_w * (lanes // gcd(lanes, out_w) if aligned else 1), aligned


def planar_blocking(g: Geometry, target: Target, fused: bool = False) -> tuple[float, Fields]:
    """Return (cycles, schedule fields) of a dense layer whose vectors are of pixels, loading and storing counted.

    The cycles are infinite where it does not fit; `fused`: of the second step of a separable layer, whose blocks and
    inputs are those of the first.
    """
    lanes, itemsize = target.lanes, target.itemsize
    (out_h, out_w), sw = g.output_size, g.strides[1]
    depth, filters, pixels = g.channels // g.groups, g.filters // g.groups, out_h * out_w
    block = plane_block(g, target)
    if block is None:
        return math.inf, {}
    rows, columns, pieces = block[:3]
    blocks = out_h / rows * (out_w / columns)
    planes = g.channels_first or g.filters == 1
    part = Part(1, filters, prod(g.window) * depth)

    def tile(run: int, runs: int) -> tuple[float, int]:
        vectors = -(-run // lanes)
        cycles, width = tile_vectors(vectors, [part], target)
        tiles = -(-vectors // width) * -(-filters // target.tile_pixels[width])
        return (cycles + tiles * TILE) * runs, width

    def run(rows: int) -> int:
        return rows * columns if block.gapless else max(0, (rows - 1) * block.pitch + columns)

    if pieces:
        cycles, vectors = tile(columns, out_h * (out_w // columns))
        cycles += tile(out_w % columns, out_h)[0]  # the last piece of a row
    else:
        cycles, vectors = tile(run(rows), out_h // rows)
        cycles += tile(run(out_h % rows), 1)[0]
    scattered = pixels / lanes * filters * COPY
    if not planes:
        scattered = exchanged_cycles(out_h, out_w, filters, g.filters, lanes, True)
    # A vector of pixels may span rows.
    spans = out_w >= lanes or rows >= min(out_h, (lanes - 1) // out_w + 2)
    direct = planes and block.gapless and pixels >= lanes and spans
    if planes and not direct and out_w >= lanes:
        by_rows, width = tile(columns, out_h)
        direct = by_rows <= cycles + scattered
        if direct:
            cycles, vectors = by_rows, width
    if not direct:
        cycles += scattered
    # Planes in the same sets of a cache would evict each other before the next filters read them.
    near = depth <= lines(prod(g.size) * itemsize)
    near = near or depth <= 4 or filters <= target.tile_pixels[vectors]
    in_place = direct and g.strides == (1, 1) and (g.channels_first or g.channels == 1) and near
    load = not in_place or block.split_rows or block.split_columns
    if load and not fused:
        elements = blocks * block.elements
        copied_rows = elements / block.pitch
        if not (g.channels_first or g.channels == 1):
            cycles += exchanged_cycles(copied_rows / depth, block.pitch, depth, g.channels * sw, lanes)
        elif sw == 1:
            cycles += elements * COPY / lanes
        else:
            cycles += elements * (PICKED if sw == 2 else GATHERED)
            cycles += copied_rows * (PICKED_ROW + PICKED_PLANE / block.loaded_rows)
    # Two tiles of filters write long runs of their planes, or, with few runs, many share each one's loads.
    tiles = 2 if rows * columns > 2 * vectors * lanes else 8
    block_filters = min(PLANAR_FILTERS, tiles * target.tile_pixels[vectors])
    held = -(-((rows - 1) * block.pitch + columns) // lanes) * lanes
    unit, aligned = whole_vectors(g, block, lanes)
    zipped = target.spreads and not (planes or fused) and g.groups == 1 and filters <= 4 <= lanes
    fields = schedule_fields(
        {
            "load_bytes": 0 if fused else block.load_bytes,
            "tile_bytes": prod(g.window) * 8,
            "out_bytes": 0 if direct else held * min(block_filters, filters) * itemsize,
        },
        planar=True,
        direct=direct,
        load=load,
        vectors=vectors,
        filter_unit=1,
        block_filters=block_filters,
        blocks=-(-filters // block_filters),
        block_pixels=rows * columns,
        block_shape=not pieces,
        split_rows=block.split_rows,
        split_columns=block.split_columns,
        stream=((direct and aligned) or zipped) and streams(g, target),
        unit=unit,
    )
    return g.groups * cycles, fields


def walk_blocking(g: Geometry, target: Target) -> tuple[float, Fields]:
    """Return (cycles, schedule fields) of a dense layer whose vectors of pixels go down its planes.

    The cycles are infinite where there is no such kernel.
    """
    lanes, itemsize = target.lanes, target.itemsize
    (out_h, out_w), (kh, kw) = g.output_size, g.window
    depth, filters = g.channels // g.groups, g.filters // g.groups
    load, direct = not g.channels_first and g.channels > 1, g.channels_first or g.filters == 1
    in_place = direct and not load

    def copied(rows: int) -> tuple[int, int]:
        """Return the bytes of planes that so many rows meet, and of results that become pixels."""
        out_bytes = 0 if direct else planes_bytes(g.filters, rows * out_w, target)
        return planes_bytes(g.channels, (rows + kh - 1) * (out_w + kw - 1), target), out_bytes

    known = kh in (3, 5) and kw <= 7 and g.strides == g.dilation_rate == (1, 1) and target.halves
    rows = most_rows(g, lambda rows, _: sum(copied(rows)) <= CACHE_BYTES // 2) if known else 0
    if not rows:
        return math.inf, {}
    load_bytes, out_bytes = copied(rows)
    blocks = -(-filters // WALKED_FILTERS)
    block_filters = -(-filters // blocks)
    if in_place:
        far = touched_bytes(g, target) > NEAR_BYTES
        rows = out_h if not far else rows if blocks > 1 else FAR_ROWS * (kh - 1)
    met = min(g.size[0], out_h + kh - 1 - g.pads[0][0]) + (-(-out_h // rows) - 1) * (kh - 1)
    last = filters - (blocks - 1) * block_filters
    cycles = (blocks - 1) * walked_cycles(out_w, block_filters, g, target) + walked_cycles(out_w, last, g, target)
    cycles *= g.groups * met
    plane_bytes = prod(g.size) * depth * itemsize
    if in_place and rows == out_h and plane_bytes > CACHE_BYTES:  # further blocks of filters read them again
        cycles += g.groups * (blocks - 1) * plane_bytes / CACHE_RATE
    if load:
        cycles += exchanged_cycles(met, g.size[1], g.channels, g.channels, lanes)
    if not direct:
        cycles += exchanged_cycles(out_h, out_w, g.filters, g.filters, lanes, True)
    fields = schedule_fields(
        {"load_bytes": load_bytes, "tile_bytes": 0, "out_bytes": out_bytes},
        planar=True,
        walk=True,
        direct=direct,
        vectors=1,
        filter_unit=1,
        block_filters=block_filters,
        blocks=blocks,
        leave_out=1,
        block_pixels=rows * out_w,
        block_shape=1,
        load=load,
        stream=direct and out_w % lanes == 0 and streams(g, target),
        unit=out_w,
    )
    return cycles, fields


def descends(g: Geometry) -> bool:
    """Return whether vectors of a depthwise layer go down its planes: under windows that have such a kernel."""
    (k, kw), (s, sw) = g.window, g.strides
    return k == kw and s == sw and (k, s) in SQUARES and g.dilation_rate == (1, 1)


def of_planes(g: Geometry) -> bool:
    """Return whether the pixels of a depthwise layer's channel lie side by side."""
    return g.channels_first or g.channels == g.filters == 1


def planar_depthwise(g: Geometry, target: Target) -> bool:
    """Return whether a depthwise layer has a kernel whose vectors are of pixels, that gains from it.

    Of planes or, where a pixel's channels are fewer than lanes, of elements of a row: `runs`.

    The model, for a vector of results: the multiply-adds of the window, of whole vectors in each row and some more in
    the first and last ones, and at a stride what picks the pixels; or the multiply-adds of vectors of channels, which
    input and output are transposed for.
    """
    lanes = target.lanes
    k, s, (out_h, out_w) = g.window[0], g.strides[0], g.output_size
    if not descends(g):
        return False
    begun = (k - 1) // s  # rows that are begun before the first ends
    rows = max(out_h, begun) + begun / 2 + 1
    if runs(g, target):
        return s == 1 and rows < RUN * out_h
    if not of_planes(g) or (s == 2 and lanes < PICKING_LANES):
        return False
    planar = rows * -(-out_w // lanes) * (k * k + PICK * (s - 1))
    if out_w < lanes and not target.halves:
        planar += out_h * IN_PART
    channels = out_h * out_w / lanes * (k * k + EXCHANGE * (1 + s * s)) * -(-g.filters // lanes) * lanes / g.filters
    return planar <= channels


def runs(g: Geometry, target: Target) -> bool:
    """Return whether the rows of a depthwise layer are runs of elements: a pixel's channels are fewer than lanes."""
    return not g.channels_first and 1 < g.channels == g.filters < target.lanes


def narrower(target: Target) -> float:
    """Return what a vector takes of the time of one that is a whole line."""
    return 1.0 if target.lanes * target.itemsize == LINE_BYTES else NARROWER


def tap_blocking(g: Geometry, target: Target) -> tuple[float, Fields]:
    """Return (cycles, schedule fields) of a depthwise layer of planes, tap after tap.

    The cycles are infinite where there is no such kernel, or where it waits: in planes that come from memory, of which
    a stride skips rows. The model: the loads of each vector of pixels, most of them across two cache lines; where
    windows reach beyond the plane, rows are worked on by themselves and the lanes inside are looked up for each column.
    """
    (out_h, out_w), (kh, kw), (sh, sw), (dh, dw) = g.output_size, g.window, g.strides, g.dilation_rate
    lanes, taps = target.lanes, prod(g.window)
    known = taps <= LISTED_TAPS and sw <= (2 if lanes >= PICKING_LANES else 1) and not descends(g)
    waits = sh > kh and touched_bytes(g, target) > AHEAD_BYTES
    if not known or waits or not of_planes(g) or g.groups != g.channels:
        return math.inf, {}

    def inside(size: int, outputs: int, span: int, stride: int, before: int) -> tuple[int, int]:
        """Return (first, how many) of the rows or columns of output whose windows lie inside."""
        first = -(-before // stride)
        return first, max(0, min((size - span + before) // stride + 1, outputs) - first)

    _, rows = inside(g.size[0], out_h, (kh - 1) * dh + 1, sh, g.pads[0][0])
    first, columns = inside(g.size[1], out_w, (kw - 1) * dw + sw, sw, g.pads[1][0])
    vectors = -(-out_w // lanes)
    ends = vectors if columns < lanes else -(-first // lanes) + -(-(out_w - first - columns) // lanes)
    if sw == 1:
        loads, sums = taps, taps * TAP_LOAD
    else:
        loads = kh * (2 * kw if dw > 1 else kw + kw % 2)
        sums = loads * STRIDED_LOAD + taps * STRIDED_SUM
    parts = 0.0 if narrower(target) == 1 else (PARTS - 1) * ends
    cycles = (vectors + parts) * out_h * (sums + TAP_ENDS) + vectors * (out_h - rows) * loads * BEYOND_ROWS
    cycles = cycles * narrower(target) + ends * loads * BEYOND_COLUMNS
    return g.filters * cycles, planar_depthwise_blocking(g, target, False)


def planar_depthwise_blocking(g: Geometry, target: Target, fused: bool) -> Fields:
    """Return the schedule fields of a depthwise layer whose vectors are of pixels, or of a row's elements.

    `fused`: of the first step of a separable one.
    """
    out_h, out_w = g.output_size
    lanes, itemsize = target.lanes, target.itemsize
    step = g.filters if runs(g, target) else 1  # elements of a pixel
    kept = 2 * g.filters if fused else 0  # of a pixel, in the cache for the second step

    def met(rows: int, columns: int) -> int:
        sizes = zip((rows, columns), g.window, g.strides, g.dilation_rate, strict=True)
        return prod(loaded(*size, splits=False)[0] for size in sizes)

    def fits(rows: int, columns: int) -> bool:
        elements = max(met(rows, columns) * step, rows * columns * kept)
        return elements * itemsize <= CACHE_BYTES // 2 and rows * columns <= MOST_PLANE_PIXELS

    rows, columns, pieces = equal_blocks(g, 1, MOST_PLANE_PIXELS, 4 * lanes, fits)
    return schedule_fields(
        {"load_bytes": met(rows, columns) * step * itemsize, "tile_bytes": 0, "out_bytes": 0},
        planar=True,
        walk=descends(g),
        vectors=step,
        filter_unit=step,
        phases=step if step > 1 else 0,
        loaded_channels=step,
        blocks=g.filters // step,
        block_pixels=rows * columns,
        block_shape=not pieces,
        load=False,
        # Rows of runs are long, and planes of a page or less follow each other at once: the processor sees them come.
        fetch_ahead=fetch_ahead(g, target, not fused) if step == 1 and prod(g.size) * itemsize > WAY_BYTES else 0,
        stream=not pieces and out_w * step % lanes == 0 and not fused and streams(g, target),
        unit=out_w if out_h > 1 else lanes,  # a block is at least a vector
    )
