"""How a convolution is cut up: register tile, blocks that fit the caches, tasks. The one place that chooses.

A choice changes how long a result takes, never a bit of it.
"""

from __future__ import annotations

import math
import os
import sys
from math import gcd, prod
from typing import NamedTuple

from cyconv.geometry import Geometry

MOST_BLOCK_PIXELS = 512  # pixel offsets and weights of a block then stay in the first-level cache
MOST_PLANE_PIXELS = 4096  # of one plane: its rows then stay in the first-level cache
MOST_PARTS = 512  # that the model looks at: a few milliseconds
UNEVEN = 1.05  # price of filter blocks that are not all equal
IN_TURNS = 1.25  # price of results that two threads write in turns
PARTS_A_THREAD = 2  # at most
LEAST_PART_FLOPS = 8_000_000  # what another thread could take over: some 100 us
LEAST_PART_PIXELS = 48  # a few register tiles
SERIAL_FLOPS = 100_000  # for each thread: a parallel region costs about 1 us


def _cache(name: int, least: int) -> int:
    """Return what glibc says of a core's caches (Python has no names for it), or what all processors at hand have."""
    try:
        return max(os.sysconf(name), least) if sys.platform == "linux" else least
    except (OSError, ValueError):
        return least


CACHE_BYTES = _cache(191, 512 * 1024)  # _SC_LEVEL2_CACHE_SIZE, of one core
LEAST_ROWS = 8  # of a depthwise layer's output, to be cut between pairs of rows: tiles take two
NEAR_BYTES = 16 << 20  # of input and output, that a last-level cache still has from the call before
STREAM_BYTES = 8 << 20  # of output, that the next reader would not find in a cache
STREAM_VECTOR = 32  # bytes of a vector that is stored so: half a line
LINE_BYTES = 64  # of a cache
PLANAR_FILTERS = 64  # of a block at most, where vectors are of pixels
MOST_PLANAR_PIXELS = 1024  # of such a block
TRANSPOSE = 6.0  # cycles of a vector of pixels that comes from planes, or goes there
COPY = 6.0  # of a vector that is copied to a panel
GATHER = 1.0  # of an element by itself that is copied to a panel
ELEMENT = 1.5  # of an element by itself that planes and pixels exchange
WAYS = _cache(189, 8)  # _SC_LEVEL1_DCACHE_ASSOC: lines that a set of the first-level cache holds
WAY_BYTES = 4096  # addresses this far apart share a set
TILE_LINES = 24  # under a depthwise tile of 2 x 4 pixels and a 3 x 3 window


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


class Part(NamedTuple):
    """Pixels that a dense layer tiles together."""

    times: float  # how often in an image
    pixels: int  # in a block
    reduction: int  # products of each pixel
    resume: bool = False  # sums are read from the output first


