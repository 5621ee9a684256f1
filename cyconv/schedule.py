"""How a convolution is cut up: register tile, and blocks that fit the caches. The one place that chooses them.

A choice changes how long a result takes, never a bit of it; `dots` is the exception, and decides by the layer alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from math import gcd, prod
from typing import NamedTuple, TypeAlias

from cyconv.geometry import Geometry
from cyconv.tiles import (
    CACHE_BYTES,
    DOT_ENDS,
    Part,
    Target,
    dense_parts,
    dot_tile,
    exchanged_cycles,
    multiply_adds,
    read_cache,
    tile_vectors,
    transposed_cycles,
    walked_cycles,
)

MOST_BLOCK_PIXELS = 512  # pixel offsets and weights of a block then stay in the first-level cache
LEAST_BLOCKS = 8  # of small images, for threads to share
MOST_PLANE_PIXELS = 8192  # of one plane: columns then find its rows in a near cache
LEAST_ROWS = 8  # of a depthwise layer's output, to be cut between rows alone
NEAR_BYTES = 16 << 20  # of input and output, that a last-level cache still has from the call before
NEAR_PLANES_BYTES = 4 << 20  # the same of planes: columns that go down them do not look like a stream to the processor
STREAM_BYTES = 8 << 20  # of output, that the next reader would not find in a cache
STREAM_VECTOR = 32  # bytes of a vector that is stored so: half a line
LINE_BYTES = 64  # of a cache
PICK = 9.0  # cycles that a depthwise layer's vector of pixels takes more where every second is picked
PICKING_LANES = 4  # of a vector at least, to pick from it
IN_PART = 12.0  # of a vector of pixels that is stored in part, where no instruction does so
EXCHANGE = 11.0  # cycles of a vector of a depthwise layer's channels that comes from planes, or goes there
WALKED_FILTERS = 4  # of a block at most, where vectors of pixels go down planes
FAR_ROWS = 2  # of output for each of the window but one, in a block of planes that come from memory
CACHE_RATE = 24  # bytes that come in a cycle to vectors that go down planes, from a last-level cache
PLANAR_FILTERS = 64  # of a block at most, where vectors are of pixels
MOST_PLANAR_PIXELS = 1024  # of such a block
COPY = 6.0  # cycles of a vector of a plane that is copied to scratch, or from there
LOAD = 3.0  # of a vector of channels that is copied with the padding around it
GATHER = 1.0  # of an element by itself
WAYS = read_cache(189, 8)  # _SC_LEVEL1_DCACHE_ASSOC: lines that a set of the first-level cache holds
WAY_BYTES = 4096  # addresses this far apart share a set
TILE_LINES = 24  # under a depthwise tile of 2 x 4 pixels and a 3 x 3 window
FEW_LINES = 15  # under one of 1 x 2 pixels and a 3 x 3 window at stride 2, or of 8 pixels and 8 taps of one row
SHORT_REDUCTION = 96  # whose tiles end so often that one vector is best, if its loads are hidden by multiply-adds
LONE_HALF = 0.75  # what a tile half a vector wide takes of the time of a whole one: loads bound it
OFF_BYTES = 16  # behind the start of a line: where NumPy's large arrays begin
LEADING_VECTORS = (9, 16)  # of channels at least, at a stride and else, to load one more but each from one line
LOADED_BYTES = 512  # of a pixel, that a depthwise layer loads together

Fields: TypeAlias = dict[str, int]


def one_channel_groups(g: Geometry, target: Target) -> bool:
    """Return whether a layer that takes every channel by itself is one of groups for the dense kernel.

    Many filters of a channel fill its vectors of filters; its vectors of pixels suit a single plane.
    """
    if g.filters >= g.groups * max(2, target.lanes):
        return True
    if g.channels == g.filters == 1 and planar_depthwise(g, target):
        return False
    return g.channels == 1


def planar_depthwise(g: Geometry, target: Target) -> bool:
    """Return whether a depthwise layer of planes has a kernel whose vectors are of pixels, that gains from it.

    The model, for a vector of results: the multiply-adds of the window, of whole vectors in each row and some more in
    the first and last ones, and at a stride what picks the pixels; or the multiply-adds of vectors of channels, which
    input and output are transposed for.
    """
    lanes = target.lanes
    (k, kw), (s, sw), (out_h, out_w) = g.window, g.strides, g.output_size
    known = k == kw and s == sw and (k, s) in {(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)}
    planes = g.channels_first or g.channels == g.filters == 1
    if not (planes and known and g.dilation_rate == (1, 1)) or (s == 2 and lanes < PICKING_LANES):
        return False
    begun = (k - 1) // s  # rows that are begun before the first ends
    rows = max(out_h, begun) + begun / 2 + 1
    planar = rows * -(-out_w // lanes) * (k * k + PICK * (s - 1))
    if out_w < lanes and not target.halves:
        planar += out_h * IN_PART
    channels = out_h * out_w / lanes * (k * k + EXCHANGE * (1 + s * s)) * -(-g.filters // lanes) * lanes / g.filters
    return planar <= channels


class PlaneBlock(NamedTuple):
    """What a dense layer loads of its planes at a time, and how they then lie."""

    rows: int  # of output
    columns: int
    pieces: bool  # of rows, else whole rows
    split_rows: bool  # loaded tap by tap, else by the phases of the stride
    split_columns: bool
    pitch: int  # from one loaded row to the next
    gapless: bool  # without columns between rows that only the window needs: vectors of pixels go on in the next row
    elements: int  # loaded, without what lies between planes
    load_bytes: int


def apart(elements: int, itemsize: int) -> int:
    """Return how far one copied plane is from the next: an odd number of lines, in different sets of the cache."""
    line = LINE_BYTES // itemsize
    return (-(-elements // line) | 1) * line


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
            rows, columns, columns < out_w, split_rows, split_columns, w, w == columns, planes * h * w, load_bytes
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
    blocks = math.ceil(out_h / rows) * (out_w / columns)
    planes = g.channels_first or g.filters == 1
    part = Part(1, filters, prod(g.window) * depth)

    def tile(run: float, runs: float) -> tuple[float, int]:
        cycles, vectors = tile_vectors(-(-round(run) // lanes), [part], target)
        return cycles * runs, vectors

    if block.gapless or pieces:
        cycles, vectors = tile(min(columns * rows, pixels), blocks)
    else:
        cycles, vectors = tile((rows - 1) * block.pitch + columns, blocks)
    scattered = pixels / lanes * filters * COPY
    if not planes:
        scattered = exchanged_cycles(out_h, out_w, filters, g.filters, lanes, True)
    # A vector of pixels may span rows.
    spans = out_w >= lanes or rows >= min(out_h, (lanes - 1) // out_w + 2)
    direct = planes and block.gapless and pixels >= lanes and spans
    if planes and not direct and out_w >= lanes:
        by_rows, width = tile(columns, blocks * rows)
        direct = by_rows <= cycles + scattered
        if direct:
            cycles, vectors = by_rows, width
    if not direct:
        cycles += scattered
    # Planes in the same sets of a cache would evict each other before the next filters read them.
    near = depth <= WAY_BYTES // gcd(prod(g.size) * itemsize, WAY_BYTES) * WAYS
    near = near or depth <= 4 or filters <= target.tile_pixels[vectors]
    in_place = direct and g.strides == (1, 1) and (g.channels_first or g.channels == 1) and near
    load = not in_place or block.split_rows or block.split_columns
    if load and not fused:
        elements = blocks * block.elements
        if g.channels_first or g.channels == 1:
            cycles += elements * {1: COPY / lanes, 2: 2 * COPY / lanes}.get(sw, GATHER)
        else:
            cycles += exchanged_cycles(elements / depth / block.pitch, block.pitch, depth, g.channels, lanes)
    # Two tiles of filters write long runs of their planes, or, with few runs, many share each one's loads.
    tiles = 2 if rows * columns > 2 * vectors * lanes else 8
    block_filters = min(PLANAR_FILTERS, tiles * target.tile_pixels[vectors])
    run = -(-((rows - 1) * block.pitch + columns) // lanes) * lanes
    unit, aligned = whole_vectors(g, block, lanes)
    fields = _fields(
        {
            "load_bytes": 0 if fused else block.load_bytes,
            "tile_bytes": prod(g.window) * 8,
            "out_bytes": 0 if direct else run * min(block_filters, filters) * itemsize,
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
        stream=direct and aligned and streams(g, target),
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
        far = itemsize * (prod(g.input_shape) + prod(g.output_shape)) > NEAR_BYTES
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
    fields = _fields(
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


def collides(g: Geometry, itemsize: int) -> bool:
    """Return whether the pixels under a depthwise tile share so few cache sets that they evict each other.

    Loaded to scratch, a few channels at a time, they do not.
    """
    few = g.window[0] == 1 or (g.window == (3, 3) and g.strides == (2, 2))
    return WAY_BYTES // gcd(g.filters * itemsize, WAY_BYTES) * WAYS < (FEW_LINES if few else TILE_LINES)


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


def loaded(outputs: int, window: int, stride: int, dilation_rate: int, splits: bool = True) -> tuple[int, bool]:
    """Return (rows or columns that are loaded for so many of output, whether tap by tap, where that is possible)."""
    spanned = (outputs - 1) * stride + (window - 1) * dilation_rate + 1
    return min((spanned, False), (outputs * window, True)) if splits else (spanned, False)


def loaded_block(g: Geometry, rows: int, columns: int, splits: bool = True) -> tuple[int, dict[str, bool]]:
    """Return (pixels that are loaded for a block of output, schedule fields that say how)."""
    (kh, kw), (sh, sw), (dh, dw) = g.window, g.strides, g.dilation_rate
    (h, split_rows), (w, split_columns) = loaded(rows, kh, sh, dh), loaded(columns, kw, sw, dw, splits)
    return h * w, {"split_rows": split_rows, "split_columns": split_columns}


def filter_unit(filters: int, target: Target) -> int:
    """Return what the filters of a group are filled up to a multiple of: a vector, or half a one."""
    return target.lanes // 2 if target.halves and 0 < filters % target.lanes <= target.lanes // 2 else target.lanes


def dots(g: Geometry, target: Target) -> bool:
    """Return whether vectors of a dense layer are of channels: filters would leave vectors of them mostly empty.

    Sums are then added in another order. What decides is what never changes between calls that must agree: not the
    image, its strides or the threads, and the same for a layer and for the second step of a separable one.
    """
    depth, filters, taps = g.channels // g.groups, g.filters // g.groups, prod(g.window)
    if g.channels_first or not target.dots or depth < target.lanes:
        return False
    unit = filter_unit(filters, target)
    cycles = filters * (taps * -(-depth // target.lanes) + DOT_ENDS / target.dots)
    return cycles <= taps * depth * max(-(-filters // unit) * unit / target.lanes, LONE_HALF)


def dense_blocking(g: Geometry, target: Target, fused: bool = False) -> tuple[float, Fields]:
    """Return (cycles, schedule fields) of a dense layer whose vectors are of filters.

    `fused`: of the second step of a separable layer, whose blocks and inputs are those of the first.
    """
    out_h, out_w = g.output_size
    lanes, itemsize = target.lanes, target.itemsize

    def fits(rows: int, columns: int) -> bool:
        pixels, _ = loaded_block(g, rows, columns)
        return pixels * g.channels * itemsize <= CACHE_BYTES // 2 and rows * columns <= MOST_BLOCK_PIXELS

    rows, columns = most_rows(g, fits), out_w
    pieces = not rows
    if pieces:
        rows, columns = 1, equal_columns(g, MOST_BLOCK_PIXELS, 24, fits)
    pixels = rows * columns
    groups, filters, depth = g.groups, g.filters // g.groups, g.channels // g.groups
    spread = 0
    across = dots(g, target)
    weights = prod(g.window) * depth  # of a filter
    if target.spreads and filters == depth and 1 < depth < lanes <= g.filters and lanes % depth == 0:
        groups, filters, spread = 1, g.filters, depth
    unit = lanes if spread else filter_unit(filters, target)
    if lanes < filters < 2 * lanes and multiply_adds(1.5, target) > 2:
        unit = lanes  # three halves take longer
    held = -(-filters // unit) * unit
    images = 1
    if pixels == out_h * out_w and not (g.channels_first or fused):  # small images: many fill tiles
        most = MOST_BLOCK_PIXELS // max(pixels, 1), CACHE_BYTES // 2 // max(prod(g.size) * g.channels * itemsize, 1)
        images = max(1, min(*most, g.batch // LEAST_BLOCKS))
    ways = dense_parts(g, rows, columns, images)
    if across:
        loaded_cycles = LOAD * prod(g.size) * g.channels / lanes / groups * any(map(any, g.pads))
        found = [dot_tile(filters, way, target, 0 if n else loaded_cycles) for n, way in enumerate(ways[:2])]
    else:
        low = spread or (target.two_passes and held % lanes == 0 and weights <= SHORT_REDUCTION)
        found = [tile_vectors(held / lanes, way, target, 1 if low else 4) for way in ways]
    leave_out = min(range(len(found)), key=lambda n: found[n][0])
    cycles, vectors = found[leave_out]
    width = vectors * (1 if across else lanes)
    loaded_pixels, split = loaded_block(g, rows, columns)
    pixels = rows * columns * (images if leave_out or not any(map(any, g.pads)) else 1)
    # Whole vectors go to scratch, and their filters from there, unless a tile stores a part of its only vector.
    in_part = target.halves and held == lanes
    stores = g.channels_first or leave_out == 2 or (filters < held <= lanes and not (across or in_part))
    fields = _fields(
        {
            "load_bytes": 0 if fused else loaded_pixels * g.channels * itemsize,
            "tile_bytes": pixel_bytes(pixels, min(len(ways[1]), pixels) if leave_out == 1 else 1),
            "out_bytes": pixels * width * itemsize if stores else 0,
        },
        vectors=vectors,
        spread=spread,
        filter_unit=1 if across else unit,
        dots=across,
        direct=not stores,
        together=1 if stores or spread or across else max(1, CACHE_BYTES // 2 // (weights * width * itemsize)),
        leave_out=leave_out,
        blocks=-(-filters // width),
        block_pixels=pixels,
        block_shape=not pieces,
        load=g.channels_first and g.channels > 1 and not fused,
        # Only whole and aligned vectors go past the caches.
        stream=filters % lanes == 0 and not (stores or across) and streams(g, target),
        unit=1,
        loaded_channels=g.channels,
        **split,
    )
    if g.channels_first:
        cycles += transposed_cycles(*g.size, g.channels, lanes) / groups
        cycles += transposed_cycles(out_h, out_w, g.filters, lanes) / groups
    return groups * cycles, fields


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


def planar_depthwise_blocking(g: Geometry, target: Target, fused: bool) -> Fields:
    """Return the schedule fields of a depthwise layer of planes; `fused`: of the first step of a separable one."""
    out_h, out_w = g.output_size
    lanes, itemsize = target.lanes, target.itemsize
    kept = 2 * g.filters if fused else 0  # of a pixel, in the cache for the second step

    def fits(rows: int, columns: int) -> bool:
        elements = max(loaded_block(g, rows, columns)[0], rows * columns * kept)
        return elements * itemsize <= CACHE_BYTES // 2 and rows * columns <= MOST_PLANE_PIXELS

    rows, columns, pieces = equal_blocks(g, 1, MOST_PLANE_PIXELS, 4 * lanes, fits)
    return _fields(
        {"load_bytes": loaded_block(g, rows, columns)[0] * itemsize, "tile_bytes": 0, "out_bytes": 0},
        planar=True,
        vectors=1,
        filter_unit=1,
        blocks=g.filters,
        block_pixels=rows * columns,
        block_shape=not pieces,
        load=False,
        fetch_ahead=itemsize * (prod(g.input_shape) + prod(g.output_shape)) > NEAR_PLANES_BYTES,
        stream=not pieces and out_w % lanes == 0 and not fused and streams(g, target),
        unit=out_w if out_h > 1 else lanes,  # a block is at least a vector
    )


def depthwise_blocking(g: Geometry, target: Target, fused: bool) -> Fields:
    """Return the schedule fields of a depthwise layer; `fused`: of the first step of a separable one."""
    out_h, out_w = g.output_size
    lanes, itemsize = target.lanes, target.itemsize
    # Fewer filters than lanes: a row of outputs is one run of elements, in `phases` patterns of weights.
    phases = g.filters // gcd(g.filters, lanes) if g.filters < lanes else 0
    stores = g.filters < lanes or (g.channels_first and not fused)
    stored = g.filters * g.strides[1] if phases else g.filters
    kept = stored if stores or fused else 0  # of a pixel, in the cache until all of it is there
    grouped = not phases and g.filters == g.channels  # a few vectors of channels are loaded together
    channels = min(LOADED_BYTES // itemsize, -(-g.filters // lanes) * lanes) if grouped else g.filters

    def load(rows: int, columns: int) -> tuple[int, dict[str, bool]]:
        # Runs of a row go on between the pixels that a stride takes.
        return loaded_block(g, rows, columns, not phases or g.strides[1] == 1)

    def fits(rows: int, columns: int) -> bool:
        elements = max(load(rows, columns)[0] * channels, rows * columns * kept)
        return elements * itemsize <= CACHE_BYTES // 2 and rows * columns <= MOST_BLOCK_PIXELS

    rows, columns, pieces = equal_blocks(g, 2, MOST_BLOCK_PIXELS, 24, fits)
    pixels = rows * columns
    loaded_pixels, split = load(rows, columns)
    contiguous = not g.channels_first or g.channels == 1
    in_place = grouped and contiguous and not collides(g, itemsize)
    # Loads that meet two lines take twice as long: worth one more vector of many where there are many loads.
    many = LEADING_VECTORS[0] if max(g.strides) > 1 else LEADING_VECTORS[1] if max(g.window) > 3 else math.inf
    leads = in_place and g.filters % lanes == 0 and g.filters >= many * lanes
    # Vectors behind the row that is one run, or behind each row of channels that are loaded together.
    behind = phases or grouped * loaded(rows, g.window[0], g.strides[0], g.dilation_rate[0])[0]
    return _fields(
        {
            "load_bytes": (loaded_pixels * channels + behind * lanes) * itemsize,
            "tile_bytes": 0,
            "out_bytes": (pixels * stored + phases * lanes) * itemsize if stores else 0,
        },
        vectors=1,
        filter_unit=lanes,
        phases=phases,
        lead=(OFF_BYTES // itemsize) % lanes if leads else 0,
        blocks=-(-g.filters // lanes),
        block_pixels=pixels,
        block_shape=not pieces,
        load=not in_place,
        fetch_ahead=itemsize * (prod(g.input_shape) + prod(g.output_shape)) > NEAR_BYTES,
        stream=g.filters % lanes == 0 and not g.channels_first and not fused and streams(g, target),
        unit=out_w if out_h >= LEAST_ROWS else 1,
        loaded_channels=channels,
        **split,
    )


def merged(g: Geometry) -> Geometry | None:
    """Return the same work as one image, where the rows of a batch are by themselves; as one row if pixels are, too.

    None where they are not, and where images are large enough to fill a block by themselves.
    """
    by_rows = g.window[0] == 1 and g.pads[0] == (0, 0) and not g.channels_first
    by_rows = by_rows and (g.size[0] == 1 or (g.strides[0] == 1 and g.filters > 1))
    if not by_rows or g.batch < 2 or prod(g.size) > MOST_BLOCK_PIXELS:
        return None
    by_pixels = g.window[1] == g.strides[1] == 1 and g.pads[1] == (0, 0) and g.filters > 1 and g.groups < g.channels
    rows, columns = g.batch * g.size[0], g.size[1]
    return replace(g, batch=1, size=(1, rows * columns) if by_pixels else (rows, columns), strides=(1, g.strides[1]))


def single(g: Geometry, target: Target) -> tuple[bool, Fields]:
    """Return (whether the depthwise kernel runs a layer, schedule fields of its ``Conv`` struct).

    A layer whose groups have one channel is a depthwise one, and the other way round.
    """
    if g.groups == g.channels and not one_channel_groups(g, target):
        choose = planar_depthwise_blocking if planar_depthwise(g, target) else depthwise_blocking
        return True, choose(g, target, False)
    cycles, fields = dense_blocking(g, target)
    # Pixels need no loading: where filters fill their vectors, planes have nothing to gain.
    full = not g.channels_first and g.filters // g.groups % target.lanes == 0
    if not (full or fields["dots"]):
        for blocking in (planar_blocking, walk_blocking):
            price, planar = blocking(g, target)
            if price < cycles:
                cycles, fields = price, planar
    return False, fields


def separable(first: Geometry, second: Geometry, target: Target) -> tuple[Fields, Fields, int]:
    """Return the schedule fields of both steps, and the elements from one plane to the next of what lies between them.

    The scratch of a task is that of the depthwise step, a block of its results (the second step's load), places of
    pixels or taps, outputs.
    """
    lanes, itemsize = target.lanes, target.itemsize
    # The second step takes a vector of pixels at least.
    planar = first.channels_first and first.output_size[1] >= lanes and planar_depthwise(first, target)
    if planar:
        price, fields = planar_blocking(second, target, fused=True)
        planar = price < math.inf
    if not planar:
        _, fields = dense_blocking(second, target, fused=True)
    depthwise = (planar_depthwise_blocking if planar else depthwise_blocking)(first, target, True)
    pixels = plane = depthwise["block_pixels"]
    if planar:
        plane = apart(pixels, itemsize)
        fields.update(unit=depthwise["unit"], block_shape=depthwise["block_shape"], load=False, stream=False)
    sizes = {
        "load_bytes": plane * first.filters * itemsize,
        "tile_bytes": fields["tile_bytes"] if planar else pixel_bytes(pixels),
        "out_bytes": pixels * fields["vectors"] * lanes * itemsize if fields["out_bytes"] else 0,
    }
    fields.update(block_pixels=pixels, **_scratch(sizes, depthwise["scratch_bytes"]))
    return depthwise, fields, plane


def streams(g: Geometry, target: Target) -> bool:
    """Return whether results are too large to be found in a cache, and vectors large enough to go past it."""
    return prod(g.output_shape) * target.itemsize >= STREAM_BYTES and target.lanes * target.itemsize >= STREAM_VECTOR


def _scratch(sizes: dict[str, int], before: int = 0) -> dict[str, int]:
    """Return the bytes of each part of scratch, in whole lines, and of all; so many come before."""
    sizes = {name: -(-size // LINE_BYTES) * LINE_BYTES for name, size in sizes.items()}
    return {**sizes, "scratch_bytes": before + sum(sizes.values())}


_UNUSED = {  # by some kernels
    "planar": False,
    "walk": False,
    "direct": False,
    "block_filters": 0,
    "spread": 0,
    "dots": False,
    "together": 1,
    "leave_out": 0,
    "phases": 0,
    "lead": 0,
    "split_rows": False,
    "split_columns": False,
    "loaded_channels": 1,
    "fetch_ahead": False,
}


def _fields(sizes: dict[str, int], **chosen: int) -> Fields:
    """Return the schedule fields of a ``Conv`` struct that do not depend on the number of threads."""
    return {**_UNUSED, **chosen, **_scratch(sizes)}


def pixel_bytes(block_pixels: int, parts: int = 1) -> int:
    """Return the bytes that a dense block's pixels (two indices each) and parts (five) take."""
    return block_pixels * 16 + parts * 40
