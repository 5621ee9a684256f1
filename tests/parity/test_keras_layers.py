"""Parity of layers: values, shapes, parameters, losses, arguments, configurations, against Keras itself."""

import inspect
import json

import numpy as np
import pytest

pytest.importorskip("torch")
keras = pytest.importorskip("keras")

from cyconv import Sequential, activations, layers  # noqa: E402

# layer -> (spatial axes, leading arguments)
LAYERS = {
    "Conv1D": (1, {"filters": 6, "kernel_size": 3}),
    "Conv2D": (2, {"filters": 6, "kernel_size": (3, 2)}),
    "DepthwiseConv1D": (1, {"kernel_size": 3}),
    "DepthwiseConv2D": (2, {"kernel_size": (3, 2)}),
    "SeparableConv1D": (1, {"filters": 5, "kernel_size": 3}),
    "SeparableConv2D": (2, {"filters": 5, "kernel_size": (3, 2)}),
}
CHANNELS = 4
every_layer = pytest.mark.parametrize("name", LAYERS)

# What Keras on torch computes. It refuses strides with dilation, and causal padding but for Conv1D.
OPTIONS = [
    {},
    {"strides": 2},
    {"strides": 3, "padding": "same"},
    {"strides": 2, "padding": "same", "use_bias": False},
    {"dilation_rate": 2},
    {"dilation_rate": 3, "padding": "same"},
    {"padding": "SAME", "activation": "relu"},
    {"padding": "valid", "activation": "gelu"},
    {"activation": "softmax"},
    {"depth_multiplier": 3},
    {"groups": 2},
    {"groups": 2, "strides": 2, "padding": "same"},
    {"padding": "causal"},
    {"padding": "causal", "strides": 2},
    {"padding": "causal", "dilation_rate": 3},
]


def of_both(name, **options):
    """The same layer of cyconv's and of Keras's."""
    arguments = {**LAYERS[name][1], "bias_initializer": "random_normal", **options}
    return getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)


def inputs_of(name, data_format="channels_last", dtype="float32", size=13):
    spatial = (size, size - 3)[: LAYERS[name][0]]
    shape = (2, CHANNELS, *spatial) if data_format == "channels_first" else (2, *spatial, CHANNELS)
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def plain(config):
    """A configuration as JSON has it."""
    return json.loads(json.dumps(config))


def has(name, options):
    """Whether Keras's layer has these options."""
    arguments = inspect.signature(getattr(keras.layers, name)).parameters
    return set(options) <= set(arguments) and (options.get("padding") != "causal" or name == "Conv1D")


CASES = [
    pytest.param(name, options, id=f"{name}-{options}") for name in LAYERS for options in OPTIONS if has(name, options)
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name, options", CASES)
def test_values(name, options, data_format, dtype):
    ours, theirs = of_both(name, data_format=data_format, dtype=dtype, **options)
    x = inputs_of(name, data_format, dtype)
    want = array(theirs(x))
    ours.build(x.shape)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert list(ours._state.arrays) == [w.name for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    got = ours(x)
    assert got.dtype == want.dtype == dtype
    # both round: reductions of at most 24 products of numbers below 5, sums below 32
    np.testing.assert_allclose(got, want, rtol=64 * np.finfo(dtype).eps, atol=64 * np.finfo(dtype).eps)
    assert ours.compute_output_shape(x.shape) == tuple(theirs.compute_output_shape(x.shape)) == want.shape
    unknown = tuple(n if n == CHANNELS else None for n in x.shape)
    assert ours.compute_output_shape(unknown) == tuple(theirs.compute_output_shape(unknown))
    theirs.set_weights(ours.get_weights())
    np.testing.assert_array_equal(array(theirs(x)), want)


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize("strides", [1, 2, 3, 4])
@every_layer
def test_same_padding_of_every_size(name, strides, size):
    ours, theirs = of_both(name, padding="same", strides=strides)
    x = inputs_of(name, size=size + 3)
    want = array(theirs(x))
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), want, rtol=1e-5, atol=1e-5)


