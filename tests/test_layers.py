"""Layers: values against the reference, plans, shapes and errors of arguments."""

import numpy as np
import pytest
from layer_cases import CHANNELS, LAYERS, assert_close, every_layer, expected, inputs_of, make
from strategies import ORDERS

from cyconv import activations, layers
from cyconv.layers import convolution

# -- what is computed

OPTIONS = [
    {},
    {"strides": 2},
    {"padding": "same", "strides": 2},
    {"dilation_rate": 2, "strides": 3},  # which Keras refuses
    {"padding": "same", "dilation_rate": 3},
    {"padding": 2},
    {"use_bias": False},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@every_layer
def test_values(kind, options, data_format, dtype):
    layer = make(kind, data_format=data_format, dtype=dtype, **options)
    x = inputs_of(layer, dtype=dtype)
    y = layer(x)
    assert_close(y, expected(layer, x), dtype)
    assert layer.compute_output_shape(x.shape) == y.shape
    np.testing.assert_array_equal(layer(x), y)  # by the plan that was kept


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@every_layer
def test_values_of_unequal_axes(kind, data_format):
    rank = LAYERS[kind][0]
    for padding in ["same", ((3, 0), (1, 2))[:rank], "causal"][: 4 - rank]:
        layer = make(kind, data_format=data_format, strides=(2, 3)[:rank], dilation_rate=(3, 2)[:rank], padding=padding)
        x = inputs_of(layer)
        assert_close(layer(x), expected(layer, x), "float32")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("kind", [layers.Conv1D, layers.Conv2D])
def test_groups(kind, data_format):
    layer = kind(9, 3, groups=3, padding="same", data_format=data_format)
    x = inputs_of(layer)
    assert_close(layer(x), expected(layer, x), "float32")
    assert layer.kernel.shape[-2:] == (2, 9)


@pytest.mark.parametrize(
    "kind", [layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.SeparableConv1D, layers.SeparableConv2D]
)
def test_depth_multiplier(kind):
    layer = make(kind, depth_multiplier=3)
    x = inputs_of(layer)
    assert_close(layer(x), expected(layer, x), "float32")
    assert layer.weights[0].shape[-2:] == (CHANNELS, 3)


def test_weights_by_hand():
    layer = layers.Conv1D(1, 2, padding="same", strides=2)
    layer.build((None, 3, 1))
    layer.set_weights([[[[1.0]], [[10.0]]], [100.0]])
    assert layer([[[1], [2], [3]]]).ravel().tolist() == [121.0, 103.0]


@pytest.mark.parametrize("name", [n for n in activations.REGISTRY.names if n not in ("threshold", "glu")])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv1D, layers.SeparableConv2D])
def test_activations(kind, name):
    layer = make(kind, activation=name)
    x = inputs_of(layer)
    want = activations.get(name)(expected(layer, x))
    got = layer(x)
    assert_close(got, want, "float32")
    out = np.empty_like(got)
    assert layer(x, out) is out
    np.testing.assert_array_equal(out, got)


@every_layer
def test_an_activation_of_your_own(kind):
    layer = make(kind, activation=lambda y: 2 * y.astype(np.float64))
    x = inputs_of(layer)
    assert_close(layer(x), 2 * expected(layer, x), "float32")
    out = np.empty(layer.compute_output_shape(x.shape), np.float32)
    assert layer(x, out=out) is out
    assert_close(out, 2 * expected(layer, x), "float32")


def test_an_activation_that_changes_the_shape():
    layer = layers.Conv2D(4, 3, activation="glu")
    x = inputs_of(layer)
    assert layer(x).shape[-1] == 2
    with pytest.raises(ValueError, match="out must have the activation's shape"):
        layer(x, out=np.empty(layer.compute_output_shape(x.shape), np.float32))


