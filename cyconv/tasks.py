"""How a call is shared: the parts of its output that threads take."""

from __future__ import annotations

IN_TURNS = 1.25  # price of results that two threads write in turns
PARTS_A_THREAD = 2  # at most
LEAST_PART_FLOPS = 8_000_000  # what another thread could take over: some 100 us
LEAST_PART_PIXELS = 48  # a few register tiles
SERIAL_FLOPS = 50_000  # for each thread: half a microsecond, and waking another costs up to as much


def share(
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
