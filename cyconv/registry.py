"""The registry: activations, initializers, regularizers, constraints and layers by name and serialized form.

All five families are looked up, serialized and restored here. Nothing is evaluated or imported: a name in a
configuration is only ever looked up in the table of its family.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cyconv.geometry import shown

Member = TypeVar("Member", bound=Callable[..., Any])
Instance = TypeVar("Instance")


class Registry:
    """The members of one family under their names.

    A member is a function, which serializes to its name, or a class whose instances have ``get_config`` and
    ``from_config``, which serialize to Keras's dict of module, class name and configuration.

    Parameters
    ----------
    kind : str
        What a member is, for messages.
    module : str
        Keras's module of the family, written into serialized classes.
    default : callable, optional
        What None stands for.
    """

    def __init__(self, kind: str, module: str, default: Callable[..., Any] | None = None) -> None:
        self.kind = kind
        self.module = module
        self.default = default
        self._members: dict[str, Callable[..., Any]] = {}
        self._names: dict[Callable[..., Any], str] = {}

    def add(self, *aliases: str) -> Callable[[Member], Member]:
        """Decorate a member: it is found under its own name and under each alias."""

        def register(member: Member) -> Member:
            for name in (member.__name__, *aliases):
                self._members[name] = member
            self._names[member] = aliases[0] if aliases and inspect.isclass(member) else member.__name__
            return member

        return register

    @property
    def names(self) -> list[str]:
        """One name for each member, sorted."""
        return sorted(self._names.values())

    def name_of(self, member: object) -> str | None:
        """Return the name of a registered function; None for anything else."""
        return self._names.get(member) if inspect.isfunction(member) else None

    def get(self, identifier: object, argument: str | None = None) -> Any:
        """Return the member that ``identifier`` stands for.

        Parameters
        ----------
        identifier : str, dict, callable or None
            A name; a serialized dict, cyconv's or Keras's; a class, which is instantiated; or any other
            callable, which is returned as it is.
        argument : str, optional
            The argument's name, for messages.

        Raises
        ------
        ValueError
            The name is unknown.
        TypeError
            ``identifier`` is of none of these kinds.
        """
        argument = argument or self.kind
        config: object = None
        if identifier is None:
            return self.default
        if isinstance(identifier, str):
            member = self._find(identifier, identifier, argument)
        elif isinstance(identifier, Mapping):
            member, config = self._parse(identifier, argument)
        elif callable(identifier):
            member = identifier
        else:
            raise TypeError(f"{self._expected(argument)}, received {shown(identifier)}")
        if not inspect.isclass(member):
            return member
        family: Any = member
        made = family() if config is None else family.from_config(config)
        if not callable(made):
            raise TypeError(f"{self._expected(argument)}, received {shown(identifier)}")
        return made

    def serialize(self, member: object) -> Any:
        """Return what stands for ``member`` in a configuration.

        A registered function gives its name and an instance of a registered class Keras's dict. Anything else
        is returned as it is: a function of your own stays itself in the configuration, since no name could
        bring it back without importing or evaluating something.
        """
        if self.name_of(member) is not None:
            return self.name_of(member)
        kind: Any = type(member)
        if kind not in self._names:
            return member
        return {
            "module": getattr(kind, "keras_module", self.module),
            "class_name": kind.__name__,
            "config": member.get_config(),  # type: ignore[attr-defined]
            "registered_name": None,
        }

    def _parse(self, serialized: Mapping[Any, Any], argument: str) -> tuple[Callable[..., Any], object]:
        """Return (member, configuration) from a serialized dict."""
        name = serialized.get("class_name")
        config = serialized.get("config", {})
        if name == "function":  # Keras's form of a function: the name is the configuration
            name, config = config, None
        elif serialized.get("registered_name") is not None:  # a class of somebody's own
            name = serialized["registered_name"]
        member = self._find(name, serialized, argument)
        if inspect.isclass(member) and not isinstance(config, Mapping):
            raise TypeError(f"{argument}: config must be a dict, received {shown(config)}")
        return member, config

    def _find(self, name: object, received: object, argument: str) -> Callable[..., Any]:
        member = self._members.get(name) if isinstance(name, str) else None
        if member is None:
            raise ValueError(f"{self._expected(argument)}, received {shown(received)}")
        return member

    def _expected(self, argument: str) -> str:
        names = ", ".join(map(repr, self.names))
        return f"{argument} must be a callable, a serialized dict or one of {names}"


def from_arguments(kind: type[Instance], config: Mapping[str, Any]) -> Instance:
    """Return an instance of a class from its constructor's arguments."""
    known = inspect.signature(kind).parameters
    for name in config:
        if name not in known:
            raise TypeError(f"config of {kind.__name__} must have only {', '.join(known)}, received {shown(name)}")
    return kind(**config)


class Configurable:
    """Base of the registered classes: every constructor argument is kept as the attribute of its name."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Return an instance from what :meth:`get_config` returned."""
        return from_arguments(cls, config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