@pytest.mark.parametrize("order", ORDERS)
@every_layer
def test_memory_orders(kind, order):
    layer = make(kind)
    x = inputs_of(layer)
    moved = ORDERS[order](x)
    np.testing.assert_allclose(layer(moved), layer(np.array(moved, np.float32)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("given", ["int8", "uint8", "int64", "uint32", "float16", "float64", ">f4"])
@every_layer
def test_inputs_are_cast(kind, given):
    layer = make(kind)
    x = np.round(np.abs(inputs_of(layer)) * 10).astype(given)
    y = layer(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, layer(x.astype(np.float32)))
    np.testing.assert_array_equal(y, layer(x.tolist()))


@every_layer
def test_float64_is_computed_in_float64(kind):
    layer = make(kind, dtype="float64")
    x = inputs_of(layer, dtype="float64")
    assert all(w.dtype == np.float64 for w in layer(x) is not None and layer.weights)
    np.testing.assert_allclose(layer(x), expected(layer, x), rtol=1e-13, atol=1e-14)


@every_layer
def test_batch_of_nothing(kind):
    layer = make(kind, activation="softmax", activity_regularizer="l2")
    x = inputs_of(layer, batch=0)
    assert layer(x).shape == layer.compute_output_shape(x.shape)
    assert layer(x).size == 0
    assert layer.losses == [0.0]


@every_layer
def test_out(kind):
    layer = make(kind, activation="relu")
    x = inputs_of(layer)
    want = layer(x)
    out = np.full(want.shape, np.nan, np.float32)
    assert layer(x, out) is out
    np.testing.assert_array_equal(out, want)
    before = out.copy()
    for bad, error in [
        (out[:1], ValueError),
        (out.astype(np.float64), TypeError),
        (out[..., ::-1], ValueError),
        (want.tolist(), TypeError),
    ]:
        with pytest.raises(error, match="out must"):
            layer(x, bad)
        with pytest.raises(error, match="out must"):
            layer(x.astype(np.int32), bad)
    np.testing.assert_array_equal(out, before)


@every_layer
def test_out_apart_from_inputs(kind):
    layer = make(kind)
    for dtype in (np.float32, np.int32):
        x = inputs_of(layer)
        size = np.prod(layer.compute_output_shape(x.shape))
        shared = np.ones(max(x.size, size), np.float32)
        overlapping = shared[: x.size].view(dtype).reshape(x.shape)
        with pytest.raises(ValueError, match="out must not overlap inputs"):
            layer(overlapping, shared[:size].reshape(layer.compute_output_shape(x.shape)))


# -- plans


@every_layer
def test_plans_are_kept_and_bounded(kind):
    layer = make(kind, padding="same")
    for size in range(5, 5 + convolution.PLANS + 4):
        x = inputs_of(layer, size=size)
        assert_close(layer(x), expected(layer, x), "float32")
    assert len(layer._state.plans) == convolution.PLANS
    assert layer._state.last is layer._state.plans[x.shape]
    plan = layer._state.last
    layer(x)
    assert layer._state.last is plan


def test_a_call_is_one_plan_call():
    layer = layers.Conv2D(4, 3, activation="relu")
    x = inputs_of(layer)
    layer(x)

    calls = []

    def plan(x, out):
        calls.append((x, out))
        return out

    layer._state.last = plan
    layer._compute = None
    assert layer(x, x) is x
    assert calls == [(x, x)]


# -- shapes and errors


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@every_layer
def test_unknown_sizes(kind, data_format):
    layer = make(kind, data_format=data_format, padding="same", strides=2)
    first = data_format == "channels_first"
    spatial = (None, 7)[: layer.rank]
    shape = (None, CHANNELS, *spatial) if first else (None, *spatial, CHANNELS)
    filters = layer.compute_output_shape(shape)[1 if first else -1]
    assert filters == getattr(layer, "filters", CHANNELS)
    sizes = (None, 4)[: layer.rank]
    assert layer.compute_output_shape(shape) == ((None, filters, *sizes) if first else (None, *sizes, filters))
    layer.build(shape)
    assert layer(inputs_of(layer)).shape[1 if first else -1] == filters
    unknown = tuple(None if n == CHANNELS else n for n in shape)
    with pytest.raises(ValueError, match="channels of input_shape must be known, received"):
        make(kind, data_format=data_format).build(unknown)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, received 0"),
        ({"kernel_size": 2.0}, TypeError, "kernel_size must be .* received 2.0"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be .* received 3 values"),
        ({"strides": -1}, ValueError, "strides must be at least 1, received -1"),
        ({"strides": True}, TypeError, "strides must be .* received True"),
        ({"dilation_rate": 0}, ValueError, "dilation_rate must be at least 1"),
        ({"padding": "full"}, ValueError, "padding must be 'valid', 'same'.* received 'full'"),
        ({"padding": -1}, ValueError, "padding must be at least 0"),
        ({"padding": None}, TypeError, "padding must be"),
        ({"data_format": "NHWC"}, ValueError, "data_format must be 'channels_last' or 'channels_first'"),
        ({"use_bias": "no"}, TypeError, "use_bias must be a bool, received 'no'"),
        ({"trainable": 1}, TypeError, "trainable must be a bool, received 1"),
        ({"name": 3}, TypeError, "name must be a string"),
        ({"name": ""}, TypeError, "name must be a string"),
        ({"activation": "rleu"}, ValueError, "activation must be .*'relu'.* received 'rleu'"),
        ({"activation": 3}, TypeError, "activation must be .* received 3"),
        (
            {"bias_initializer": "glorot"},
            ValueError,
            "bias_initializer must be .*'glorot_uniform'.* 'glorot'",
        ),
        ({"bias_regularizer": "l3"}, ValueError, "bias_regularizer must be .*'l2'.* received 'l3'"),
        ({"activity_regularizer": "l3"}, ValueError, "activity_regularizer must be .* received 'l3'"),
        ({"bias_constraint": "norm"}, ValueError, "bias_constraint must be .*'unit_norm'.* received 'norm'"),
    ],
)
@every_layer
def test_argument_errors(kind, options, error, message):
    with pytest.raises(error, match=message):
        make(kind, **options)


@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D])
def test_causal_is_for_one_axis(kind):
    with pytest.raises(ValueError, match="'causal' is defined for one spatial axis only"):
        make(kind, padding="causal")


