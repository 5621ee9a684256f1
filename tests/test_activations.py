"""Activations: values against their formulas in float64, dtypes, NaN, infinities, lookup."""

import dataclasses
import math

import numpy as np
import pytest

import cyconv
from cyconv import activations
from cyconv.plan import FUSED

X = [-30.0, -3.5, -3.0, -1.0, -0.75, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.5, 3.0, 6.0, 7.5, 30.0]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


def clip(x, low, high):
    return min(max(x, low), high)


FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else 0.2 * x,
    "relu6": lambda x: clip(x, 0, 6),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "celu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "squareplus": lambda x: (x + math.sqrt(x * x + 4)) / 2,
    "soft_shrink": lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    "hard_shrink": lambda x: x if abs(x) > 0.5 else 0,
    "sparse_plus": lambda x: 0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: clip((x + 1) / 2, 0, 1),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "hard_sigmoid": lambda x: clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * clip(x / 6 + 0.5, 0, 1),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "tanh": math.tanh,
    "tanh_shrink": lambda x: x - math.tanh(x),
    "hard_tanh": lambda x: clip(x, -1, 1),
    "mish": lambda x: x * math.tanh(softplus(x)),
    "exponential": math.exp,
}
OVER_AN_AXIS = {"softmax", "log_softmax", "sparsemax", "glu"}


def test_every_registered_name_is_tested():
    assert set(activations.REGISTRY.names) == set(FORMULAS) - {"swish", "hard_swish"} | OVER_AN_AXIS | {"threshold"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name, dtype):
    x = np.array(X, dtype)
    y = activations.get(name)(x)
    assert y.dtype == dtype
    eps = np.finfo(dtype).eps
    # exp's relative error grows with |x|: 30 eps; the rest is a few roundings of numbers as large as 1 + |x|
    np.testing.assert_allclose(y, [FORMULAS[name](v) for v in X], rtol=64 * eps, atol=8 * eps * 31)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(set(FORMULAS) & set(FUSED) - {"gelu"}))
def test_the_last_bits_of_what_kernels_compute(name, dtype):
    """Large, small and tiny numbers: errors of a few roundings."""
    small = np.geomspace(1e-30, 80, 500)
    x = np.concatenate([np.linspace(-20, 20, 2001), np.linspace(-1e-3, 1e-3, 201), small, -small]).astype(dtype)
    kinds = np.finfo(dtype)
    near = 4 * kinds.eps if name.startswith("hard") else 16 * kinds.tiny  # 1/2 is added to a number near -1/2
    want = [FORMULAS[name](float(v)) for v in x]
    np.testing.assert_allclose(activations.get(name)(x).astype(np.float64), want, rtol=6 * kinds.eps, atol=near)


@pytest.mark.parametrize("name", FORMULAS)
def test_nan_stays_where_it_is_and_nothing_warns(name):
    x = np.array([1.0, np.nan, -2.0, 1e30, -1e30], np.float32)
    y = activations.get(name)(x)
    assert np.isnan(y).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("name", FORMULAS)
