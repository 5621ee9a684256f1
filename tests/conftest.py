"""What the tests share: a run for each instruction set, thread counts put back, Hypothesis profiles."""

import pytest
from hypothesis import HealthCheck, settings

import cyconv
from cyconv import kernels

COMMON = {
    "deadline": None,
    # The `isa` fixture holds for a whole test: nothing in it changes from example to example.
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=50, **COMMON)
settings.register_profile("ci", max_examples=300, **COMMON)  # pytest --hypothesis-profile=ci
settings.load_profile("quick")


@pytest.fixture(params=kernels.built())
def isa(request):
    """Run the test once for each instruction set that was built."""
    if request.param not in kernels.available():
        pytest.skip(f"this CPU has no {request.param}")
    with kernels.using(request.param):
        yield request.param


@pytest.fixture
def set_num_threads():
    """`cyconv.set_num_threads`, undone after the test."""
    before = cyconv.get_num_threads()
    yield cyconv.set_num_threads
    cyconv.set_num_threads(before)