def test_counts():
    for bad, error in [
        (0, ValueError),
        (-1, ValueError),
        (1.0, TypeError),
        ((3,), TypeError),
        (None, TypeError),
    ]:
        for name in ("filters", "groups"):
            with pytest.raises(error, match=f"{name} must be"):
                layers.Conv2D(**{"filters": 4, "kernel_size": 3, name: bad})
        with pytest.raises(error, match="depth_multiplier must be"):
            layers.DepthwiseConv1D(3, depth_multiplier=bad)
    assert layers.Conv1D(np.int64(4), np.int8(3)).filters == 4
    with pytest.raises(ValueError, match="filters must be divisible by groups, received 4 and 3"):
        layers.Conv2D(4, 3, groups=3)
    layer = layers.Conv2D(4, 3, groups=4)
    for use in (layer.build, layer.compute_output_shape):
        with pytest.raises(ValueError, match="channels of inputs must be divisible by groups, received 6 and 4"):
            use((None, 8, 8, 6))
    assert not layer.built


@every_layer
def test_input_errors(kind):
    layer = make(kind)
    x = inputs_of(layer)
    for state in ("unbuilt", "built"):
        for bad, error, message in [
            (x[0], ValueError, r"inputs of .* must have . axes \(batch, \*spatial, channels\), received"),
            (x[None], ValueError, "inputs of .* must have . axes"),
            (x[:, :1], ValueError, "window"),
            (x[:, :0], ValueError, "input_shape must be at least 1|at least one element"),
            (x > 0, TypeError, "inputs must be an array of real numbers .* received dtype bool"),
            (x * 1j, TypeError, "inputs must be an array of real numbers .* received dtype complex"),
            (x.astype(object), TypeError, "inputs must be an array of real numbers .* received dtype object"),
            (x.astype(str), TypeError, "inputs must be an array of real numbers"),
            (
                x.astype(np.longdouble),
                TypeError,
                "inputs must be an array of real numbers of at most 64 bits",
            ),
            ([[1], [1, 2]], TypeError, "inputs must be an array of real numbers, received"),
            (None, TypeError, "inputs must be an array of real numbers"),
        ]:
            with pytest.raises(error, match=message):
                layer(bad)
        if state == "unbuilt":
            assert not layer.built
            layer(x)
    for channels in (4, 2 * CHANNELS):  # twice as many would be two groups
        with pytest.raises(ValueError, match=f"the 6 channels that it was built for, received {channels} ch"):
            layer(np.ones((*x.shape[:-1], channels), np.float32))
    for bad in ((2, 3), (None, -1, 5, 6), "abc", 3, (None, 5.0, 5, 6)):
        with pytest.raises((ValueError, TypeError), match=r"input_shape|inputs of"):
            layer.compute_output_shape(bad)


def test_input_layer():
    assert layers.Input((10, 3)).batch_shape == (None, 10, 3)
    assert layers.Input((None, 3), batch_size=4).shape == (4, None, 3)
    assert layers.Input(batch_shape=[2, 10, 3], name="a", dtype="uint8").get_config() == {
        "batch_shape": (2, 10, 3),
        "dtype": "uint8",
        "sparse": False,
        "ragged": False,
        "name": "a",
        "optional": False,
    }
    layer = layers.Input((10, 3))
    x = np.ones((1, 10, 3), np.int16)
    assert layer(x) is x
    assert layer.weights == []
    assert layer.count_params() == 0
    assert layer.compute_output_shape((1, 2)) == (1, 2)
    assert layers.deserialize(layers.serialize(layer)).get_config() == layer.get_config()
    for bad in ({}, {"shape": (1,), "batch_shape": (1, 1)}, {"batch_shape": (1, 1), "batch_size": 1}):
        with pytest.raises(ValueError, match="expected shape"):
            layers.Input(**bad)
    with pytest.raises(ValueError, match="sparse must be False"):
        layers.Input((3,), sparse=True)
    with pytest.raises(TypeError, match="shape must be a tuple of ints and Nones, received 3"):
        layers.Input(3)
    with pytest.raises(ValueError, match="shape must be at least 1"):
        layers.Input((0, 3))


def test_a_layer_of_your_own():
    class Edges(layers.Conv2D):
        def __init__(self, **options):
            super().__init__(1, 3, use_bias=False, **options)

    layer = Edges(padding="same")
    assert layer(np.ones((1, 5, 5, 2))).shape == (1, 5, 5, 1)
    assert layer.name.startswith("edges")
