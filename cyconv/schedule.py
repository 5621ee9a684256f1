"""How a convolution is cut up: register tile, and blocks that fit the caches. The one place that chooses them.

A choice changes how long a result takes, never a bit of it; `dots` and `columnwise`, the exceptions, decide by the
layer alone, and `winograd` by the layer and the size of its images.
"""

from __future__ import annotations

import math
from dataclasses import replace
from math import gcd, prod

from cyconv.blocks import (
    LINE_BYTES,
    WAY_BYTES,
    WAYS,
    Fields,
    apart,
    equal_blocks,
    equal_columns,
    fetch_ahead,
    lines,
    loaded,
    loaded_block,
    most_rows,
    schedule_fields,
    scratch_sizes,
    streams,
    touched_bytes,
)
from cyconv.geometry import Geometry
from cyconv.planes import (
    SQUARES,
    narrower,
    planar_blocking,
    planar_depthwise,
    planar_depthwise_blocking,
    tap_blocking,
    walk_blocking,
)
from cyconv.tiles import (
    CACHE_BYTES,
    DOT_ENDS,
    ELEMENT,
    Target,
    dense_parts,
    dot_tile,
    multiply_adds,
    pixel_bytes,
    short_cycles,
    tile_vectors,
    transposed_cycles,
)
from cyconv.winograd import winograd, winograd_blocking

MOST_BLOCK_PIXELS = 512  # pixel offsets and weights of a block then stay in the first-level cache
MOST_SHORT_PIXELS = 2048  # of a block whose weights stay in registers: what begins it would take as long as some pixels
LEAST_BLOCKS = 8  # of small images, for threads to share
LEAST_ROWS = (8, 4)  # of a depthwise layer's output, to be cut between rows alone: of tiles, of sums along rows
LOAD = 3.0  # cycles of a vector of channels that is copied with the padding around it
# Cycles of a depthwise vector of channels: of each tap; of each at a stride; of the rest, to its place in planes.
TAP, STRIDED_TAP, RESULT = 0.9, 1.75, 14.0
REPEATED, REPEATED_FAR = 1.1, 6.0  # cycles of an element that is repeated; where planes share the sets of a cache
LONE_PLANE = 200  # cycles of a plane that a dense kernel takes by itself
TILE_LINES = 24  # under a depthwise tile of 2 x 4 pixels and a 3 x 3 window
FEW_LINES = 15  # under one of 1 x 2 pixels and a 3 x 3 window at stride 2, or of 8 pixels and 8 taps of one row
TWO_VECTORS = 3  # lines that two vectors of pixels meet
TWO_LINES = 1.25, 1.75  # times the price, if the first-level cache holds what is met, or about; if not
SHORT_REDUCTION = 96  # products of a sum, whose tiles end often: of one vector soonest, if multiply-adds hide its loads
PART_COPY = 6.0  # cycles of a pixel whose few filters are copied from scratch to their place
LONE_HALF = 0.75  # what a tile half a vector wide takes of the time of a whole one: loads bound it
LEAST_FILTERS, FULL_ENOUGH = 5, 5 / 8  # of a channel, to be dense; of a vector, where windows share some inputs
THIN, FEW_PRODUCTS = (5 / 16, 9 / 16), 9  # of a vector that a pixel's channels fill at least; of more taps than so many
LARGE_WINDOW = 25  # taps, of which many are shared at a stride, too
EMPTIER = 1.25  # times as many vectors of a channel's filters as of channels that are repeated, at most
LEAST_INSIDE = 16  # pixels of a row whose dilated windows lie inside the input, to be worked on by themselves
LEADING_VECTORS = (16, 5, 3)  # of channels at least, to load one more but each from one line; of many loads, of most
LEAST_PIECE = 256  # bytes of a pixel, whose lines are then met in the order of memory
MOST_THREADS = 1 << 20  # more than there are: for all of them
TILE_ROWS = 8  # of a depthwise tile at most, under a window of one column
ROWS_IN_PLACE = 16  # of a depthwise block at least, that tiles of up to four rows fill
STRIP_BYTES = CACHE_BYTES * 3 // 4  # of a strip's rows that are worked on, and of those that come next
LEAST_STRIP = 16  # columns, whose windows share more than they do not
LOADED_BYTES = 512, 2048  # of a pixel, that a depthwise layer loads together: at least; at most


