"""How a call is shared: the parts of its output that threads take."""

from __future__ import annotations

from typing import NamedTuple

from cyconv.blocks import LINE_BYTES

IN_TURNS = 24  # cycles of a line of results where threads write those of a pixel in turns
PARTS_A_THREAD = 2  # at most
LEAST_PART_FLOPS = 8_000_000  # what another thread could take over: some 100 us
TILE_PIXELS = 6  # of a large register tile
LEAST_PART_PIXELS = 8 * TILE_PIXELS
COMING_BYTES = 8  # of weights or input in a cycle, from a cache that other threads read too
SERIAL_FLOPS = 50_000  # for each thread: half a microsecond, and waking another costs up to as much
ELEMENT_FLOPS = 4  # that each element of input and output takes as long as: short reductions wait for these


class Work(NamedTuple):
    """What one call does, and what of it can be divided."""

    units: int  # of output pixels, that parts are cut between
    unit: int  # pixels
    blocks: int  # of filters
    full_blocks: float  # that are as much work as these
    flops: int
    elements: int  # of input and output
    out_bytes: int
    weight_bytes: int
    pixel_cycles: float  # of inputs read and, in a separable layer, the depthwise step: for every part of the filters
    again_bytes: int  # of input, in all channels, that neighbouring parts of the pixels both read
    flops_a_cycle: int
    depthwise: bool
    planar: bool


def share(work: Work, threads: int) -> tuple[int, int, int]:
    """Return (pixel parts, filter parts, threads): how the output is shared by at most ``threads`` threads.

    With much to do, each thread gets more parts than one, of which another that is done takes over what it can.

    The model, for one thread: its share of the multiply-adds, rounded up to whole units of pixels and filter blocks;
    its weights, so far as they take longer to come than its first tiles to compute with them; and the cycles that every
    part of the filters spends on its pixels. A depthwise layer divides its inputs either way, but parts of its pixels
    read all weights each, and inputs that their neighbours read, too. Filters of a pixel lie side by side: threads that
    write them in turns fetch each other's lines ahead, and wait for theirs; planes lie apart.
    """
    units, blocks, flops = work.units, work.blocks, work.flops
    threads = max(1, min(threads, (flops + work.elements * ELEMENT_FLOPS) // SERIAL_FLOPS))

    def cycles(parts: tuple[int, int]) -> float:
        pixel_parts, filter_parts = parts
        part_units = -(-units // pixel_parts)
        share = part_units / max(units, 1) * min(1, -(-blocks // filter_parts) / max(work.full_blocks, 1))
        computing = flops / work.flops_a_cycle * share
        in_turns = work.out_bytes / LINE_BYTES * IN_TURNS * share if filter_parts > 1 and not work.planar else 0
        weights = work.weight_bytes / COMING_BYTES / filter_parts
        if work.depthwise:
            again = work.again_bytes / COMING_BYTES / filter_parts if pixel_parts > 1 else 0
            return computing + in_turns + weights + again
        first_tiles = computing * min(1, TILE_PIXELS / max(part_units * work.unit, 1))
        return computing + in_turns + max(0, weights - first_tiles) + work.pixel_cycles / pixel_parts

    order = range(1, threads + 1) if work.depthwise and work.planar else range(threads, 0, -1)  # first of equals: taken
    most_pixel_parts, most_filter_parts = max(units, 1), max(blocks, 1)
    choices = [(p, threads // p) for p in order if p <= most_pixel_parts and threads // p <= most_filter_parts]
    fewer = ((min(p, most_pixel_parts), min(threads // p, most_filter_parts)) for p in order)  # than threads
    pixel_parts, filter_parts = min(choices or fewer, key=cycles)
    used = pixel_parts * filter_parts
    if pixel_parts > 1:  # more parts of the filters would repeat what is done for their pixels
        most = min(flops // (used * LEAST_PART_FLOPS), units * work.unit // (pixel_parts * LEAST_PART_PIXELS))
        pixel_parts *= max(1, min(PARTS_A_THREAD, most))
    return pixel_parts, filter_parts, used