@every_layer
def test_arguments(name):
    """The same names in the same order, with the same defaults."""
    ours = inspect.signature(getattr(layers, name)).parameters
    theirs = inspect.signature(getattr(keras.layers, name)).parameters
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [p for p in theirs if p != "kwargs"]
    rank = LAYERS[name][0]
    for argument in positional:
        want = theirs[argument].default
        assert ours[argument].default in (want, want[0] if want == (1,) * rank else want), argument
    assert [p for p in ours if p not in positional] == ["name", "dtype", "trainable"]


CONFIGS = [
    {},
    {"name": "mine", "dtype": "float64", "trainable": False},
    {"strides": 2, "padding": "same", "data_format": "channels_first", "use_bias": False},
    {"dilation_rate": 2, "activation": "silu"},
    {"activation": keras.activations.hard_silu, "bias_initializer": keras.initializers.Constant(2.0)},
    {"bias_regularizer": "l1l2", "activity_regularizer": keras.regularizers.L2(0.5)},
    {"bias_constraint": keras.constraints.MinMaxNorm(0.5, 2.0, 0.7, axis=0)},
    {"bias_initializer": keras.initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)},
]


@pytest.mark.parametrize("options", CONFIGS, ids=str)
@every_layer
def test_configurations_both_ways(name, options):
    role = "kernel" if name.startswith("Conv") else "depthwise"
    more = {
        f"{role}_initializer": keras.initializers.Orthogonal(seed=2),
        f"{role}_regularizer": keras.regularizers.L1L2(0.1, 0.2),
        f"{role}_constraint": keras.constraints.UnitNorm(axis=[0, 1]),
    }
    theirs = getattr(keras.layers, name)(**LAYERS[name][1], **more, **options)
    config = theirs.get_config()
    for given in (config, plain(config)):
        ours = getattr(layers, name).from_config(given)
        mine = ours.get_config()
        assert plain({**mine, "activity_regularizer": None}) == plain({**config, "activity_regularizer": None})
        assert plain(mine["activity_regularizer"]) == plain(config.get("activity_regularizer"))
    again = getattr(keras.layers, name).from_config(mine)
    assert plain(again.get_config()) == plain(config)
    again = getattr(keras.layers, name).from_config(plain(mine))
    assert plain(again.get_config()) == plain(config)

    x = inputs_of(name, options.get("data_format"), options.get("dtype", "float32"))
    want = array(theirs(x))
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), want, rtol=1e-5, atol=1e-5)
    restored = layers.deserialize(plain(keras.saving.serialize_keras_object(theirs)))
    assert type(restored) is type(ours)
    assert restored.built
    assert type(keras.saving.deserialize_keras_object(layers.serialize(ours))) is type(theirs)


@pytest.mark.parametrize("seed", [keras.random.SeedGenerator(5), 5])
def test_seeds_in_configurations(seed):
    theirs = keras.layers.Conv1D(2, 3, kernel_initializer=keras.initializers.HeNormal(seed=seed))
    ours = layers.Conv1D.from_config(theirs.get_config())
    assert ours.kernel_initializer.seed == 5


def test_values_in_configurations():
    given = np.arange(4.0)
    theirs = keras.layers.Conv1D(4, 3, bias_initializer=keras.initializers.Constant(given))
    ours = layers.Conv1D.from_config(plain(theirs.get_config()))
    ours.build((None, 9, 2))
    np.testing.assert_array_equal(ours.bias, given)
    back = keras.layers.Conv1D.from_config(ours.get_config())
    back.build((None, 9, 2))
    np.testing.assert_array_equal(array(back.bias), given)


@every_layer
def test_losses(name):
    role = "kernel" if name.startswith("Conv") else "depthwise"
    options = {f"{role}_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l1_l2"}
    options["activity_regularizer"] = {"class_name": "L1L2", "config": {"l1": 0.1, "l2": 0.3}}
    theirs = getattr(keras.layers, name)(
        **LAYERS[name][1], **{**options, "activity_regularizer": keras.regularizers.L1L2(0.1, 0.3)}
    )
    ours = getattr(layers, name)(**LAYERS[name][1], **options)
    x = inputs_of(name)
    theirs(x)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    ours(x)
    want = [float(array(loss)) for loss in theirs.losses]
    assert len(want) == 3
    np.testing.assert_allclose(ours.losses, want, rtol=1e-5)
    ours.trainable = theirs.trainable = False
    assert len(ours.losses) == len(theirs.losses)


