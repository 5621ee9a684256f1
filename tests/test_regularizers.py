"""Regularizers and constraints: values by hand."""

import math

import numpy as np
import pytest

from cyconv import constraints, regularizers

W = np.array([[3.0, -1.0], [-4.0, 2.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "regularizer, want",
    [
        (regularizers.L1(0.5), 5.0),
        (regularizers.L2(0.5), 15.0),
        (regularizers.L1L2(0.5, 0.25), 12.5),
        (regularizers.L1L2(), 0.0),
        (regularizers.L1(), 0.1),
        (regularizers.L2(), 0.3),
        # cosine of the columns (3, -4), (-1, 2): -11 / (5 sqrt 5)
        (regularizers.OrthogonalRegularizer(1.0, "columns"), 11 / (5 * math.sqrt(5))),
        # of the rows (3, -1), (-4, 2): -14 / (sqrt 10 sqrt 20)
        (regularizers.OrthogonalRegularizer(0.5), 7 / math.sqrt(200)),
    ],
)
def test_penalties(regularizer, want, dtype):
    penalty = regularizer(W.astype(dtype))
    assert penalty.dtype == dtype
    assert penalty.shape == ()
    np.testing.assert_allclose(penalty, want, rtol=4 * np.finfo(dtype).eps)


def test_orthogonal_of_a_kernel_is_that_of_its_matrix():
    kernel = np.random.default_rng(0).standard_normal((3, 3, 2, 5))
    for mode in ("rows", "columns"):
        regularizer = regularizers.OrthogonalRegularizer(mode=mode)
        assert regularizer(kernel) == regularizer(kernel.reshape(18, 5))
    assert regularizers.OrthogonalRegularizer(mode="columns")(np.ones((4, 1))) == 0
    with pytest.raises(ValueError, match="at least 2 axes"):
        regularizers.OrthogonalRegularizer()(np.ones(3))


@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan])
def test_factors_are_finite_and_not_negative(bad):
    with pytest.raises(ValueError, match="l2 must be finite and not negative, received"):
        regularizers.L2(bad)


def test_factors_are_numbers():
    for bad in ("a", None, True):
        with pytest.raises(TypeError, match="l1 must be a number, received"):
            regularizers.L1(bad)
    with pytest.raises(ValueError, match="mode must be 'rows' or 'columns', received 'all'"):
        regularizers.OrthogonalRegularizer(mode="all")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "constraint, want",
    [
        (constraints.NonNeg(), [[3, 0], [0, 2]]),
        (constraints.MaxNorm(2.5), [[1.5, -1], [-2, 2]]),
        (constraints.MaxNorm(2.5, axis=[0, 1]), W * 2.5 / math.sqrt(30)),
        (constraints.UnitNorm(), W / [5, math.sqrt(5)]),
        (constraints.UnitNorm(axis=1), W / [[math.sqrt(10)], [math.sqrt(20)]]),
        (constraints.MinMaxNorm(3, 4), W * [0.8, 3 / math.sqrt(5)]),
        (constraints.MinMaxNorm(3, 4, rate=0.5), W * [0.9, 0.5 + 1.5 / math.sqrt(5)]),
    ],
)
def test_projections(constraint, want, dtype):
    w = W.astype(dtype)
    projected = constraint(w)
    assert projected.dtype == dtype
    np.testing.assert_allclose(projected, want, rtol=2e-7)  # Keras's epsilon of 1e-7, over norms of 2 or more
    np.testing.assert_array_equal(w, W)


def test_zero_weights_stay_zero():
    for name in ("max_norm", "unit_norm", "min_max_norm", "non_neg"):
        np.testing.assert_array_equal(constraints.get(name)(np.zeros((2, 3))), np.zeros((2, 3)))


def test_bases_ask_for_their_method():
    for base in (constraints.Constraint, regularizers.Regularizer):
        with pytest.raises(NotImplementedError, match="must define __call__"):
            base()(W)
