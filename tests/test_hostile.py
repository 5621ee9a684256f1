"""Hostile arguments: whatever is handed over, a right result or an error that names the argument; nothing half done."""

import contextlib
import inspect
import re
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_cases import every_layer, inputs_of
from layer_cases import make as make_layer
from strategies import OPS, Case, assert_close, make

import cyconv
from cyconv import Sequential, activations, constraints, initializers, layers, ops, regularizers
from cyconv.layers import base


class Raises:
    """Every question is answered with an error."""

    def _no(self, *args, **kwargs):
        raise ValueError("no")

    __array__ = __len__ = __iter__ = __index__ = __int__ = __float__ = __getitem__ = __repr__ = __str__ = _no
    __bool__ = __eq__ = __lt__ = __call__ = _no
    __hash__ = None


class Lies:
    """Claims a length that it does not have, and an array that is none."""

    def __len__(self):
        return 2**40

    def __array__(self, dtype=None, copy=None):
        return "array"

    def __index__(self):
        return "3"


class Text(str):
    """A subclass of str."""


def itself():
    value = []
    value.append(value)
    return value


HOSTILE = {
    "None": None,
    "True": True,
    "0": 0,
    "-1": -1,
    "huge": 10**30,
    "2**63": 2**63,
    "digits": 10**5000,
    "1.0": 1.0,
    "nan": float("nan"),
    "inf": float("inf"),
    "1j": 1j,
    "empty": "",
    "same": "same",
    "subclass of str": Text("valid"),
    "surrogate": "\ud800",
    "long": "x" * 10**6,
    "code": "__import__('os').system('false')",
    "bytes": b"same",
    "()": (),
    "nested": [[[[1]]]],
    "ragged": [[1], [1, 2]],
    "mixed": [1, "a", None],
    "itself": itself(),
    "dict": {"class_name": "os.system", "config": "false"},
    "set": {1, 2},
    "range": range(2),
    "generator": (i for i in (1, 2)),
    "...": ...,
    "class": int,
    "instance": object(),
    "function": lambda *args: 1 / 0,
    "module": sys,
    "lock": threading.Lock(),
    "raises": Raises(),
    "lies": Lies(),
    "scalar": np.float32(1),
    "0-d": np.array(2),
    "objects": np.array([None, 1], object),
    "structured": np.zeros((1, 9, 3), "f4,i4"),
    "complex": np.zeros((1, 9, 3), complex),
    "dates": np.zeros((1, 9, 3), "M8[s]"),
    "texts": np.zeros((1, 9, 3), "U3"),
    "longdouble": np.zeros((1, 9, 3), np.longdouble),
    "nothing": np.zeros((0,), np.float32),
    "no axes of 0": np.zeros((1, 0, 0, 0), np.float32),
    "32 axes": np.zeros((1,) * 32, np.float32),
    "gigantic": np.broadcast_to(np.float32(0), (2**20, 2**20, 2**15)),
}
values = st.sampled_from(sorted(HOSTILE))
REFUSED = (TypeError, ValueError, MemoryError)
# Beside the arguments, a message may be "no": the error of an object of somebody's own, passed on.


def named(error, *names):
    """Assert that a message names one of the arguments; NumPy's about memory names a shape."""
    if isinstance(error, MemoryError):
        return
    said = str(error)
    assert any(re.search(rf"\b{name}", said) for name in names), f"{type(error).__name__}: {said}"
    assert len(said) < 2000, "a message as long as what it complains about"


@contextlib.contextmanager
def suppress_named(*names):
    """Let an error pass that names one of the arguments."""
    try:
        yield
    except REFUSED as error:
        named(error, *names)


BASE = {
    "conv": [(1, 9, 3), (3, 3, 4)],
    "pointwise_conv": [(1, 9, 3), (3, 4)],
    "depthwise_conv": [(1, 9, 3), (3, 3, 1)],
    "separable_conv": [(1, 9, 3), (3, 3, 1), (1, 3, 4)],
}
# What an error may name instead of the argument itself: arrays are compared with each other.
ARRAYS = ("inputs", "kernel", "depthwise_kernel", "pointwise_kernel", "bias", "out", "output")


@given(data=st.data())
@pytest.mark.parametrize("op", OPS)
def test_functions(op, data):
    """One or two hostile arguments: refused by name, or what the reference computes from the same ones."""
    function = getattr(ops, op)
    names = list(inspect.signature(function).parameters)
    kernels = [name for name in names if name.endswith("kernel")]
    case = make(op, *BASE[op])
    arguments = {"inputs": case.inputs, **dict(zip(kernels, case.kernels)), "bias": case.bias}
    changed = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    arguments |= {name: HOSTILE[data.draw(values)] for name in changed}
    try:
        got = function(**arguments)
    except REFUSED as error:
        named(error, *changed, *(ARRAYS if set(changed) & set(ARRAYS) else ()), "no$")
        return
    except ZeroDivisionError:
        assert arguments["activation"] is HOSTILE["function"]  # an error of somebody's own function is passed on
        return
    case.inputs, case.bias = np.asarray(arguments.pop("inputs")), arguments.pop("bias")
    case.bias = None if case.bias is None else np.asarray(case.bias)
    case.kernels = tuple(np.asarray(arguments.pop(name)) for name in kernels)
    assert arguments.pop("out", None) is None
    activation = arguments.pop("activation", None)
    assert activation is None or activation in activations.REGISTRY.names
    if activation is None:
        case.options = {k: v for k, v in arguments.items() if v is not None}
        if isinstance(case.options.get("padding"), np.ndarray):
            case.options["padding"] = int(case.options["padding"])
        assert_close(got, Case(op, case.inputs, case.kernels, case.bias, case.options), case.want(), case.magnitude)


