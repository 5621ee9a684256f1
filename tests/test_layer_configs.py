"""Layers' configurations: out and in again."""

import inspect
import json

import numpy as np
import pytest
from layer_cases import LAYERS, every_layer, inputs_of, make

from cyconv import constraints, initializers, layers, regularizers

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
