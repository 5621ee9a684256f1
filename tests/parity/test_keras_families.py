"""Parity of activations, initializers, regularizers and constraints: names, defaults, values, statistics."""

import inspect

import numpy as np
import pytest

pytest.importorskip("torch")
keras = pytest.importorskip("keras")

from cyconv import activations, constraints, initializers, regularizers  # noqa: E402

CLASSES = {
    initializers: (keras.initializers, keras.initializers.Initializer),
    regularizers: (keras.regularizers, keras.regularizers.Regularizer),
    constraints: (keras.constraints, keras.constraints.Constraint),
}


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def public(module, accepts):
    return {name for name, member in vars(module).items() if not name.startswith("_") and accepts(member)}


def test_all_names_of_activations():
    theirs = public(keras.activations, inspect.isfunction) - {"get", "serialize", "deserialize"}
    assert {activations.get(name).__name__ for name in theirs} <= set(activations.REGISTRY.names)
    for name in theirs:
        assert (
            inspect.signature(activations.get(name)).parameters.keys()
            == inspect.signature(getattr(keras.activations, name)).parameters.keys()
        ), name


@pytest.mark.parametrize("family", CLASSES, ids=lambda family: family.__name__)
def test_all_names_of_classes(family):
    module, base = CLASSES[family]
    theirs = public(module, lambda member: inspect.isclass(member) and issubclass(member, base) and member is not base)
    assert len(theirs) >= 8
    for name in theirs:
        ours = type(family.get(name))
        kind = getattr(module, name)
        assert ours.__name__ == kind.__name__
        mine = {p.name: p.default for p in inspect.signature(ours).parameters.values()}
        want = {p.name: p.default for p in inspect.signature(kind).parameters.values()}
        if "args" not in want:  # of a class without a constructor of its own
            assert mine == want, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in activations.REGISTRY.names if n not in ("threshold", "sparsemax")])
def test_activations(name, dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(200) * 4, np.linspace(-8, 8, 56)]).astype(dtype).reshape(4, 64)
    got = activations.get(name)(x)
    want = array(getattr(keras.activations, name)(x))
    assert got.dtype == want.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got, want, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize(
    "name, options",
    [
        ("relu", {"negative_slope": 0.3}),
        ("relu", {"max_value": 1.5}),
        ("relu", {"max_value": 6}),
        ("relu", {"threshold": 0.7}),
        ("relu", {"threshold": -0.7}),
        ("relu", {"negative_slope": 0.3, "max_value": 1.5, "threshold": 0.7}),
        ("relu", {"negative_slope": 0.3, "max_value": 1.5, "threshold": -0.7}),
        ("leaky_relu", {"negative_slope": 0.01}),
        ("elu", {"alpha": 0.3}),
        ("celu", {"alpha": 0.3}),
        ("gelu", {"approximate": True}),
        ("squareplus", {"b": 2}),
        ("soft_shrink", {"threshold": 1.0}),
        ("hard_shrink", {"threshold": 1.0}),
        ("threshold", {"threshold": 1.0, "default_value": -3.0}),
        ("softmax", {"axis": 1}),
        ("log_softmax", {"axis": 0}),
        ("glu", {"axis": 1}),
    ],
    ids=str,
)
def test_activations_with_arguments(name, options):
    x = np.random.default_rng(0).standard_normal((4, 6, 8)).astype(np.float32) * 2
    want = array(getattr(keras.activations, name)(keras.ops.convert_to_tensor(x), **options))
    np.testing.assert_allclose(getattr(activations, name)(x, **options), want, rtol=1e-5, atol=1e-6)


def test_sparsemax_where_one_entry_is_left():
    """Keras up to 3.15 is wrong where more are: its issue 23425."""
    x = np.random.default_rng(0).permuted(np.arange(48.0, dtype=np.float32).reshape(4, 12), axis=1)
    np.testing.assert_array_equal(activations.sparsemax(x), array(keras.activations.sparsemax(x)))


@pytest.mark.parametrize("shape", [(3, 3, 40, 60), (5, 400, 7), (1, 1, 100, 200)], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "GlorotUniform",
        "GlorotNormal",
        "HeUniform",
        "HeNormal",
        "LecunUniform",
        "LecunNormal",
        "VarianceScaling",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "Orthogonal",
    ],
)
def test_statistics_of_initial_values(name, shape):
    ours = initializers.get({"class_name": name, "config": {"seed": 1}})(shape).astype(np.float64)
    theirs = array(getattr(keras.initializers, name)(seed=1)(shape)).astype(np.float64)
    count, stddev = ours.size, theirs.std()
    # five standard errors of a difference of two means and of two variances (a normal's, the widest)
    assert abs(ours.mean() - theirs.mean()) < 5 * stddev * np.sqrt(2 / count)
    assert abs(ours.var() / theirs.var() - 1) < 5 * np.sqrt(4 / count)
    if name not in ("RandomNormal", "Orthogonal"):  # an end of the distribution, which both come near
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.02)
    levels = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(ours, levels), np.quantile(theirs, levels), atol=0.08 * stddev)


@pytest.mark.parametrize("options", [{}, {"side": "imag"}, {"scaling": "spectrum", "periodic": True}, {"window": None}])
def test_stft(options):
    pytest.importorskip("scipy")
    shape = (16, 1, 9)
    want = array(keras.initializers.STFT(**options)(shape))
    np.testing.assert_allclose(initializers.STFT(**options)(shape), want, atol=1e-5)


@pytest.mark.parametrize("window", initializers.STFT.WINDOWS)
@pytest.mark.parametrize("periodic", [False, True])
def test_stft_windows(window, periodic):
    scipy_signal = pytest.importorskip("scipy.signal")
    got = initializers.STFT(window=window, periodic=periodic)._window(12)
    np.testing.assert_allclose(got, scipy_signal.get_window(window, 12, fftbins=periodic), atol=1e-15)


def test_other_initializers():
    for name, options, shape in [
        ("Zeros", {}, (3, 2)),
        ("Ones", {}, (3, 2)),
        ("Constant", {"value": 2.5}, (3, 2)),
        ("Identity", {"gain": 2.0}, (3, 2)),
    ]:
        want = array(getattr(keras.initializers, name)(**options)(shape))
        np.testing.assert_array_equal(getattr(initializers, name)(**options)(shape), want)


@pytest.mark.parametrize(
    "name, options",
    [
        ("L1", {}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {"l1": 0.2, "l2": 0.3}),
        ("L1L2", {}),
        ("OrthogonalRegularizer", {"factor": 0.3}),
        ("OrthogonalRegularizer", {"mode": "columns"}),
    ],
    ids=str,
)
def test_regularizers(name, options):
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    want = array(getattr(keras.regularizers, name)(**options)(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(getattr(regularizers, name)(**options)(x), want, rtol=1e-5)


@pytest.mark.parametrize(
    "name, options",
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 0.7, "axis": [0, 1, 2]}),
        ("NonNeg", {}),
        ("UnitNorm", {"axis": (0, 1)}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.4, "axis": 1}),
    ],
    ids=str,
)
def test_constraints(name, options):
    w = np.random.default_rng(0).standard_normal((3, 3, 4, 5)).astype(np.float32)
    want = array(getattr(keras.constraints, name)(**options)(w))
    np.testing.assert_allclose(getattr(constraints, name)(**options)(w), want, rtol=1e-5, atol=1e-7)