def state(layer):
    weights = [w.tobytes() for w in layer.weights]
    return layer.built, repr(layer.get_config()), weights, layer(inputs_of(layer)).tobytes()


@every_layer
def test_constructors(kind):
    """Every argument x every value: refused by name, or a layer that builds or says what is wrong."""
    for name in inspect.signature(kind).parameters:
        for what, value in HOSTILE.items():
            try:
                layer = make_layer(kind, **{name: value})
            except REFUSED as error:
                named(error, name, "no$")
                continue
            config = layer.get_config()
            assert set(config) == set(make_layer(kind).get_config()), f"{name}={what}"
            if callable(value):
                continue  # somebody's own initializer, activation, ...: their errors are theirs
            try:
                layer(inputs_of(layer))
            except REFUSED as error:
                named(error, name, "inputs", "kernel", "bias", "dilation_rate", "padded", "value")
                assert layer.built == bool(layer._state.arrays)


@every_layer
@pytest.mark.parametrize("what", HOSTILE)
def test_a_built_layer_stays_as_it_was(kind, what):
    value = HOSTILE[what]
    layer = make_layer(kind)
    layer(inputs_of(layer))
    before = state(layer)
    calls = {
        "inputs|input_shape": lambda: layer(value),
        "out": lambda: layer(inputs_of(layer), out=value),
        "input_shape": lambda: layer.build(value),
        "input_shape|inputs": lambda: layer.compute_output_shape(value),
        "weights|kernel": lambda: layer.set_weights(value),
        "kernel|weights": lambda: layer.set_weights([value, *layer.get_weights()[1:]]),
        "bias": lambda: setattr(layer, "bias", value),
        "config": lambda: type(layer).from_config(value),
    }
    for names, call in calls.items():
        with suppress_named(*names.split("|"), "depthwise_kernel", "pointwise_kernel", "channels", "no$"):
            call()
        assert state(layer) == before or names.startswith("inputs"), names
    assert state(layer) == before


@pytest.mark.parametrize("what", HOSTILE)
def test_models_and_settings(what):
    value = HOSTILE[what]
    model = Sequential([layers.Input((9, 3)), layers.Conv1D(4, 3)])
    x = np.ones((1, 9, 3), np.float32)
    before = model(x).tobytes(), repr(model.get_config()), cyconv.get_num_threads()
    config = model.get_config()
    calls = {
        "layer": lambda: model.add(value),
        "layers|layer|iter": lambda: Sequential(value),
        "name|index": lambda: model.get_layer(value),
        "index|name": lambda: model.get_layer(index=value),
        "input_shape|inputs": lambda: model.build(value),
        "inputs": lambda: model(value),
        "out": lambda: model(x, out=value),
        "weights|kernel": lambda: model.set_weights(value),
        "config": lambda: Sequential.from_config(value),
        "config|layer|layers": lambda: Sequential.from_config({**config, "layers": [value]}),
        "config ": lambda: layers.deserialize(value),
        "build_config|config|input_shape|inputs": lambda: layers.deserialize(
            {**layers.serialize(layers.Conv1D(4, 3)), "build_config": {"input_shape": value}}
        ),
        "build_config": lambda: layers.deserialize({**layers.serialize(layers.Conv1D(4, 3)), "build_config": value}),
        "n": lambda: cyconv.set_num_threads(value),
        "n ": lambda: cyconv.limit_threads(value).__enter__(),
        "on": lambda: cyconv.set_flush_denormals(value if value is not True else 1),
        **{
            f"{family.__name__.rpartition('.')[2]}|{kind}|config": lambda family=family: family.get(value)
            for family, kind in (
                (activations, "activation"),
                (initializers, "initializer"),
                (regularizers, "regularizer"),
                (constraints, "constraint"),
            )
        },
    }
    for names, call in calls.items():
        with suppress_named(*names.split("|"), "no$", "kernel", "channels"):
            call()
    assert (model(x).tobytes(), repr(model.get_config()), cyconv.get_num_threads()) == before


def test_a_configuration_cannot_ask_for_much_memory(monkeypatch):
    def conv2d(channels):
        config = layers.serialize(layers.Conv2D(16, 3))
        return {**config, "build_config": {"input_shape": (None, 8, 8, channels)}}

    with pytest.raises(ValueError, match=f"config must build at most {2**28} weights"):
        layers.deserialize(conv2d(2**30))
    monkeypatch.setattr(base, "MOST_WEIGHTS", 1000)
    assert layers.deserialize(conv2d(6)).built
    assert layers.deserialize(conv2d(6)).built  # the count starts anew
    with pytest.raises(ValueError, match="config must build at most 1000 weights, received one with 1760"):
        Sequential.from_config({"layers": [conv2d(6), conv2d(6)]})


def test_a_configuration_cannot_nest_without_end():
    config = {"layers": []}
    for _ in range(49):
        config = {"layers": [{"class_name": "Sequential", "config": config}]}
    assert len(Sequential.from_config(config).layers) == 1
    for _ in range(100_000):
        config = {"layers": [{"class_name": "Sequential", "config": config}]}
    with pytest.raises(ValueError, match="config must nest at most 50 models"):
        Sequential.from_config(config)
    while config["layers"]:  # else its end is a recursion too
        config = config["layers"].pop()["config"]
