"""How layers scale with threads: measured for one and two, and by the largest share of the work for more."""

import sys
import time

import numpy as np
from layers import LAYERS
from peers import problem

import cyconv
from cyconv import ops

OPS = {"conv": "conv", "dw": "depthwise", "sep": "separable"}
MANY = (2, 8, 16, 32, 64)
ROUNDS = 30
SECONDS = 0.01  # of one number of threads, before the other's turn


def plan(name):
    """Return (plan, inputs, flops) of a layer."""
    p = problem(name)
    layer = p.layer
    options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
    return ops.plan(OPS[layer.op], layer.shape, "float32", p.weights[:-1], p.weights[-1], **options), p.inputs, p.flops


def largest_share(made, threads):
    """Return what part of the output falls to the thread that has most of it."""
    cyconv.set_num_threads(threads)
    shares = made.shares
    pixels, blocks = (
        np.diff(np.arange(parts + 1) * n // parts) for n, parts in (shares["pixels"], shares["filter blocks"])
    )
    tasks = np.outer(pixels, blocks).ravel()
    ends = np.arange(shares["threads"] + 1) * len(tasks) // shares["threads"]
    return np.add.reduceat(tasks, ends[:-1]).max() / tasks.sum()


def times(made, x):
    """Return the smallest time with one thread and with two, in turns."""
    out = made(x)
    best = {1: np.inf, 2: np.inf}
    for _ in range(ROUNDS):
        for threads in best:
            cyconv.set_num_threads(threads)
            made(x, out)
            end = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < end:
                made(x, out)
                best[threads] = min(best[threads], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    print("| layer | MFLOP | 1 thread, us | 2 threads, us | gain | by shares: 2 | 8 | 16 | 32 | 64 |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in sys.argv[1:] or LAYERS:
        made, x, flops = plan(name)
        best = times(made, x)
        row = [name, f"{flops / 1e6:.0f}", *(f"{t * 1e6:,.1f}" for t in best.values()), f"{best[1] / best[2]:.2f}"]
        row += [f"{1 / largest_share(made, threads):.1f}" for threads in MANY]
        print(f"| {' | '.join(row)} |", flush=True)