def tile_vectors(
    filters: int, parts: list[Part], lanes: int, itemsize: int, tile_pixels: list[int]
) -> tuple[float, int]:
    """Return (cycles, width) of the register tile that takes the fewest cycles; its width is in vectors of filters.

    The model: two multiply-adds and two loads a cycle, four cycles until a sum can be added to again, weights read
    from the second-level cache at 32 bytes a cycle beside that, from the last at half of it, and a fixed price for each
    tile and each load and store of its sums. Blocks that are not all of one width are harder to share out.
    """
    vectors = -(-filters // lanes)

    def cycles(width: int) -> float:
        total = 0.0
        for v, blocks in ((width, vectors // width), (vectors % width, 1)):
            if v and blocks:
                for times, pixels, reduction, resume in parts:
                    tiles = -(-pixels // tile_pixels[v])
                    mr = pixels / tiles
                    far = v * lanes * itemsize * reduction > CACHE_BYTES * 3 // 4
                    loads = mr + v + max(0, mr - 8)  # pointers beyond the integer registers are loaded too
                    step = max(mr * v / 2, loads / 2, 4.0) + v / (2 if far else 4)
                    total += times * blocks * tiles * (reduction * step + 8 + (4 if resume else 2) * mr * v)
        return total * (UNEVEN if vectors % width else 1)

    return min((cycles(v), v) for v in range(1, len(tile_pixels)) if tile_pixels[v] and v <= max(vectors, 1))


def dense_parts(g: Geometry, block_rows: int, block_columns: int) -> list[list[Part]]:
    """Return the parts of the three ways to meet padding: whole windows, pixels alike, tap after tap.

    Of the first alone where the others have so many that a plan would take long to make.
    """
    out_h, out_w = g.output_size
    depth = g.channels // g.groups
    axes = [
        (size, outputs, pad, window, stride, dilation_rate)
        for size, outputs, (pad, _), window, stride, dilation_rate in zip(
            g.size, g.output_size, g.pads, g.window, g.strides, g.dilation_rate, strict=True
        )
    ]

    def part(rows: int, columns: int, reduction: int, resume: bool = False) -> Part:
        pixels = min(rows, block_rows) * min(columns, block_columns)
        return Part(rows * columns / pixels, pixels, reduction, resume)

    rows, columns = (axis_parts(*axis) for axis in axes)
    tap_rows, tap_columns = (tap_outputs(*axis) for axis in axes)
    whole = [part(out_h, out_w, prod(g.window) * depth)]
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


def planar_depthwise(g: Geometry, lanes: int) -> bool:
    """Return whether a depthwise layer of planes has a tile whose vectors are of pixels, that gains from it."""
    (kh, kw), (sh, sw) = g.window, g.strides
    known = kh == kw and sh == sw and (kh, sh) in {(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)}
    if not (g.channels_first and known and g.dilation_rate == (1, 1) and g.output_size[1] >= lanes):
        return False
    # Few rows meet too much that is loaded for them, and 7 x 7 weights do not fit the registers.
    return g.channels < lanes or kh <= min(5, g.output_size[0])


def planar_blocking(
    g: Geometry, itemsize: int, lanes: int, tile_pixels: list[int], fused: bool = False
) -> tuple[float, dict[str, int]]:
    """Return (cycles, schedule fields) of a dense layer whose vectors are of pixels, loading and storing counted.

    The cycles are infinite where it does not fit; `fused`: of the second step of a separable layer, whose blocks and
    inputs are those of the first.
    """
    (out_h, out_w), (kh, kw), (sh, sw), (dh, dw) = g.output_size, g.window, g.strides, g.dilation_rate
    depth, filters, pixels = g.channels // g.groups, g.filters // g.groups, out_h * out_w
    line = LINE_BYTES // itemsize

    def phases(outputs: int, window: int, stride: int, dilation_rate: int) -> tuple[int, int, bool]:
        """Return (loaded of each, how many, whether they are taps)."""
        loaded = outputs + (window - 1) * dilation_rate // stride
        return (outputs, window, True) if window * outputs < stride * loaded else (loaded, stride, False)

    def loaded(rows: int, columns: int) -> int:
        """Return elements of a block, without what lies between planes."""
        (h, phases_h, _), (w, phases_w, _) = phases(rows, kh, sh, dh), phases(columns, kw, sw, dw)
        return phases_h * phases_w * depth * h * w

    def load_bytes(rows: int, columns: int) -> int:
        (h, phases_h, _), (w, phases_w, _) = phases(rows, kh, sh, dh), phases(columns, kw, sw, dw)
        return (phases_h * phases_w * depth * (-(-h * w // line) | 1) * line + lanes) * itemsize

    def fits(rows: int, columns: int) -> bool:
        return load_bytes(rows, columns) <= CACHE_BYTES // 4 and rows * columns <= MOST_PLANAR_PIXELS

    rows, columns = 1, out_w
    if fits(1, out_w):
        while rows < out_h and fits(rows + 1, out_w):
            rows += 1
        rows = -(-out_h // -(-out_h // rows))
        together = lanes // gcd(lanes, out_w)  # rows that are whole vectors
        if rows >= together:
            rows -= rows % together
    else:
        most = min(out_w, MOST_PLANAR_PIXELS)
        columns = max([n for n in range(lanes, most + 1, lanes) if fits(1, n)], default=min(out_w, lanes))
        if load_bytes(1, columns) > CACHE_BYTES // 2:
            return math.inf, {}
    pieces = columns < out_w
    _, _, split_rows = phases(rows, kh, sh, dh)
    pitch, _, split_columns = phases(columns, kw, sw, dw)
    gapless = phases(out_w, kw, sw, dw)[0] == out_w if not pieces else pitch == columns
    blocks = math.ceil(out_h / rows) * (out_w / columns)
    planes = g.channels_first or g.filters == 1
    part = Part(1, filters, prod(g.window) * depth)

    def tile(run: float, runs: float) -> tuple[float, int]:
        cycles, vectors = tile_vectors(round(run), [part], lanes, itemsize, tile_pixels)
        return cycles * runs, vectors

    if gapless or pieces:
        cycles, vectors = tile(min(columns * rows, pixels), blocks)
    else:
        cycles, vectors = tile((rows - 1) * pitch + columns, blocks)
    scattered = pixels / lanes * filters * COPY if planes else pixels * filters * ELEMENT
    if not planes and filters >= lanes:
        scattered = transposed_cycles(out_h, out_w, filters, lanes)
    # A vector of pixels may span rows.
    direct = planes and gapless and pixels >= lanes and (out_w >= lanes or rows >= min(out_h, (lanes - 1) // out_w + 2))
    if planes and not direct and out_w >= lanes:
        by_rows, width = tile(columns, blocks * rows)
        direct = by_rows <= cycles + scattered
        if direct:
            cycles, vectors = by_rows, width
    if not direct:
        cycles += scattered
    read_once = depth <= 4 or filters <= tile_pixels[vectors]  # or so little that it stays near
    in_place = direct and g.strides == (1, 1) and (g.channels_first or g.channels == 1) and read_once
    load = not in_place or split_rows or split_columns
    if load and not fused:
        elements = blocks * loaded(rows, columns)
        if g.channels_first or g.channels == 1:
            cycles += elements * {1: COPY / lanes, 2: 2 * COPY / lanes}.get(sw, GATHER)
        else:
            width = phases(columns, kw, sw, dw)[0]
            cycles += transposed_cycles(elements / depth / width, width, depth, lanes)
    # Two tiles of filters write long runs of their planes, or, with few runs, many share each one's loads.
    block_filters = min(PLANAR_FILTERS, (2 if rows * columns > 2 * vectors * lanes else 8) * tile_pixels[vectors])
    run = -(-((rows - 1) * (columns if gapless else pitch) + columns) // lanes) * lanes
    if pieces:
        unit, aligned = lanes, pixels % lanes == 0 and (out_w % lanes == 0 or out_h == 1)
    elif out_w % lanes == 0:
        unit, aligned = out_w, True
    else:
        aligned = gapless and pixels % lanes == 0 and rows * out_w % lanes == 0
        unit = out_w * (together if aligned else 1)
    fields = _fields(
        {
            "load_bytes": 0 if fused else load_bytes(rows, columns),
            "tile_bytes": prod(g.window) * 8,
            "out_bytes": 0 if direct else run * min(block_filters, filters) * itemsize,
        },
        planar=True,
        direct=direct,
        load=load,
        vectors=vectors,
        block_filters=block_filters,
        blocks=-(-filters // block_filters),
        block_pixels=rows * columns,
        block_shape=not pieces,
        split_rows=split_rows,
        split_columns=split_columns,
        stream=direct and aligned and streams(g, itemsize, lanes),
        unit=unit,
    )
    return g.groups * cycles, fields


def collides(channels: int, itemsize: int) -> bool:
    """Return whether the pixels under a depthwise tile share so few cache sets that they evict each other.

    Loaded to scratch, one cache line further apart, they do not.
    """
    return WAY_BYTES // gcd(channels * itemsize, WAY_BYTES) * WAYS < TILE_LINES


def blocking(
    g: Geometry,
    depthwise: bool,
    itemsize: int,
    lanes: int,
    tile_pixels: list[int],
    loads: bool,
    stores: bool,
    spreads: bool,
    planar: bool | None = None,
    kept: int = 0,
) -> dict[str, int]:
    """Return the schedule fields of a kernel's ``Conv`` struct that do not depend on the number of threads.

    Parameters
    ----------
    depthwise : bool
        Of the two kernels, which.
    itemsize, lanes, tile_pixels :
        Bytes of an element; elements of a vector; most pixels of a tile by its width in vectors.
    loads : bool
        Whether a block may have to be loaded to scratch (for padding, or channels that are not contiguous).
    stores : bool
        Whether outputs go through scratch (other channels' outputs lie between them).
    spreads : bool
        Whether the kernels have tiles of groups that share a vector.
    planar :
        Whether vectors are of pixels; None: of a dense layer of planes, as the model says.
    kept :
        What a block's pixel leaves in the cache for another step, in elements.
    """
    (out_h, out_w), (kh, kw) = g.output_size, g.window
    (sh, sw), (dh, dw) = g.strides, g.dilation_rate
    loaded = g.channels
    # Fewer filters than lanes: a row of outputs is one run of elements, in `phases` patterns of weights.
    phases = g.filters // gcd(g.filters, lanes) if depthwise and g.filters < lanes and sw == 1 and not planar else 0
    if depthwise and planar:
        loaded = 1
    elif phases:
        loaded = g.filters
    elif depthwise:
        loaded = max(g.filters, lanes)
        if collides(g.filters, itemsize):
            loaded += LINE_BYTES // itemsize

    def rows(n: int) -> tuple[int, bool]:  # loaded for n output rows, and whether tap by tap
        return min(((n - 1) * sh + (kh - 1) * dh + 1, False), (n * kh, True))

    def columns(n: int) -> tuple[int, bool]:
        if planar:  # by phases of whole vectors
            return sw * ((n + (kw - 1) // sw + 2 * lanes - 2) // lanes * lanes), False
        return min(((n - 1) * sw + (kw - 1) * dw + 1, False), (n * kw, True))

    def fits(n: int, columns_of_output: int) -> bool:
        elements = max(rows(n)[0] * columns(columns_of_output)[0] * loaded, n * columns_of_output * kept)
        return elements * itemsize <= CACHE_BYTES // 2

    most = MOST_PLANE_PIXELS if depthwise and planar else MOST_BLOCK_PIXELS
    block_rows = 1
    if fits(1, out_w) and out_w <= most:
        while block_rows < out_h and fits(block_rows + 1, out_w) and (block_rows + 1) * out_w <= most:
            block_rows += 1
        together = 4 if planar else 2  # rows of a tile
        if depthwise and together < block_rows < out_h:
            block_rows -= block_rows % together
        block_columns, block_pixels = out_w, block_rows * out_w
        shape = 1
    else:
        block_columns = min(out_w, most)
        while block_columns > (4 * lanes if planar else 24) and not fits(1, block_columns):
            block_columns //= 2
        block_columns = -(-out_w // -(-out_w // block_columns))  # as few pieces, of equal size
        block_pixels, shape = block_columns, 0
    unit = 2 * out_w if depthwise and out_h >= LEAST_ROWS else 1
    spread = leave_out = 0
    if depthwise:
        vectors, blocks = 1, -(-g.filters // lanes)
        stored = g.filters if phases else max(g.filters, lanes)
        tile_bytes = 0
        if planar:
            blocks, stores = g.filters, False
            unit = out_w if out_h > 1 else lanes  # a block is at least a vector
    else:
        filters, depth = g.filters // g.groups, g.channels // g.groups
        if spreads and filters == depth and 1 < depth < lanes <= g.filters and lanes % depth == 0:
            spread, filters = depth, g.filters
        ways = dense_parts(g, block_rows, block_columns)
        few = tile_pixels[:2] if spread else tile_pixels
        found = [(tile_vectors(filters, way, lanes, itemsize, few), n) for n, way in enumerate(ways)]
        (cycles, vectors), leave_out = min(found, key=lambda f: (f[0][0], f[1]))
        blocks = -(-filters // (vectors * lanes))
        stored = vectors * lanes
        stores = stores or filters < stored or leave_out == 2  # whole vectors to scratch, their filters from there
        tile_bytes = pixel_bytes(block_pixels, min(len(ways[1]), block_pixels) if leave_out == 1 else 1)
        if planar is not False:
            price, fields = planar_blocking(g, itemsize, lanes, tile_pixels, bool(planar))
            cycles *= 1 if spread else g.groups
            if g.channels_first:
                cycles += transposed_cycles(*g.size, g.channels, lanes)
                cycles += transposed_cycles(out_h, out_w, g.filters, lanes)
            if planar or price < cycles:
                return fields
    # Results go past the caches if they are too large to be found there, and consist of whole and aligned vectors.
    run = g.filters if depthwise or spread else g.filters // g.groups
    if planar:
        run = out_w if shape == 1 else 1
    whole = run % lanes == 0 and (planar or not g.channels_first)
    load_pixels = rows(block_rows)[0] * columns(block_columns)[0] if loads else 0
    return _fields(
        {
            "load_bytes": (load_pixels * loaded + phases * lanes) * itemsize,  # the last vectors reach beyond the row
            "tile_bytes": tile_bytes,
            "out_bytes": (block_pixels * stored + phases * lanes) * itemsize if stores else 0,
        },
        planar=bool(planar),
        vectors=vectors,
        spread=spread,
        leave_out=leave_out,
        phases=phases,
        blocks=blocks,
        block_pixels=block_pixels,
        block_shape=shape,
        split_rows=rows(block_rows)[1],
        split_columns=columns(block_columns)[1],
        fetch_ahead=depthwise and itemsize * (prod(g.input_shape) + prod(g.output_shape)) > NEAR_BYTES,
        stream=whole and streams(g, itemsize, lanes),
        unit=unit,
        loaded_channels=loaded,
    )


def streams(g: Geometry, itemsize: int, lanes: int) -> bool:
    """Return whether results are too large to be found in a cache, and vectors large enough to go past it."""
    return prod(g.output_shape) * itemsize >= STREAM_BYTES and lanes * itemsize >= STREAM_VECTOR


def _fields(sizes: dict[str, int], **chosen: int) -> dict[str, int]:
    """Return schedule fields, those that are not chosen 0, and the bytes of each part of scratch, in whole lines."""
    sizes = {name: -(-size // LINE_BYTES) * LINE_BYTES for name, size in sizes.items()}
    return {
        **dict.fromkeys(("block_filters", "direct", "load", "spread", "leave_out", "phases", "fetch_ahead"), 0),
        "loaded_channels": 1,
        **chosen,
        "load_bytes": sizes["load_bytes"],
        "tile_bytes": sizes["tile_bytes"],
        "scratch_bytes": sum(sizes.values()),
    }


def pixel_bytes(block_pixels: int, parts: int = 1) -> int:
    """Return the bytes that a dense block's pixels (two indices each) and parts (five) take."""
    return block_pixels * 16 + parts * 40


def tasks(
    units: int,
    unit: int,
    blocks: int,
    full_blocks: float,
    flops: int,
    weight_bytes: int,
    pixel_cycles: float,
    depthwise: bool,
    planar: bool,
    threads: int,
) -> tuple[int, int, int]:
    """Return (pixel parts, filter parts, threads): how the output is shared by at most ``threads`` threads.

    It is ``units`` times ``unit`` pixels and ``blocks`` blocks of filters, as much work as ``full_blocks`` full ones.

    With much to do, each thread gets more parts than one, of which another that is done takes over what it can.

    The model, for one thread: its share of the multiply-adds at 64 a cycle, rounded up to whole units of pixels and
    filter blocks; its weights, read at 8 bytes a cycle; and ``pixel_cycles``, which every part of the filters spends on
    its pixels: inputs read and, in a separable layer, the depthwise step. In a depthwise layer weights and inputs are
    divided either way. Filters of a pixel lie side by side: threads that write them in turns fetch each other's lines
    ahead, and wait for them; planes lie apart.
    """
    threads = max(1, min(threads, flops // SERIAL_FLOPS))

    def cycles(parts: tuple[int, int]) -> float:
        pixel_parts, filter_parts = parts
        share = -(-units // pixel_parts) / max(units, 1) * min(1, -(-blocks // filter_parts) / max(full_blocks, 1))
        repeated = 0 if depthwise else weight_bytes / 8 / filter_parts + pixel_cycles / pixel_parts
        in_turns = filter_parts > 1 and depthwise and not planar
        return flops / 64 * share * (IN_TURNS if in_turns else 1) + repeated

    order = range(1, threads + 1) if depthwise and planar else range(threads, 0, -1)  # the first of equals is taken
    choices = [(p, threads // p) for p in order if p <= max(units, 1) and threads // p <= max(blocks, 1)]
    pixel_parts, filter_parts = min(choices, key=cycles, default=(1, 1))
    used = pixel_parts * filter_parts
    if used > 1:
        more = max(1, min(PARTS_A_THREAD, flops // (used * LEAST_PART_FLOPS)))
        if filter_parts > pixel_parts:
            filter_parts *= max(1, min(more, blocks // filter_parts))
        else:
            pixel_parts *= max(1, min(more, units * unit // (pixel_parts * LEAST_PART_PIXELS)))
    return pixel_parts, filter_parts, used
