"""Layers: values against the reference, what each argument does, weights, configurations, errors."""

import copy
import inspect
import itertools
import json
import pickle
import threading

import numpy as np
import pytest
import reference
from strategies import ORDERS

from cyconv import activations, constraints, initializers, layers, regularizers
from cyconv.layers import convolution

# layer -> (spatial axes, reference, leading arguments)
LAYERS = {
    layers.Conv1D: (1, reference.conv, {"filters": 4, "kernel_size": 3}),
    layers.Conv2D: (2, reference.conv, {"filters": 4, "kernel_size": (3, 2)}),
    layers.DepthwiseConv1D: (1, reference.depthwise_conv, {"kernel_size": 3}),
    layers.DepthwiseConv2D: (2, reference.depthwise_conv, {"kernel_size": (3, 2)}),
    layers.SeparableConv1D: (1, reference.separable_conv, {"filters": 5, "kernel_size": 3}),
    layers.SeparableConv2D: (2, reference.separable_conv, {"filters": 5, "kernel_size": (3, 2)}),
}
CHANNELS = 6
EPS = {"float32": np.finfo(np.float32).eps, "float64": np.finfo(np.float64).eps}

every_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)


def make(kind, **options):
    """A layer with a random bias, so that the bias shows."""
    return kind(**{**LAYERS[kind][2], "bias_initializer": "random_normal", **options})


def inputs_of(layer, batch=2, dtype="float32", size=11):
    spatial = (size, size - 2)[: layer.rank]
    shape = (batch, *spatial, CHANNELS)
    if layer.data_format == "channels_first":
        shape = (batch, CHANNELS, *spatial)
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def expected(layer, x):
    """The reference's outputs, before an activation."""
    layer.build(x.shape)
    op = LAYERS[type(layer)][1]
    kernels = [w for w in layer.weights if w is not layer.bias]
    return op(x, *kernels, layer.strides, layer.padding, layer.data_format, layer.dilation_rate, bias=layer.bias)


def assert_close(got, want, dtype):
    """Reductions here are shorter than 64 products of magnitude below 16."""
    assert got.dtype == dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=32 * EPS[dtype], atol=64 * EPS[dtype])


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


# -- weights


@every_layer
def test_weights(kind):
    layer = make(kind)
    assert not layer.built
    assert layer.weights == []
    layer.build((None, *[None] * layer.rank, CHANNELS))
    assert layer.built
    names = list(layer._state.arrays)
    assert names[-1] == "bias"
    assert [w.shape for w in layer.weights] == [getattr(layer, name).shape for name in names]
    assert layer.count_params() == sum(w.size for w in layer.weights)
    assert all(a is b for a, b in zip(layer.trainable_weights, layer.weights))
    layer.trainable = False
    assert len(layer.non_trainable_weights) == len(names)
    assert layer.trainable_weights == []
    assert make(kind, use_bias=False, trainable=False).trainable is False


def test_shapes_of_weights():
    def shapes(layer):
        layer.build((None, *[None] * layer.rank, CHANNELS))
        return [w.shape for w in layer.weights]

    assert shapes(layers.Conv1D(4, 3)) == [(3, 6, 4), (4,)]
    assert shapes(layers.Conv2D(4, (3, 2), groups=2)) == [(3, 2, 3, 4), (4,)]
    assert shapes(layers.DepthwiseConv1D(3, depth_multiplier=2)) == [(3, 6, 2), (12,)]
    assert shapes(layers.DepthwiseConv2D(3, use_bias=False)) == [(3, 3, 6, 1)]
    assert shapes(layers.SeparableConv1D(4, 3, depth_multiplier=2)) == [(3, 6, 2), (1, 12, 4), (4,)]
    assert shapes(layers.SeparableConv2D(4, 3)) == [(3, 3, 6, 1), (1, 1, 6, 4), (4,)]


