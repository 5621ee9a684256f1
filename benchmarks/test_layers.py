"""pytest-benchmark over all layers and libraries: pytest benchmarks [-k NAME] [--benchmark-json FILE]."""

import pytest
from layers import LAYERS
from peers import PEERS, Unsupported, check, problem

import cyconv

pytestmark = pytest.mark.filterwarnings("default")  # other libraries' warnings are theirs


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.benchmark(max_time=0.2, min_rounds=5, warmup=True, warmup_iterations=3)
def test_layer(benchmark, name, peer):
    """Time one layer in one library, after checking its result against float64."""
    pytest.importorskip(PEERS[peer].package)
    p = problem(name)
    try:
        run, result = PEERS[peer].start(p, cyconv.get_num_threads())
    except Unsupported as reason:
        pytest.skip(f"{peer}: {reason}")
    check(result(), p)
    benchmark.group = name
    benchmark(run)
    if benchmark.stats:
        benchmark.extra_info["GFLOP/s"] = round(p.flops / benchmark.stats["min"] / 1e9, 1)
    benchmark.extra_info["threads"] = cyconv.get_num_threads()
