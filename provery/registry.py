"""The one place that names systems. A new system is one folder and one line here."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from provery.core.errors import ConfigurationError

SYSTEMS: dict[str, str] = {
    "queue": "provery.systems.queue",
}
"""System name → module with ``build(settings) -> System`` and, where it has one, ``ingress(...)`` and ``routes(...)``."""


def load(name: str) -> ModuleType:
    """Import a system's module.

    Raises:
        ConfigurationError: if no system has that name.
    """
    if name not in SYSTEMS:
        raise ConfigurationError("no such system", value=name, expected=f"one of {', '.join(sorted(SYSTEMS))}")
    return import_module(SYSTEMS[name])