def one_channel_groups(g: Geometry, target: Target) -> bool:
    """Return whether a layer that takes every channel by itself is one of groups for the dense kernel.

    Many filters of a channel fill its vectors of filters; its vectors of pixels suit a single plane. Where windows
    share little, fewer filters are enough, if parts of vectors are stored in one instruction.
    """
    multiplier = g.filters // g.groups
    if multiplier >= max(2, target.lanes):
        return True
    if target.halves and not g.channels_first and max(*g.strides, *g.dilation_rate) > 1:
        share = max(g.strides) == 1 or prod(g.window) >= LARGE_WINDOW
        if multiplier >= max(LEAST_FILTERS, FULL_ENOUGH * target.lanes if share else 0):
            return True
    if g.channels == g.filters == 1 and planar_depthwise(g, target):
        return False
    return g.channels == 1


def few_taps(g: Geometry, itemsize: int) -> bool:
    """Return whether the windows of a depthwise layer have two to four taps and share next to nothing.

    So they do at a stride; where pixels evict each other from the first-level cache, as those of one set do, and two
    rows of those of two; and under a dilated window where that is true of pixels that share.
    """
    dilation = g.dilation_rate[1]
    inside = g.output_size[1] - (g.window[1] - 1) * dilation
    alone = dilation > 1 and inside >= LEAST_INSIDE and lines(dilation * g.filters * itemsize) < FEW_LINES
    crowded = g.window[1] > 1 and lines(g.filters * itemsize) <= WAYS * (1 + (g.window[0] > 1))
    return 2 <= prod(g.window) <= 4 and (g.strides[1] > 1 or alone or crowded)


def tall(g: Geometry) -> bool:
    """Return whether depthwise tiles go down a column: as high as the window is, they load no input twice."""
    return g.window[1] == g.strides[0] == 1 < g.window[0]


def thin(g: Geometry, target: Target) -> bool:
    """Return whether a depthwise layer's pixels are parts of vectors, one by one: a row is not taken as one run.

    At a stride, which a run computes what lies between for, if enough lanes are filled.
    """
    least = THIN[prod(g.window) > FEW_PRODUCTS] * target.lanes
    fits = target.halves and least <= g.filters < target.lanes and g.filters == g.channels
    return fits and g.strides[1] > 1 and not g.channels_first