@every_layer
def test_integers_are_cast(name):
    """As Keras computes the same numbers as floats; on torch it takes no integers."""
    ours, theirs = of_both(name)
    x = (inputs_of(name) * 50).astype(np.int8)
    want = array(theirs(x.astype(np.float32)))
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("activation", [n for n in activations.REGISTRY.names if n not in ("threshold", "sparsemax")])
def test_activations_of_a_layer(activation):
    """All but the one that has arguments without defaults, and the one that is wrong in Keras up to 3.15."""
    ours, theirs = of_both("Conv2D", activation=activation)
    x = inputs_of("Conv2D")
    want = array(theirs(x))
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), want, rtol=1e-4, atol=1e-5)


def models():
    """The same model of cyconv's and of Keras's, by one description."""

    def make(kind, parts):
        inner = kind([parts.SeparableConv1D(7, 3, activation="relu", name="s")], name="inner")
        return kind(
            [
                parts.Input((20, 3), name="in"),
                parts.Conv1D(4, 3, strides=2, padding="causal", name="c", kernel_regularizer="l2"),
                parts.DepthwiseConv1D(3, depth_multiplier=2, name="d"),
                inner,
            ],
            name="model",
        )

    return make(Sequential, layers), make(keras.Sequential, keras.layers)


def cells(text):
    """A table's cells, whatever its width."""
    return [line.split() for line in text.splitlines() if line.strip() and "─" not in line and "━" not in line]


@pytest.mark.parametrize("options", [{}, {"expand_nested": True}], ids=str)
def test_summary(options):
    ours, theirs = models()
    texts = []
    ours.summary(print_fn=lambda line: texts.append(line + "\n"), **options)
    mine = "".join(texts)
    texts.clear()
    theirs.summary(print_fn=texts.append, **options)
    assert cells(mine) == cells("".join(texts))


def test_the_summary_of_the_readme():
    rule = {"padding": "same", "use_bias": False, "name": "conv1d"}
    ours = Sequential([layers.Input((10, 3)), layers.Conv1D(2, 4, **rule)], name="sequential")
    theirs = keras.Sequential([keras.Input((10, 3)), keras.layers.Conv1D(2, 4, **rule)], name="sequential")
    mine, texts = [], []
    ours.summary(print_fn=mine.append, line_length=76)
    theirs.summary(print_fn=texts.append, line_length=76)
    assert [line.rstrip() for line in mine] == "".join(texts).rstrip().splitlines()


def test_models_both_ways():
    ours, theirs = models()
    assert ours.count_params() == theirs.count_params()
    assert ours.output_shape == theirs.output_shape
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    x = np.random.default_rng(0).standard_normal((3, 20, 3)).astype(np.float32)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), array(theirs(x)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.losses, [float(array(loss)) for loss in theirs.losses], rtol=1e-5)

    for config in (theirs.get_config(), plain(theirs.get_config())):
        again = Sequential.from_config(config)
        assert again.built
        again.set_weights(theirs.get_weights())
        np.testing.assert_array_equal(again(x), ours(x))
    for config in (ours.get_config(), plain(ours.get_config())):
        back = keras.Sequential.from_config(config)
        back.set_weights(ours.get_weights())
        np.testing.assert_allclose(array(back(x)), ours(x), rtol=1e-5, atol=1e-5)


@every_layer
def test_refused_by_both(name):
    for options in (
        {"strides": 0},
        {"kernel_size": 0},
        {"padding": "full"},
        {"data_format": "nhwc"},
        {"activation": "nonsense"},
        {"bias_initializer": "nonsense"},
        {"bias_regularizer": "nonsense"},
        {"bias_constraint": "nonsense"},
    ):
        for kind in (getattr(layers, name), getattr(keras.layers, name)):
            with pytest.raises(ValueError, match=r".+"):
                kind(**{**LAYERS[name][1], **options})
    for layer in of_both(name):
        with pytest.raises(ValueError, match=r".+"):
            layer.build((None, *[1] * LAYERS[name][0], CHANNELS))
