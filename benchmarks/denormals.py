"""What numbers below the normal range cost: prints the time of each kind of them over that of normal numbers."""

import time

import numpy as np

import cyconv
from cyconv import ops

LAYERS = {
    "conv": [(1, 28, 28, 128), (3, 3, 128, 128)],
    "pointwise_conv": [(1, 28, 28, 256), (256, 256)],
    "depthwise_conv": [(1, 56, 56, 128), (3, 3, 128, 1)],
    "separable_conv": [(1, 28, 28, 128), (3, 3, 128, 1), (128, 128)],
}
TINY = {np.float32: 1e-40, np.float64: 1e-310}
ROUNDS = 15


def measure(op, dtype):
    """Return {kind: ratio}: the smallest of interleaved rounds."""
    rng = np.random.default_rng(0)
    inputs, kernel, *more = (rng.uniform(0.5, 1.5, shape).astype(dtype) for shape in LAYERS[op])
    tiny, root = dtype(TINY[dtype]), dtype(TINY[dtype] ** 0.5)
    kinds = {
        "normal": (inputs, kernel),
        "none (a copy)": (inputs * dtype(1), kernel),  # what another place in memory does
        "inputs": (inputs * tiny, kernel),
        "weights": (inputs, kernel * tiny),
        "products": (inputs * root, kernel * root),
        "half of the inputs": (inputs * np.where(rng.random(inputs.shape) < 0.5, tiny, dtype(1)), kernel),
    }
    times = dict.fromkeys(kinds, np.inf)
    for _ in range(ROUNDS):
        for kind, (x, w) in kinds.items():
            start = time.perf_counter()
            getattr(ops, op)(x, w, *more)
            times[kind] = min(times[kind], time.perf_counter() - start)
    return {kind: times[kind] / times["normal"] for kind in kinds if kind != "normal"}


if __name__ == "__main__":
    cyconv.set_num_threads(1)
    for dtype in TINY:
        for op in LAYERS:
            ratios = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in measure(op, dtype).items())
            print(f"{dtype.__name__} {op:15s} {ratios}")
