"""Settings of provers in the environment."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.errors import ConfigurationError


def whole(env: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of 0 or more.

    Raises:
        ConfigurationError: it is something else.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise ConfigurationError(f"{name} is not a whole number", value=text, expected="0 or more")
    return int(text)
