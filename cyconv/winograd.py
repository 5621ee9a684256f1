"""Dense layers whose windows are rows of three taps, with fewer products than taps: whether, and in which blocks."""

from __future__ import annotations

from math import prod

from cyconv.blocks import Fields, apart, schedule_fields
from cyconv.geometry import Geometry
from cyconv.tiles import CACHE_BYTES, Part, Target, pixel_bytes, tap_outputs, tile_vectors

COMPONENTS = {(3, 3): 16, (1, 3): 4}  # products of a tile, of two outputs on an axis of three taps
LEAST_WEIGHTS = 512  # of a tap and group, for fewer products to pay
# Multiply-adds of a vector that a tile takes beside its products: by itself; of each component; of 16 components, for
# each vector of channels and of filters.
TILE_ENDS, COMPONENT_ENDS, TILE_INPUTS, TILE_OUTPUTS = 36, 4, 60, 80
WINOGRAD_GAIN = 0.85  # of the multiply-adds otherwise, at most: weights are more
LEAST_TILES = 32  # worked on together: all weights are read for each such part
TILE_PLACE = 24  # bytes of a tile's place
MOST_ROWS_BYTES = 16 << 20  # of the rows of input that tiles meet: they may have to be loaded


def winograd(g: Geometry, target: Target) -> bool:
    """Return whether a dense layer takes fewer products than its windows have taps.

    Results are rounded in another way: what decides is the same for every batch, layout, processor and number of
    threads. The model, in multiply-adds of a vector: those of either way, without taps that meet padding alone, and
    what tiles take beside theirs.
    """
    depth, filters = g.channels // g.groups, g.filters // g.groups
    known = target.winograd and g.window in COMPONENTS and g.strides == (1, 1)
    if not known or depth * filters < LEAST_WEIGHTS or min(depth, filters) < target.lanes:
        return False
    rows = tile_rows(g) + (g.window[0] - 1) * g.dilation_rate[0]
    if g.window[0] > 1 and rows * g.size[1] * g.channels * target.itemsize > MOST_ROWS_BYTES:
        return False
    axes = zip(g.size, g.output_size, g.pads, g.window, g.dilation_rate, strict=True)
    taps = prod(sum(tap_outputs(size, n, pad, window, 1, rate)) for size, n, (pad, _), window, rate in axes)
    components, products = COMPONENTS[g.window], depth * g.filters / target.lanes
    beside = (TILE_INPUTS * g.channels + TILE_OUTPUTS * g.filters) / target.lanes / 16
    tile = TILE_ENDS + components * (COMPONENT_ENDS + beside + products)
    return prod(origins(g)) * tile <= WINOGRAD_GAIN * taps * products


def origins(g: Geometry) -> tuple[int, int]:
    """Return how many outputs of each axis are the first of a tile: of three taps, `dilation_rate` of twice as many."""

    def on_axis(outputs: int, window: int, dilation_rate: int) -> int:
        whole, rest = divmod(outputs, 2 * dilation_rate)
        return whole * dilation_rate + min(rest, dilation_rate) if window == 3 else outputs

    down, across = map(on_axis, g.output_size, g.window, g.dilation_rate)
    return down, across


def tile_rows(g: Geometry) -> int:
    """Return how many rows of output are worked on together at least: those that the tiles of some rows fill."""
    return 2 * g.dilation_rate[0] if g.window[0] == 3 else 1


def winograd_blocking(g: Geometry, target: Target) -> Fields:
    """Return the schedule fields of such a layer."""
    (out_h, out_w), (dh, dw), itemsize = g.output_size, g.dilation_rate, target.itemsize
    depth, filters = g.channels // g.groups, g.filters // g.groups
    components = COMPONENTS[g.window]
    inputs = components * apart(g.channels, itemsize) * itemsize  # bytes of a tile

    def tile_bytes(vectors: int) -> int:
        return inputs + components * apart(vectors * target.lanes, itemsize) * itemsize

    down, across = origins(g)
    most = max(LEAST_TILES, CACHE_BYTES // 2 // tile_bytes(4))
    images = max(1, min(most // max(down * across, 1), g.batch))
    together = images * down * across
    together = -(-together // -(-together // most)) if together else 1
    _, vectors = tile_vectors(-(-filters // target.lanes), [Part(1, together, depth)], target)
    pieces = g.window[0] == 1 and across >= together  # of a row
    rows = min(out_h, 1 if pieces else max(1, together // max(across, 1)) * tile_rows(g))
    columns = min(out_w, max(1, together // dw) * 2 * dw) if pieces else out_w
    loaded_rows = rows + (g.window[0] - 1) * dh
    return schedule_fields(
        {
            "load_bytes": loaded_rows * (min(columns + 2 * dw, g.size[1]) * g.channels + target.lanes) * itemsize,
            "tile_bytes": pixel_bytes(together) + TILE_PLACE * together,
            "out_bytes": inputs
            + tile_bytes(vectors) * together
            + rows * columns * g.filters * itemsize * g.channels_first,
        },
        vectors=vectors,
        filter_unit=target.lanes,
        winograd=components,
        tiles=together,
        direct=not g.channels_first,
        leave_out=1,  # nothing is loaded for padding: tiles that meet it are copied
        blocks=-(-filters // (vectors * target.lanes)),
        block_pixels=rows * columns,
        block_shape=not pieces,
        load=g.channels_first,
        rows_in_place=0 if pieces else out_h * images,
        stream=False,
        unit=2 * dw if out_h == 1 else tile_rows(g) * out_w,
        loaded_channels=g.channels,
    )
