"""Sequential: building, calling, nesting, the summary, configurations."""

import json
import pickle
import threading

import numpy as np
import pytest

from cyconv import Sequential, layers

X = np.random.default_rng(0).standard_normal((2, 10, 3)).astype(np.float32)


def conv(*args, **options):
    return layers.Conv1D(*(args or (4, 3)), bias_initializer="random_normal", **options)


def lines_of(model, **options):
    lines = []
    model.summary(print_fn=lines.append, **options)
    return lines


def test_the_familiar_table(capsys):
    model = Sequential([layers.Input((10, 3)), layers.Conv1D(2, 4, padding="same", use_bias=False, name="conv1d")])
    model.name = "sequential"
    model.summary()
    assert capsys.readouterr().out.splitlines() == [
        'Model: "sequential"',
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓",
        "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃",
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩",
        "│ conv1d (Conv1D)                 │ (None, 10, 2)          │            24 │",
        "└─────────────────────────────────┴────────────────────────┴───────────────┘",
        " Total params: 24 (96.00 B)",
        " Trainable params: 24 (96.00 B)",
        " Non-trainable params: 0 (0.00 B)",
    ]


def test_summary_of_an_unbuilt_model():
    lines = lines_of(Sequential([conv(name="a"), conv(name="b")]))
    assert [line.split() for line in lines if "Conv1D" in line] == [
        ["│", name, "(Conv1D)", "│", "?", "│", "0", "(unbuilt)", "│"] for name in "ab"
    ]
    assert " Total params: 0 (0.00 B)" in lines
    assert lines_of(Sequential())[-1].startswith(" Non-trainable")


def test_summary_of_nested_models():
    inner = Sequential([conv(name="c"), conv(name="d")], name="inner")
    inner.layers[1].trainable = False
    model = Sequential([layers.Input((None, 3)), conv(1000, 3, name="a"), inner])
    text = "\n".join(lines_of(model, expand_nested=True, show_trainable=True, line_length=120))
    assert "a (Conv1D)" in text
    assert "(None, None, 1000)" in text
    assert "10,000" in text
    assert "   └ c (Conv1D)" in text
    assert "   └ d (Conv1D)" in text
    assert "└ c" not in "\n".join(lines_of(model))
    assert " Non-trainable params: 52 (208.00 B)" in text
    table = [line for line in text.splitlines() if line[0] in "┏┃┡│├└"]
    assert {len(line) for line in table} == {120}
    long = Sequential([layers.Input((10, 3)), conv(name="x" * 60)])
    assert "x" * 60 + " (Conv1D)" in "\n".join(lines_of(long))


def test_calls_are_calls_of_the_layers():
    a, b = conv(activation="relu"), layers.SeparableConv1D(5, 3, padding="causal")
    model = Sequential([a, b])
    y = model(X)
    np.testing.assert_array_equal(y, b(a(X)))
    np.testing.assert_array_equal(model(X), y)
    out = np.empty_like(y)
    assert model(X, out) is out
    np.testing.assert_array_equal(out, y)
    np.testing.assert_array_equal(model(X.tolist()), y)
    with pytest.raises(ValueError, match="out must"):
        model(X, out[:1])
    assert model(X[:0]).shape == (0, *y.shape[1:])


def test_container():
    a, b = conv(name="a"), conv(name="b")
    model = Sequential([layers.Input((10, 3)), a, b])
    assert list(model) == model.layers == [a, b]
    assert len(model) == 2
    assert model[1] is model.get_layer("b") is model.get_layer(index=1) is b
    assert bool(Sequential())
    for arguments in ({"name": "c"}, {"index": 5}, {}, {"name": "a", "index": 0}):
        with pytest.raises(ValueError, match="received"):
            model.get_layer(**arguments)
    assert model.pop() is b
    assert model.layers == [a]
    model.layers.clear()  # a copy
    assert model.layers == [a]
    model.pop()
    assert not model.built
    with pytest.raises(IndexError, match="has no layers"):
        model.pop()


def test_building():
    model = Sequential([layers.Input((10, 3)), conv()])
    assert model.built
    assert model.count_params() == 40
    model.add(conv(5, 3))
    assert model.count_params() == 40 + 65
    assert model.input_shape == (None, 10, 3)
    assert model.output_shape == (None, 6, 5)

    late = Sequential([conv(), conv()])
    assert not late.built
    with pytest.raises(ValueError, match="no weights yet"):
        late.count_params()
    with pytest.raises(AttributeError, match="no input shape yet"):
        late.output_shape
    with pytest.raises(ValueError, match="input_shape must be given"):
        late.build()
    late.build((None, None, 3))
    assert late.output_shape == (None, None, 4)
    assert late(X).shape == (2, 6, 4)

    called = Sequential([conv()])
    called(X)
    assert called.input_shape == X.shape
    assert called(X[:1, :5]).shape == (1, 3, 4)


def test_a_model_that_does_not_fit_is_not_changed():
    model = Sequential([layers.Input((10, 3)), conv()])
    with pytest.raises(ValueError, match="window"):
        model.add(conv(4, 20))
    assert len(model) == 1
    late = Sequential([conv(), conv(4, 20)])
    with pytest.raises(ValueError, match="window"):
        late.build((None, 10, 3))
    assert not late.built
    assert not late.layers[0].built