def test_blocks_in_place_give_the_same(name):
    x = np.random.default_rng(0).standard_normal((3, 7, activations.BLOCK // 5)).astype(np.float32)
    want = activations.get(name)(x)
    got = activations.apply(activations.get(name), x)
    assert got is x
    np.testing.assert_array_equal(got, want)


def test_apply_to_what_cannot_be_overwritten():
    x = np.ones((4, 6), np.float32)
    assert activations.apply(activations.softmax, x).shape == (4, 6)
    assert activations.apply(lambda v: v.astype(np.float64) * 2, x).dtype == np.float32
    assert activations.apply(activations.relu, x.T) is not x


def test_a_callable_without_a_hash():
    @dataclasses.dataclass  # defines __eq__, and so no __hash__
    class Scale:
        by: float

        def __call__(self, x):
            return x * self.by

    kernel = np.ones((1, 1, 1))
    assert cyconv.ops.conv(np.ones((1, 2, 1)), kernel, activation=Scale(3.0)).tolist() == [[[3.0], [3.0]]]


def test_gelu_is_as_good_as_erfc_in_both_tails():
    x = np.linspace(-9, 9, 4001)
    want = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    np.testing.assert_allclose(activations.gelu(x), want, rtol=1e-13)
    approximate = [v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in x]
    np.testing.assert_allclose(activations.gelu(x, approximate=True), approximate, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "options, want",
    [
        ({"negative_slope": 0.5}, [-2, -0.5, 0, 1, 3]),
        ({"max_value": 2.0}, [0, 0, 0, 1, 2]),
        ({"threshold": 1.0}, [0, 0, 0, 0, 3]),
        ({"threshold": -2.0}, [0, -1, 0, 1, 3]),
        ({"threshold": -2.0, "max_value": 2.0}, [0, 0, 0, 1, 2]),
        ({"negative_slope": 0.5, "threshold": 1.0, "max_value": 2.0}, [-2.5, -1, -0.5, 0, 2]),
    ],
)
def test_relu_options(options, want):
    np.testing.assert_array_equal(activations.relu([-4.0, -1.0, 0.0, 1.0, 3.0], **options), want)


def test_other_options():
    np.testing.assert_allclose(activations.leaky_relu([-2.0], negative_slope=3.0), [-6.0])  # beyond 1 too
    np.testing.assert_allclose(activations.elu([-1.0], alpha=2.0), [2 * math.expm1(-1)])
    np.testing.assert_allclose(activations.celu([-1.0], alpha=2.0), [2 * math.expm1(-0.5)])
    np.testing.assert_allclose(activations.squareplus([0.0], b=9), [1.5])
    np.testing.assert_array_equal(activations.soft_shrink([-3.0, 0.5], threshold=1.0), [-2.0, 0.0])
    np.testing.assert_array_equal(activations.hard_shrink([-3.0, 0.5], threshold=1.0), [-3.0, 0.0])
    np.testing.assert_array_equal(activations.threshold([0.5, 2.0, np.nan], 1.0, -7.0), [-7.0, 2.0, np.nan])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax_over_an_axis(axis):
    x = np.random.default_rng(1).standard_normal((4, 5, 6)) * 10
    y = activations.softmax(x, axis)
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-14)
    # the rounding of a y near 1 is an absolute error of its logarithm
    np.testing.assert_allclose(activations.log_softmax(x, axis), np.log(y), rtol=1e-12, atol=1e-15)
    assert np.isfinite(activations.softmax(x * 1e30)).all()


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_is_the_projection_onto_the_simplex(axis):
    x = np.random.default_rng(2).standard_normal((4, 5, 6)) * 2
    y = activations.sparsemax(x, axis)
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-14)
    assert (y >= 0).all()
    # optimality: x - y is the same where y is positive, and smaller where it is 0
    gap = np.moveaxis(x - y, axis, -1)
    positive = np.moveaxis(y, axis, -1) > 0
    tau = np.where(positive, gap, np.inf).min(-1, keepdims=True)
    np.testing.assert_allclose(np.where(positive, gap, tau), np.broadcast_to(tau, gap.shape), atol=1e-14)
    assert (gap <= tau + 1e-14).all()


@pytest.mark.parametrize("name", sorted(OVER_AN_AXIS - {"glu"}))
def test_nan_reaches_its_vector_and_no_other(name):
    x = np.zeros((3, 4))
    x[1, 2] = np.nan
    assert np.isnan(activations.get(name)(x)).all(axis=1).tolist() == [False, True, False]
    assert not np.isnan(activations.get(name)(x)[[0, 2]]).any()


def test_glu():
    x = np.array([[1.0, 2.0, 0.0, 3.0]])
    np.testing.assert_allclose(activations.glu(x), [[0.5, 2 * sigmoid(3)]])
    with pytest.raises(ValueError, match=r"even size on axis -1, received shape \(2, 3\)"):
        activations.glu(np.ones((2, 3)))


@pytest.mark.parametrize(
    "given, result",
    [
        ("int8", "float32"),
        ("int64", "float64"),
        ("float16", "float32"),
        (">f8", "float64"),
        (">f4", "float32"),
    ],
)
def test_promotion(given, result):
    y = activations.relu(np.array([-1, 2], given))
    assert y.dtype == result
    assert y.dtype.isnative
    assert y.tolist() == [0, 2]


@pytest.mark.parametrize("bad", [[True], [1j], ["a"], [None], [np.longdouble(1)], [[1], [2, 3]]])
def test_what_is_not_real_is_refused(bad):
    with pytest.raises(TypeError, match="x must be an array of real numbers"):
        activations.relu(bad)