def collides(g: Geometry, itemsize: int, fused: bool) -> bool:
    """Return whether the pixels under a depthwise tile share so few cache sets that they evict each other.

    Loaded to scratch, a few channels at a time, they do not. Under a dilated window that takes longer for the first
    step of a separable layer, a few rows at a time.
    """
    if few_taps(g, itemsize) or tall(g):  # nothing is needed again soon
        return False
    few = g.window[0] == 1 or (g.window == (3, 3) and g.strides == (2, 2))
    if lines(g.filters * itemsize) < (FEW_LINES if few else TILE_LINES):
        return True
    dilation = g.dilation_rate[1]  # so far apart are the pixels of a tile, too, where a row has enough of them
    dilated = dilation > 1 and 4 * dilation <= g.output_size[1] and min(g.window) > 1
    return dilated and not fused and lines(dilation * g.filters * itemsize) < FEW_LINES


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
    groups, filters, depth = g.groups, g.filters // g.groups, g.channels // g.groups
    weights = prod(g.window) * depth  # of a filter
    most = MOST_BLOCK_PIXELS if weights > target.products else MOST_SHORT_PIXELS

    def fits(rows: int, columns: int) -> bool:
        pixels, _ = loaded_block(g, rows, columns)
        return pixels * g.channels * itemsize <= CACHE_BYTES // 2 and rows * columns <= most

    rows, columns = most_rows(g, fits), out_w
    pieces = not rows
    if pieces:
        rows, columns = 1, equal_columns(g, most, 24, fits)
    pixels = rows * columns
    spread = 0
    across = dots(g, target)
    if target.spreads and filters == depth and 1 < depth < lanes <= g.filters and lanes % depth == 0:
        groups, filters, spread = 1, g.filters, depth
    unit = lanes if spread else filter_unit(filters, target)
    if lanes < filters < 2 * lanes and multiply_adds(1.5, target) > 2:
        unit = lanes  # three halves take longer
    held = -(-filters // unit) * unit
    padded = any(map(any, g.pads))
    images = 1
    if pixels == out_h * out_w and not (g.channels_first or fused):  # small images: many fill tiles
        most_images = most // max(pixels, 1), CACHE_BYTES // 2 // max(prod(g.size) * g.channels * itemsize, 1)
        images = max(1, min(*most_images, g.batch // LEAST_BLOCKS))
    ways = dense_parts(g, rows, columns, images)
    if across:
        loaded_cycles = LOAD * prod(g.size) * g.channels / lanes / groups * padded
        found = [dot_tile(filters, way, target, 0 if n else loaded_cycles) for n, way in enumerate(ways[:2])]
    else:
        ends_often = target.two_passes and held % lanes == 0 and weights <= SHORT_REDUCTION
        widest = 1 if spread or ends_often else 4
        found = [tile_vectors(held / lanes, way, target, widest) for way in ways]
    copied = PART_COPY * out_h * out_w if target.halves and filters < held < lanes and not across else 0
    choices = [(cycles + copied, way, False, vectors) for way, (cycles, vectors) in enumerate(found)]
    if weights <= target.products and not (spread or across):
        way = int(padded and len(ways) > 1)
        choices.append((short_cycles(filters, ways[way], target), way, True, min(-(-filters // lanes), 2)))
    cycles, leave_out, short, vectors = min(choices)
    if short:  # of whole vectors
        unit, held = lanes, -(-filters // lanes) * lanes
    width = vectors * (1 if across else lanes)
    loaded_pixels, split = loaded_block(g, rows, columns)
    pixels = rows * columns * (images if leave_out or not padded else 1)
    # Whole vectors go to scratch, and their filters from there, unless a tile stores a part of its only vector.
    in_part = target.halves and held == lanes
    stores = g.channels_first or leave_out == 2 or (filters < held <= lanes and not (across or in_part))
    # A tile fetches its share of what comes next: of one group, or of one tap, there is none; short sums have no tile.
    shared = across or (g.groups == 1 and leave_out < 2 and not short)
    fields = schedule_fields(
        {
            "load_bytes": 0 if fused else loaded_pixels * g.channels * itemsize,
            "tile_bytes": pixel_bytes(pixels, min(len(ways[1]), pixels) if leave_out == 1 else 1),
            "out_bytes": pixels * width * itemsize if stores else 0,
        },
        vectors=vectors,
        spread=spread,
        filter_unit=1 if across else unit,
        dots=across,
        short=short,
        fetch_ahead=shared and not fused and fetch_ahead(g, target, outputs=False),
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
        met, by_taps = loaded_block(g, out_h, out_w)
        if by_taps["split_columns"]:
            cycles += met * g.channels * ELEMENT / groups
        else:
            met_rows = out_h * g.window[0] if by_taps["split_rows"] else g.size[0]
            cycles += transposed_cycles(met_rows, g.size[1], g.channels, lanes) / groups
        cycles += transposed_cycles(out_h, out_w, g.filters, lanes) / groups
    return groups * cycles, fields


def siblings(g: Geometry, target: Target) -> int:
    """Return how many filters of a depthwise layer's channel have vectors of their own, whose sums grow side by side.

    Two to four do, so that an input is loaded once for all of them. Not where their vectors would be emptier; nor where
    a kernel of one filter, which channels are repeated for, shares more between pixels: under small squares at stride
    1 and, where registers are few, long rows and columns. Where vectors are lines, so that sums may else go along rows,
    the layer alone decides.
    """
    multiplier, lanes = g.filters // g.channels, target.lanes
    (kh, kw), stride = g.window, g.strides[1]
    vectors, repeated = multiplier * -(-g.channels // lanes), -(-g.filters // lanes)
    fewer = g.channels < lanes  # than lanes: runs of elements, without empty lanes
    if not (target.spreads and 2 <= multiplier <= 4) or (fewer and stride > 1 and g.filters >= lanes):
        return 1
    lines = lanes * target.itemsize == LINE_BYTES  # vectors are
    if kh == kw and (kw, 1) in SQUARES and g.strides == g.dilation_rate == (1, 1):
        whole = g.filters < lanes or g.channels % lanes == 0
        shares = not (lines and whole and (multiplier == 2 or g.channels >= 8 * lanes))
    else:
        long = kw > 3 or (kh > 3 and kw == 1 < g.output_size[0])
        shares = not lines and long and max(g.strides) == 1 and g.channels < 16 * lanes
    return 1 if shares or (vectors > EMPTIER * repeated and not fewer) else multiplier


def columnwise(g: Geometry, target: Target) -> bool:
    """Return whether the sums of a depthwise layer go along their rows, and so add a window's columns in turn.

    The layer alone decides: what must agree in each bit must agree in this.
    """
    known = g.window[0] == g.window[1] and (g.window[1], g.strides[1]) in SQUARES
    whole_lines = target.lanes * target.itemsize == LINE_BYTES and g.filters >= target.lanes
    along = known and g.dilation_rate == (1, 1) and whole_lines and not g.channels_first and siblings(g, target) == 1
    return along and not one_channel_groups(g, target)  # by itself, not in a separable layer, such a one is dense


def in_pieces(g: Geometry, target: Target) -> int:
    """Return for how many threads, at most, sums along rows go along a few pixels, with all channels, before the next.

    A vector of channels of whole rows meets lines that are a pixel apart, which a processor fetches ahead from near
    caches alone; and where they share few sets of the first one, they take longer from there, too. What it keeps for
    the next pixels is loaded again here.
    """
    if not (target.intel and g.window == (3, 3) and columnwise(g, target)):
        return 0
    pixel = g.filters * target.itemsize
    if g.strides[1] > 1:
        return MOST_THREADS * (pixel >= LEAST_PIECE)
    share = 3 / 4 if pixel % LEAST_PIECE == 0 else 9 / 8  # of a thread's cache, that holds the layer for whole rows
    return int(touched_bytes(g, target) / CACHE_BYTES / share)


def strip_columns(g: Geometry, target: Target) -> int:
    """Return how many columns of a depthwise layer are worked on row after row: their rows stay in a cache."""
    rows = min(g.output_size[0], 2)
    window = (g.window[0] - 1) * g.dilation_rate[0] + 1
    inputs, outputs = (2 * rows - 1) * g.strides[0] + window, 2 * rows  # that are worked on, and that come next
    column = g.filters * target.itemsize * (inputs * g.strides[1] + outputs)
    out_w = g.output_size[1]
    return -(-out_w // max(1, min(-(-out_w * column // STRIP_BYTES), out_w // LEAST_STRIP)))


def depthwise_blocking(g: Geometry, target: Target, fused: bool) -> Fields:
    """Return the schedule fields of a depthwise layer; `fused`: of the first step of a separable one."""
    out_h, out_w = g.output_size
    lanes, itemsize = target.lanes, target.itemsize
    stores = g.channels_first and not fused
    times = 1 if stores else siblings(g, target)
    filters = g.filters // times  # vectors are of these
    # Fewer than lanes: a row of outputs is one run of elements, in `phases` patterns of weights.
    phases = filters // gcd(filters, lanes) if filters < lanes and not thin(g, target) else 0
    stores = stores or phases > 0
    stored = g.filters * g.strides[1] if phases else g.filters
    kept = stored if stores or fused else 0  # of a pixel, in the cache until all of it is there
    # A few vectors are loaded together: of channels or, of several filters each, with all filters of these; more where
    # what two rows of output meet stays in a near cache.
    others = 2 * (filters // g.channels - 1)
    least, most = LOADED_BYTES
    met = loaded(2, g.window[0], g.strides[0], g.dilation_rate[0], splits=False)[0] * g.size[1]
    together = max(least, min(most if others else least, CACHE_BYTES // 4 // met))
    span = loaded(1, g.window[0], g.strides[0], g.dilation_rate[0], splits=False)[0]
    if g.channels_first and span > g.strides[0]:  # fewer, else rows that windows share become pixels again and again
        together = max(lanes * itemsize, min(together, CACHE_BYTES // 2 // (min(g.size[0], 4 * span) * g.size[1])))
    channels = -(-min(together // itemsize + others, filters) // lanes) * lanes
    if phases or others:
        channels = min(channels, filters)

    # Tiles go down a column where a window is one: so many rows.
    high = TILE_ROWS * g.dilation_rate[0] if tall(g) else 0

    def load(rows: int, columns: int) -> tuple[int, dict[str, bool]]:
        # Runs of a row go on between the pixels that a stride takes.
        return loaded_block(g, rows, columns, not phases or g.strides[1] == 1)

    def fits(rows: int, columns: int) -> bool:
        elements = max(load(rows, columns)[0] * channels, rows * columns * kept)
        return elements * itemsize <= CACHE_BYTES // 2 and rows * columns <= max(MOST_BLOCK_PIXELS, high * columns)

    rows, columns, pieces = equal_blocks(g, high or 2, MOST_BLOCK_PIXELS, 24, fits)
    pixels = rows * columns
    loaded_pixels, split = load(rows, columns)
    contiguous = not g.channels_first or g.channels == 1
    few_sets = times == 1 and collides(g, itemsize, fused)
    along, piecewise = columnwise(g, target), 0 if fused else in_pieces(g, target)
    few = times == 1 and few_taps(g, itemsize)
    # Sums along rows load nothing twice: few sets are enough for them, but where results are stored at the same place;
    # not one set at a stride, whose loads wait for each other.
    strided = few or max(g.strides) > 1  # or as good as that: pixels share little
    one_set = g.filters * itemsize % WAY_BYTES == 0
    alone = not (phases or others)
    in_place = alone and contiguous and not (few_sets and (fused or not along or (strided and one_set)))
    # Loads that meet two lines take twice as long: worth one more vector of many where there are many loads, or where
    # they wait for each other.
    waits = few_sets and (one_set or g.window == (3, 3))
    one_set_of_rows = high > 0 and lines(g.dilation_rate[0] * g.size[1] * g.filters * itemsize) <= WAYS
    many_loads = strided or one_set_of_rows or (waits if along else max(g.window) > 3)
    least = LEADING_VECTORS[max(strided + (strided and along and g.window == (3, 3)), one_set_of_rows)]
    leads = in_place and times == 1 and many_loads and g.filters % lanes == 0 and g.filters >= least * lanes
    whole_run = phases and times > 1 and contiguous and g.strides[1] == 1 and out_w * filters % (phases * lanes) == 0
    strip, rows_in_place = out_w, 0
    if in_place and not (few_sets or fused or stores):
        strip = strip_columns(g, target)
        rows_in_place = out_h if strip < out_w else min(out_h, max(ROWS_IN_PLACE, 0 if pieces else rows))
    # In the order of memory a processor sees what comes next, and fetches it better by itself, where that is far.
    in_order = piecewise > 0 or (target.intel and out_h == 1)
    # Vectors behind the row that is one run, or behind each row of channels that are loaded together.
    behind = phases or loaded(rows, g.window[0], g.strides[0], g.dilation_rate[0])[0]
    return schedule_fields(
        {
            "load_bytes": (loaded_pixels * channels + behind * lanes) * itemsize,
            "tile_bytes": (g.filters + lanes) * (prod(g.window) + 1) * itemsize * leads,
            "out_bytes": (pixels * stored + phases * lanes * times) * itemsize if stores else 0,
        },
        vectors=times,
        filter_unit=lanes,
        phases=phases,
        columnwise=along,
        pieces=piecewise,
        siblings=times,
        few_taps=few,
        leads=leads,
        leave_out=any(map(any, g.pads)) and not phases,
        blocks=-(-filters // lanes),
        block_pixels=pixels,
        block_shape=not pieces,
        load=not (in_place or whole_run),
        collides=in_place and few_sets,
        rows_in_place=rows_in_place,
        strip=strip,
        fetch_ahead=0 if in_order else fetch_ahead(g, target, outputs=not fused),  # of a fused step they are in a cache
        stream=filters % lanes == 0 and not g.channels_first and not fused and streams(g, target),
        unit=out_w if out_h >= LEAST_ROWS[along] else 1,
        loaded_channels=channels,
        **split,
    )


def depthwise_cycles(g: Geometry, target: Target, fields: Fields) -> float:
    """Return the cycles of a depthwise layer of planes whose vectors are of channels: planes become pixels and back."""
    (out_h, out_w), lanes = g.output_size, target.lanes
    vectors = out_h * out_w * -(-g.filters // lanes)
    cycles = vectors * (prod(g.window) * (STRIDED_TAP if max(g.strides) > 1 else TAP) + RESULT) * narrower(target)
    block_rows = fields["block_pixels"] // out_w if fields["block_shape"] else 1
    blocks = -(-out_h // block_rows)
    met = loaded(-(-out_h // blocks), g.window[0], g.strides[0], g.dilation_rate[0], splits=False)[0]
    rows = blocks * min(met, g.size[0])
    if g.filters == g.channels:
        # Rows that are shorter than a vector are read across their ends.
        return cycles + min(transposed_cycles(rows, n, g.channels, lanes) for n in (g.size[1], max(g.size[1], lanes)))
    # Channels are repeated pixel by pixel: planes in the same sets of a cache evict each other.
    one_set = prod(g.size) * target.itemsize % WAY_BYTES == 0
    return cycles + rows * g.size[1] * g.channels * (REPEATED_FAR if one_set else REPEATED)


def two_lines(g: Geometry, target: Target) -> float:
    """Return how much longer than their price planes of pixels take where most loads meet two cache lines.

    Beside vectors of filters: if these are partly empty, or become planes, they take longer than their price, too.
    """
    if not target.intel or g.channels_first or g.window[1] == 1 or g.strides[1] > 1:
        return 1.0
    if g.filters // g.groups <= target.lanes:
        return 1.0
    met = g.channels // g.groups * g.window[0] * TWO_VECTORS * LINE_BYTES  # by two vectors of pixels
    return TWO_LINES[met > 2 * WAYS * WAY_BYTES]


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

    A layer whose groups have one channel is a depthwise one, and the other way round; of planes, what takes less.
    """
    depthwise = g.groups == g.channels and not one_channel_groups(g, target)
    if depthwise and planar_depthwise(g, target):
        return True, planar_depthwise_blocking(g, target, False)
    if not depthwise and winograd(g, target):
        return False, winograd_blocking(g, target)
    # Pixels need no loading: where filters fill their vectors, planes have nothing to gain.
    full = not g.channels_first and (depthwise or g.filters // g.groups % target.lanes == 0)
    if depthwise:
        fields = depthwise_blocking(g, target, False)
        cycles = depthwise_cycles(g, target, fields)
    else:
        cycles, fields = dense_blocking(g, target)
    if not (full or fields["dots"]):
        lone, across = (LONE_PLANE * g.channels, 1.0) if depthwise else (0, two_lines(g, target))
        # Tiles share each load between filters: of one, tap after tap takes no longer.
        tiles = () if depthwise and g.filters == g.channels else (planar_blocking,)
        for blocking in (*tiles, walk_blocking, tap_blocking):
            by_itself = blocking is tap_blocking
            price, planar = blocking(g, target)
            price = price if by_itself else price * across + lone
            if price < cycles:
                cycles, fields, depthwise = price, planar, by_itself
    return depthwise, fields


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
    fields.update(block_pixels=pixels, **scratch_sizes(sizes, depthwise["scratch_bytes"]))
    return depthwise, fields, plane
