"""pytest-benchmark of Python threads: two that call serial kernels against one that makes all calls."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cyconv
from cyconv import layers

CALLS = 16


@pytest.mark.parametrize("threads", [1, 2])
def test_python_threads(benchmark, threads):
    """The interpreter lock is released: on two cores, two threads take half the time."""
    layer = layers.Conv2D(128, 3, padding="same")
    x = np.ones((1, 28, 28, 128), np.float32)
    layer(x)

    def call(_):
        with cyconv.limit_threads(1):
            layer(x)

    with ThreadPoolExecutor(threads) as pool:
        benchmark(lambda: list(pool.map(call, range(CALLS))))
    benchmark.extra_info["calls"] = CALLS