@every_layer
def test_weights_handed_out_are_read_only(kind):
    layer = make(kind)
    layer(inputs_of(layer))
    for array in (*layer.weights, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    copies = layer.get_weights()
    copies[0][...] = 0
    assert layer.weights[0].any()


@every_layer
def test_assigning_a_weight_changes_the_next_call(kind):
    layer = make(kind)
    x = inputs_of(layer)
    layer(x)
    for name in layer._state.arrays:
        old = getattr(layer, name)
        new = np.random.default_rng(1).standard_normal(old.shape)
        setattr(layer, name, new)
        np.testing.assert_array_equal(getattr(layer, name), new.astype(np.float32))
        assert_close(layer(x), expected(layer, x), "float32")
        new[...] = 0  # the layer has a copy
        assert getattr(layer, name).all()


@every_layer
def test_set_weights(kind):
    layer = make(kind)
    x = inputs_of(layer)
    y = layer(x)
    doubled = [2 * w for w in layer.get_weights()[:-1]] + [layer.get_weights()[-1]]
    layer.set_weights(doubled)
    assert (layer(x) != y).any()
    assert_close(layer(x), expected(layer, x), "float32")
    other = kind.from_config(layer.get_config())
    other.build(x.shape)
    other.set_weights(layer.weights)
    np.testing.assert_array_equal(other(x), layer(x))


@every_layer
def test_set_weights_all_or_nothing(kind):
    layer = make(kind)
    x = inputs_of(layer)
    y = layer(x)
    zeros = [0 * w for w in layer.get_weights()]
    for bad, error, message in [
        (zeros[:-1], ValueError, "weights must be . arrays .* received"),
        ([*zeros, zeros[0]], ValueError, "weights must be . arrays .* received"),
        ([*zeros[:-1], zeros[-1][:-1]], ValueError, r"bias of .* must have shape \(\d+,\), received shape"),
        ([*zeros[:-1], zeros[-1] * 1j], TypeError, "bias must be an array of real numbers"),
        ([*zeros[:-1], zeros[-1].astype(object)], TypeError, "bias must be an array of real numbers"),
    ]:
        with pytest.raises(error, match=message):
            layer.set_weights(bad)
        np.testing.assert_array_equal(layer(x), y)
    with pytest.raises(ValueError, match="must have shape"):
        layer.bias = zeros[-1][None]
    np.testing.assert_array_equal(layer(x), y)
    assert all(w.any() for w in layer.weights)


@every_layer
def test_weights_before_they_exist(kind):
    layer = make(kind)
    with pytest.raises(AttributeError, match="does not exist yet"):
        layer.bias
    for use in (layer.count_params, lambda: layer.set_weights([]), lambda: setattr(layer, "bias", 0)):
        with pytest.raises(ValueError, match="no weights yet"):
            use()
    assert layer.get_weights() == []
    assert layer.losses == []
    layer.apply_constraints()
    assert not layer.built


@every_layer
def test_no_bias(kind):
    layer = make(kind, use_bias=False)
    layer(inputs_of(layer))
    assert layer.bias is None
    with pytest.raises(AttributeError, match="has no bias"):
        layer.bias = [1]


@every_layer
def test_building_again_keeps_weights(kind):
    layer = make(kind)
    x = inputs_of(layer)
    layer.build(x.shape)
    before = layer.weights
    layer.build((None, *x.shape[1:]))
    layer(x)
    assert all(a is b for a, b in zip(before, layer.weights))
    with pytest.raises(ValueError, match=r"the 6 channels that it was built for, received 8 channels"):
        layer.build((*x.shape[:-1], 8))


@every_layer
def test_a_call_sees_old_or_new_weights(kind):
    """One thread swaps all weights at once; the outputs of the others are of one set or of the other."""
    layer = make(kind, activation="relu")
    x = inputs_of(layer)
    layer(x)
    sets = [layer.get_weights(), [-3 * w + 1 for w in layer.get_weights()]]
    allowed = []
    for weights in sets:
        layer.set_weights(weights)
        allowed.append(layer(x).tobytes())
    done = threading.Event()
    seen = set()

    def call():
        while not done.is_set():
            seen.add(layer(x).tobytes())

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for weights in itertools.islice(itertools.cycle(sets), 200):
        layer.set_weights(weights)
    layer.set_weights(sets[0])
    after = layer(x).tobytes()
    done.set()
    for thread in threads:
        thread.join()
    assert seen <= set(allowed)
    assert after == allowed[0]
    assert layer(x).tobytes() == allowed[0]


def test_threads_that_call_an_unbuilt_layer_agree():
    def call(layer, x, results):
        results.append(layer(x).tobytes())

    for _ in range(20):
        layer = layers.Conv2D(4, 3)
        x = inputs_of(layer)
        results = []
        threads = [threading.Thread(target=call, args=(layer, x, results)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(results) == {layer(x).tobytes()}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@every_layer
def test_copies(kind, copied):
    layer = make(kind, activation="gelu", kernel_size=2)
    x = inputs_of(layer)
    y = layer(x)
    other = copied(layer)
    np.testing.assert_array_equal(other(x), y)
    other.bias = other.bias + 1
    assert (other(x) != y).any()
    np.testing.assert_array_equal(layer(x), y)
    with pytest.raises(ValueError, match="read-only"):
        other.weights[0][...] = 0


# -- initializers, regularizers, constraints


@every_layer
def test_initializers(kind):
    roles = {f"{role}_initializer": initializers.Constant(i + 1) for i, role in enumerate(kind._roles.values())}
    layer = kind(**LAYERS[kind][2], **roles)
    layer(inputs_of(layer))
    for i, weight in enumerate(layer.weights):
        np.testing.assert_array_equal(weight, i + 1)

    calls = []

    def own(shape, dtype=None):
        calls.append((shape, dtype))
        return np.zeros(shape)

    layer = kind(**LAYERS[kind][2], bias_initializer=own, dtype="float64")
    layer(inputs_of(layer))
    assert calls == [(layer.bias.shape, "float64")]
    default = kind(**LAYERS[kind][2], **dict.fromkeys(roles))
    default(inputs_of(default))
    assert not default.bias.any()
    assert default.weights[0].any()


def test_given_values_initialize():
    kernel = np.random.default_rng(0).standard_normal((3, CHANNELS, 4)).astype(np.float32)
    layer = layers.Conv1D(4, 3, kernel_initializer=kernel)
    layer(inputs_of(layer))
    np.testing.assert_array_equal(layer.kernel, kernel)
    again = layers.Conv1D.from_config(json.loads(json.dumps(layer.get_config())))
    again(inputs_of(layer))
    np.testing.assert_array_equal(again.kernel, kernel)


def test_an_initializer_of_another_shape_changes_nothing():
    layer = layers.Conv1D(4, 3, bias_initializer=lambda shape, dtype: np.zeros(3))
    with pytest.raises(ValueError, match=r"bias's initializer must return shape \(4,\), received shape \(3,\)"):
        layer(inputs_of(layer))
    assert not layer.built
    assert layer.weights == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_layer
def test_losses(kind, dtype):
    roles = {f"{role}_regularizer": regularizers.L2(i + 1) for i, role in enumerate(kind._roles.values())}
    layer = make(kind, activity_regularizer=lambda y: 0.5 * abs(y).sum(), activation="tanh", dtype=dtype, **roles)
    x = inputs_of(layer, batch=4)
    layer.build(x.shape)
    assert len(layer.losses) == len(layer.weights)
    y = layer(x)
    want = [0.5 * np.abs(y).sum() / 4] + [(i + 1) * np.square(w).sum() for i, w in enumerate(layer.weights)]
    np.testing.assert_allclose(layer.losses, want, rtol=1e-5)
    assert {loss.dtype for loss in layer.losses} == {np.dtype(dtype)}
    layer(2 * x)
    assert layer.losses[0] > want[0]
    layer.bias = 2 * layer.bias
    np.testing.assert_allclose(layer.losses[-1], 4 * want[-1], rtol=1e-5)
    layer.trainable = False
    assert len(layer.losses) == 1


@every_layer
def test_constraints(kind):
    roles = {f"{role}_constraint": "non_neg" for role in kind._roles.values()}
    layer = make(kind, **roles)
    x = inputs_of(layer)
    layer(x)
    before = layer.get_weights()
    assert any((w < 0).any() for w in before)
    layer.apply_constraints()
    for old, new in zip(before, layer.weights):
        np.testing.assert_array_equal(new, np.maximum(old, 0))
    assert_close(layer(x), expected(layer, x), "float32")


def test_one_constraint_leaves_the_other_weights():
    layer = layers.Conv1D(4, 3, kernel_constraint=constraints.UnitNorm([0, 1]), bias_initializer="ones")
    layer(inputs_of(layer))
    layer.apply_constraints()
    np.testing.assert_allclose(np.square(layer.kernel).sum(axis=(0, 1)), 1, rtol=1e-5)
    np.testing.assert_array_equal(layer.bias, 1)
    before = layer.kernel
    broken = layers.Conv1D(4, 3, kernel_constraint=lambda w: w[:1], bias_constraint=np.zeros_like)
    broken(inputs_of(layer))
    with pytest.raises(ValueError, match=r"kernel of .* must have shape"):
        broken.apply_constraints()
    np.testing.assert_array_equal(layer.kernel, before)


# -- configurations

FULL = {
    "strides": 2,
    "padding": "same",
    "data_format": "channels_first",
    "dilation_rate": 3,
    "activation": "silu",
    "use_bias": False,
    "bias_initializer": initializers.Constant(2),
    "bias_regularizer": "l1",
    "activity_regularizer": regularizers.L1L2(0.1, 0.2),
    "bias_constraint": constraints.MinMaxNorm(0.1, 0.9, axis=[0]),
    "name": "mine",
    "dtype": "float64",
    "trainable": False,
}


@every_layer
def test_config_round_trip(kind):
    options = dict(FULL)
    for role in kind._roles.values():
        options[f"{role}_initializer"] = initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)
        options[f"{role}_regularizer"] = "l2"
        options[f"{role}_constraint"] = {"class_name": "UnitNorm", "config": {"axis": 1}}
    layer = kind(**LAYERS[kind][2], **options)
    config = layer.get_config()
    arguments = set(inspect.signature(kind).parameters)
    assert set(config) == arguments
    again = kind.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    x = inputs_of(layer)
    np.testing.assert_array_equal(again(x), layer(x))  # the seeds are in the configuration
    serialized = layers.serialize(layer)
    restored = layers.deserialize(json.loads(json.dumps(serialized)))
    assert type(restored) is kind
    assert restored.built
    assert restored.get_config() == config


@every_layer
def test_config_with_functions_of_your_own(kind):
    def double(x, dtype=None):
        return 2 * x

    layer = make(kind, activation=double, activity_regularizer=double, bias_constraint=double)
    again = kind.from_config(layer.get_config())
    assert again.activation is double
    assert again.activity_regularizer is double
    assert again.bias_constraint is double


@every_layer
def test_config_of_explicit_padding(kind):
    layer = make(kind, padding=1)
    assert layer.get_config()["padding"] == ((1, 1), (1, 1))[: layer.rank]
    assert kind.from_config(json.loads(json.dumps(layer.get_config()))).padding == layer.padding


@every_layer
def test_config_errors(kind):
    config = make(kind).get_config()
    with pytest.raises(TypeError, match="nonsense"):
        kind.from_config({**config, "nonsense": 1})
    with pytest.raises(TypeError, match="config must be a dict, received 'Conv2D'"):
        kind.from_config("Conv2D")
    with pytest.raises(ValueError, match="config must be a callable, a serialized dict or one of 'Conv1D'"):
        layers.deserialize({"module": "keras.layers", "class_name": "Dense", "config": {}})
    with pytest.raises(TypeError, match=r"layer must be one of 'Conv1D'|layer must be one of Conv1D"):
        layers.serialize("Conv2D")


def test_names():
    names = [layers.SeparableConv2D(1, 1).name for _ in range(3)]
    assert all(name.startswith("separable_conv2d") for name in names)
    assert len(set(names)) == 3
    assert layers.Conv1D(1, 1, name="a").name == "a"
    assert "name=a" in repr(layers.Conv1D(1, 1, name="a"))


def test_arguments_stay_as_they_are():
    layer = layers.Conv1D(4, 3)
    with pytest.raises(AttributeError, match=r"strides of .* cannot be changed: make another layer"):
        layer.strides = 2
    layer.name = "other"
    layer.trainable = False


def test_dtypes():
    for given in (
        None,
        "float32",
        np.float32,
        np.dtype("float32"),
        {"class_name": "DTypePolicy", "config": {"name": "float32"}},
    ):
        assert layers.Conv1D(1, 1, dtype=given).dtype == "float32"
    assert layers.Conv1D(1, 1, dtype=np.float64).dtype == "float64"
    for bad in ("float16", "mixed_float16", np.int32, "nonsense", 3.5, {}, {"config": {"name": "bfloat16"}}):
        with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', received"):
            layers.Conv1D(1, 1, dtype=bad)


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
