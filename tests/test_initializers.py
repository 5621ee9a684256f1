"""Initializers: distributions, seeds, fans, structure."""

import math

import numpy as np
import pytest
import reference

from cyconv import initializers

SHAPE = (3, 3, 50, 70)
FAN_IN, FAN_OUT = 9 * 50, 9 * 70
FAN_AVG = (FAN_IN + FAN_OUT) / 2
COUNT = math.prod(SHAPE)

# name -> variance, largest magnitude in standard deviations (None: none), of SHAPE
SCALED = {
    "glorot_uniform": (1 / FAN_AVG, math.sqrt(3)),
    "glorot_normal": (1 / FAN_AVG, 2 / initializers.TRUNCATED_STDDEV),
    "he_uniform": (2 / FAN_IN, math.sqrt(3)),
    "he_normal": (2 / FAN_IN, 2 / initializers.TRUNCATED_STDDEV),
    "lecun_uniform": (1 / FAN_IN, math.sqrt(3)),
    "lecun_normal": (1 / FAN_IN, 2 / initializers.TRUNCATED_STDDEV),
    "variance_scaling": (1 / FAN_IN, 2 / initializers.TRUNCATED_STDDEV),
    "random_normal": (0.05**2, None),
    "truncated_normal": ((0.05 * initializers.TRUNCATED_STDDEV) ** 2, 2 / initializers.TRUNCATED_STDDEV),
    "random_uniform": (0.1**2 / 12, math.sqrt(3)),
}


def drawn(name, **options):
    """Values with seed 7."""
    member = initializers.get({"class_name": name, "config": {"seed": 7, **options}})
    return member(SHAPE, "float64")


def check_moments(values, variance, largest):
    """Mean and variance within five standard errors; nothing beyond the end, something near it."""
    stddev = math.sqrt(variance)
    assert abs(values.mean()) < 5 * stddev / math.sqrt(COUNT)
    assert abs(values.var() / variance - 1) < 5 * math.sqrt(2 / COUNT)  # a normal's; the others have less
    if largest is not None:
        assert 0.99 * largest * stddev < np.abs(values).max() <= largest * stddev * (1 + 1e-12)


@pytest.mark.parametrize("name", SCALED)
def test_moments(name):
    check_moments(drawn(name), *SCALED[name])


@pytest.mark.parametrize("mode, n", [("fan_in", FAN_IN), ("fan_out", FAN_OUT), ("fan_avg", FAN_AVG)])
@pytest.mark.parametrize(
    "distribution, largest",
    [
        ("uniform", math.sqrt(3)),
        ("truncated_normal", 2 / initializers.TRUNCATED_STDDEV),
        ("normal", 2 / initializers.TRUNCATED_STDDEV),
        ("untruncated_normal", None),
    ],
)
def test_variance_scaling(mode, n, distribution, largest):
    values = drawn("variance_scaling", scale=3.0, mode=mode, distribution=distribution)
    check_moments(values, 3 / n, largest)


def test_location_of_distributions():
    assert abs(drawn("random_normal", mean=4.0, stddev=0.1).mean() - 4) < 0.01
    assert abs(drawn("truncated_normal", mean=4.0, stddev=0.1).mean() - 4) < 0.01
    values = drawn("random_uniform", minval=2.0, maxval=3.0)
    assert 2 <= values.min() < 2.001
    assert 2.999 < values.max() < 3


@pytest.mark.parametrize("name", [*SCALED, "orthogonal"])
def test_seeds(name):
    def make(seed):
        return initializers.get({"class_name": name, "config": {"seed": seed}})

    np.testing.assert_array_equal(make(1)(SHAPE), make(1)(SHAPE))
    assert (make(1)(SHAPE) != make(2)(SHAPE)).any()
    one = make(None)
    np.testing.assert_array_equal(one(SHAPE), one(SHAPE))  # as in Keras
    assert (make(None)(SHAPE) != make(None)(SHAPE)).any()
    new = make(np.random.default_rng(1))
    assert (new(SHAPE) != new(SHAPE)).any()
    np.testing.assert_array_equal(make(-1)(SHAPE), make(-1)(SHAPE))
    keras = {"module": "keras.random", "class_name": "SeedGenerator", "config": {"seed": 1, "name": "s"}}
    np.testing.assert_array_equal(make(keras)(SHAPE), make(1)(SHAPE))
    assert make(1)(SHAPE).dtype == np.float32
    assert make(1)(SHAPE, np.float64).dtype == np.float64
    np.testing.assert_allclose(make(1)(SHAPE), make(1)(SHAPE, np.float64), rtol=1e-6, atol=1e-9)
    for bad in (1.5, "a", True):
        with pytest.raises(TypeError, match="seed must be an int"):
            make(bad)


