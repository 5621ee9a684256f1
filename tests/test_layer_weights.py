"""Layers' weights: assigning, initializers, regularizers, constraints."""

import copy
import itertools
import json
import pickle
import threading

import numpy as np
import pytest
from layer_cases import CHANNELS, LAYERS, assert_close, every_layer, expected, inputs_of, make

from cyconv import constraints, initializers, layers, regularizers

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
