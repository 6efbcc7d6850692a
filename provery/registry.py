"""The one place that names systems. A new system is one folder and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from provery.core.errors import ConfigurationError

SYSTEMS: dict[str, str] = {
    "beacon": "provery.systems.beacon",
    "hotshot": "provery.systems.hotshot",
    "queue": "provery.systems.queue",
    "zkml": "provery.systems.zkml",
}
"""System name → module with ``build(deps) -> System`` and, where it has one, an ingress and routes."""

EXTRA = "PROVERY_EXTRA_SYSTEMS"
"""Systems of an installation's own: ``name=module,name=module``."""


def systems(env: Mapping[str, str]) -> dict[str, str]:
    """Every system of this installation.

    Raises:
        ConfigurationError: ``PROVERY_EXTRA_SYSTEMS`` is malformed or renames a system of ours.
    """
    known = dict(SYSTEMS)
    for entry in filter(None, env.get(EXTRA, "").split(",")):
        name, equals, module = entry.strip().partition("=")
        if not equals or not module or name in SYSTEMS:
            raise ConfigurationError(
                f"{EXTRA} is malformed", value=entry, expected="name=module, with a name that is not taken"
            )
        known[name] = module
    return known


def load(name: str, env: Mapping[str, str]) -> ModuleType:
    """Import a system's module.

    Raises:
        ConfigurationError: no system has that name, or its module cannot be imported.
    """
    known = systems(env)
    if name not in known:
        raise ConfigurationError("no such system", value=name, expected=f"one of {', '.join(sorted(known))}")
    try:
        return import_module(known[name])
    except ImportError as error:
        raise ConfigurationError(
            f"system {name!r} cannot be imported: {error}",
            value=known[name],
            action="check the module's name and path",
        ) from error


def part(name: str, module: str, env: Mapping[str, str]) -> ModuleType | None:
    """Import a module of a system's slice, such as ``contracts``; None where the slice has none.

    Raises:
        ConfigurationError: no system has that name, or it cannot be imported.
    """
    slice_ = load(name, env).__name__
    try:
        return import_module(f"{slice_}.{module}") if find_spec(f"{slice_}.{module}") else None
    except ModuleNotFoundError:  # a system of an installation's own may be a single module
        return None
