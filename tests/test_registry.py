"""Lookup and serialization, which activations, initializers, regularizers and constraints share."""

import sys

import numpy as np
import pytest

from cyconv import activations, constraints, initializers, regularizers
from cyconv.registry import Registry

CLASSES = {initializers: "HeNormal", regularizers: "L1L2", constraints: "MaxNorm"}
FAMILIES = (activations, *CLASSES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_name_survives_serialization(family):
    for name in family.REGISTRY.names:
        member = family.get(name)
        serialized = family.serialize(member)
        again = family.get(serialized)
        assert type(again) is type(member)
        assert family.serialize(again) == serialized


def test_names_are_keras_names():
    assert activations.get("swish") is activations.silu
    assert activations.get(None) is activations.linear
    assert isinstance(initializers.get("glorot_uniform"), initializers.GlorotUniform)
    assert isinstance(initializers.get("GlorotUniform"), initializers.GlorotUniform)
    assert isinstance(initializers.get("normal"), initializers.RandomNormal)
    assert isinstance(regularizers.get("l1_l2"), regularizers.L1L2)
    assert isinstance(regularizers.get("orthogonal_regularizer"), regularizers.OrthogonalRegularizer)
    assert isinstance(constraints.get("min_max_norm"), constraints.MinMaxNorm)


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_names_list_the_known(family):
    kind = family.REGISTRY.kind
    for unknown in (
        "nonsense",
        {"class_name": "nonsense"},
        {"class_name": ["a"], "config": {}},
        {},
        "",
        "get",
    ):
        with pytest.raises(ValueError, match=f"{kind} must be a callable.*{family.REGISTRY.names[0]}.*received"):
            family.get(unknown)
    with pytest.raises(ValueError, match="my_argument must be"):
        family.get("nonsense", "my_argument")
    with pytest.raises(TypeError, match=f"{kind} must be .* received 3"):
        family.get(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_callable_stays_itself(family):
    def own(*args, **kwargs):
        return 0

    assert family.get(own) is own
    assert family.serialize(own) is own


@pytest.mark.parametrize("family, name", CLASSES.items())
def test_classes_and_instances(family, name):
    kind = getattr(family, name)
    assert isinstance(family.get(kind), kind)
    instance = kind()
    assert family.get(instance) is instance
    serialized = family.serialize(instance)
    assert set(serialized) == {"module", "class_name", "config", "registered_name"}
    assert serialized["module"] == "keras." + family.__name__.rpartition(".")[2]
    assert isinstance(family.get({"class_name": name}), kind)
    with pytest.raises(TypeError, match="must have only"):
        family.get({"class_name": name, "config": {"nonsense": 1}})
    with pytest.raises(TypeError, match="config must be a dict, received 5"):
        family.get({"class_name": name, "config": 5})


def test_a_class_of_your_own_is_not_taken_for_a_known_one():
    class MaxNorm(constraints.MaxNorm):
        pass

    mine = MaxNorm()
    assert constraints.serialize(mine) is mine
    with pytest.raises(ValueError, match="constraint must be"):
        constraints.get({"class_name": "MaxNorm", "config": {}, "registered_name": "mine>MaxNorm"})


def test_functions_in_keras_form():
    for module in ("builtins", "keras.activations"):
        form = {"module": module, "class_name": "function", "config": "gelu", "registered_name": "gelu"}
        assert activations.get(form) is activations.gelu


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_imported_or_evaluated(family):
    before = set(sys.modules)
    for name in ("os.system", "__import__('antigravity')", "antigravity.fly"):
        for serialized in (
            name,
            {"module": "antigravity", "class_name": name, "config": {}},
            {"module": "antigravity", "class_name": "function", "config": name},
            {"module": "builtins", "class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        ):
            with pytest.raises(ValueError, match="must be"):
                family.get(serialized)
    assert set(sys.modules) == before


def test_repr_can_be_read():
    assert repr(regularizers.L2(0.5)) == "L2(l2=0.5)"
    assert repr(initializers.Constant(2)) == "Constant(value=2)"


def test_a_registry_by_itself():
    registry = Registry("thing", "keras.things", default=len)

    @registry.add("b")
    def a():
        return 1

    assert registry.get(None) is len
    assert registry.get("a") is registry.get("b") is a
    assert registry.serialize(a) == "a"
    assert registry.serialize(np.sin) is np.sin