def test_errors():
    model = Sequential([layers.Input((10, 3)), conv(name="a")])
    with pytest.raises(TypeError, match="layer must be a layer of cyconv's, received"):
        model.add(lambda x: x)
    with pytest.raises(ValueError, match="names of their own, received 'a' beside a"):
        model.add(conv(name="a"))
    with pytest.raises(ValueError, match="Input must come first"):
        model.add(layers.Input((10, 3)))
    with pytest.raises(ValueError, match="cannot hold itself"):
        model.add(model)
    with pytest.raises(ValueError, match="cannot hold itself"):
        model.add(Sequential([model]))
    with pytest.raises(ValueError, match="no layers to build"):
        Sequential()(X)
    with pytest.raises(ValueError, match=r"Input's shape \(None, 10, 3\), received shape \(2, 9, 3\)"):
        model(X[:, :9])
    with pytest.raises(ValueError, match="Input's shape"):
        model.build((None, 11, 3))
    with pytest.raises(ValueError, match="Input's shape"):
        model(X[0])
    with pytest.raises(TypeError, match="inputs must be"):
        model(X > 0)


def test_weights():
    model = Sequential([layers.Input((10, 3)), conv(), Sequential([conv(), conv(2, 1, use_bias=False)])])
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(3, 3, 4), (4,), (3, 4, 4), (4,), (1, 4, 2)]
    y = model(X)
    model.set_weights([2 * w for w in weights])
    assert (model(X) != y).any()
    changed = model(X)
    for bad in (weights[:-1], [*weights, weights[0]], [*weights[:-1], weights[0]]):
        with pytest.raises(ValueError, match=r"weights must be 5 arrays|must have shape"):
            model.set_weights(bad)
        np.testing.assert_array_equal(model(X), changed)
    model.set_weights(weights)
    np.testing.assert_array_equal(model(X), y)
    model.layers[0].kernel = np.zeros((3, 3, 4))
    assert (model(X) != y).any()


def test_a_layer_used_twice_has_its_weights_once():
    shared = layers.Conv1D(3, 3, padding="same")
    model = Sequential([layers.Input((10, 3)), shared, shared])
    assert model.count_params() == shared.count_params() == 30
    np.testing.assert_array_equal(model(X), shared(shared(X)))


def test_trainable_and_losses():
    a = conv(kernel_regularizer="l2", activity_regularizer="l1")
    b = conv(bias_regularizer="l2", activity_regularizer="l2")
    model = Sequential([a, Sequential([b])])
    model(X)
    assert model.losses == [a.losses[0], b.losses[0], a.losses[1], b.losses[1]]
    model.trainable = False
    assert not b.trainable
    assert len(model.non_trainable_weights) == 4
    assert len(model.losses) == 2
    assert not Sequential([conv()], trainable=False).layers[0].trainable


def test_constraints():
    model = Sequential([layers.Input((10, 3)), Sequential([conv(kernel_constraint="non_neg")])])
    model.apply_constraints()
    assert (model.weights[0] >= 0).all()


def test_a_call_sees_old_or_new_weights_of_all_layers():
    model = Sequential([conv(activation="relu"), Sequential([conv(), conv()])])
    model(X)
    sets = [model.get_weights(), [1 - 3 * w for w in model.get_weights()]]
    allowed = set()
    for weights in sets:
        model.set_weights(weights)
        allowed.add(model(X).tobytes())
    done = threading.Event()
    seen = set()

    def call():
        while not done.is_set():
            seen.add(model(X).tobytes())

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(200):
        model.set_weights(sets[i % 2])
    done.set()
    for thread in threads:
        thread.join()
    assert seen <= allowed


@pytest.mark.parametrize("with_input", [True, False])
def test_config_round_trip(with_input):
    start = [layers.Input((10, 3), name="in")] if with_input else []
    model = Sequential([*start, conv(name="a"), Sequential([conv(name="b", trainable=False)], name="inner")], name="m")
    model(X)
    config = json.loads(json.dumps(model.get_config()))
    again = Sequential.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    assert again.built
    assert again.layers[1].name == "inner"
    assert not again.layers[1].layers[0].trainable
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    restored = layers.deserialize(json.loads(json.dumps(layers.serialize(model))))
    assert isinstance(restored, Sequential)
    for bad in (None, {}, {"layers": 3}):
        with pytest.raises(TypeError, match="config must be a dict with a list of layers"):
            Sequential.from_config(bad)


def test_pickle():
    model = Sequential([layers.Input((10, 3)), conv(), Sequential([conv()])])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again(X), model(X))


def test_images():
    model = Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6"),
            layers.SeparableConv2D(4, 3, activation="softmax"),
        ]
    )
    assert model.output_shape == (None, None, None, 4)
    assert model.count_params() == 224 + 80 + 72 + 36
    y = model(np.random.default_rng(0).integers(0, 255, (1, 20, 30, 3), np.uint8))
    assert y.shape == (1, 8, 13, 4)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