def test_fans():
    assert initializers.fans((3, 3, 16, 32)) == (144, 288)
    assert initializers.fans((5, 16, 2)) == (80, 10)  # a depthwise kernel: Keras counts it the same way
    assert initializers.fans((4, 6)) == (4, 6)
    assert initializers.fans((7,)) == (7, 7)
    assert initializers.fans(()) == (1, 1)
    assert initializers.fans((3, 3, 16, 32), input_axes=[0, 1], output_axes=[-1]) == (9, 32)


@pytest.mark.parametrize("shape", [(6, 6), (3, 3, 2, 20), (3, 3, 5, 4), (1, 1, 3, 17)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=2.0, seed=3)(shape, "float64").reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize("window", [(1,), (2,), (5,), (3, 3), (2, 5), (4, 4)])
def test_identity_convolution_returns_its_input(window):
    x = np.random.default_rng(0).standard_normal((2, *[9] * len(window), 3))
    kernel = initializers.Identity(gain=2.0)((*window, 3, 3), "float64")
    np.testing.assert_array_equal(reference.conv(x, kernel, padding="same"), 2 * x)


def test_identity_matrix():
    np.testing.assert_array_equal(initializers.get("identity")((2, 3)), np.eye(2, 3))


def test_constants():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("ones")((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(2.5)((2, 3)), np.full((2, 3), 2.5))
    assert initializers.Constant(2)(()).shape == ()
    given = np.arange(6.0).reshape(2, 3)
    member = initializers.get(given)
    given[:] = 0
    np.testing.assert_array_equal(member((2, 3)), np.arange(6.0).reshape(2, 3))
    config = initializers.serialize(member)
    np.testing.assert_array_equal(initializers.get(config)((2, 3)), np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match=r"weight's shape \(3, 2\), received shape \(2, 3\)"):
        member((3, 2))


@pytest.mark.parametrize("window, scaling, periodic", [("hann", "density", False), ("hamming", "spectrum", True)])
def test_stft_is_a_windowed_fourier_transform(window, scaling, periodic):
    steps, bins = 16, 9
    parts = [
        initializers.STFT(side, window, scaling, periodic)((steps, 1, bins), "float64") for side in ("real", "imag")
    ]
    assert parts[0].shape == (steps, 1, bins)
    turns = 2 * np.pi * np.arange(steps) / (steps if periodic else steps - 1)
    a = {"hann": 0.5, "hamming": 0.54}[window]
    values = a - (1 - a) * np.cos(turns)
    scale = {"density": math.sqrt((values**2).sum()), "spectrum": values.sum()}[scaling]
    x = np.random.default_rng(0).standard_normal(steps)
    want = np.fft.rfft(x * values / scale)
    np.testing.assert_allclose(x @ parts[0][:, 0] + 1j * (x @ parts[1][:, 0]), want, atol=1e-13)


def test_stft_windows():
    shape = (8, 1, 5)
    np.testing.assert_allclose(
        initializers.STFT(window=None, scaling=None)(shape),
        initializers.STFT(window=np.ones(8), scaling=None)(shape),
    )
    assert initializers.STFT()((1, 1, 1)).shape == (1, 1, 1)
    for member, shape, message in [
        (initializers.STFT(window=np.ones(3)), (8, 1, 5), "window must have 8 values"),
        (initializers.STFT(), (8, 5), "needs a kernel"),
    ]:
        with pytest.raises(ValueError, match=message):
            member(shape)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: initializers.VarianceScaling(scale=0.0), "scale must be positive, received 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode must be one of 'fan_in'"),
        (lambda: initializers.VarianceScaling(distribution="beta"), "distribution must be one of"),
        (lambda: initializers.STFT(side="left"), "side must be one of 'real', 'imag'"),
        (lambda: initializers.STFT(window="square"), "window must be one of 'boxcar'"),
        (lambda: initializers.Orthogonal()((3,)), "at least 2 axes"),
        (lambda: initializers.Identity()((3,)), "at least 2 axes"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_constants_must_be_real():
    for bad in ("a", None, 1j, True):
        with pytest.raises(TypeError, match="value must be a real number"):
            initializers.Constant(bad)
