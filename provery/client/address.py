"""How people name a unit: ``<system>/<stream>/<key>``."""

from __future__ import annotations

from dataclasses import dataclass

from provery.core.controls import batch_id
from provery.core.errors import InvalidInput
from provery.core.types import check_key, check_name

BATCH_PREFIX = batch_id("", "", "").split("/", 1)[0] + "/"
"""Start of every batch's workflow id."""


@dataclass(frozen=True)
class Address:
    """A unit's name."""

    system: str
    stream: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``<system>/<stream>/<key>``; a workflow id ``prove/…`` is accepted as well.

        Raises:
            InvalidInput: if it has another shape or a part that cannot be a name.
        """
        parts = text.removeprefix("prove/").split("/")
        if len(parts) != 3:
            raise InvalidInput(
                "not a unit",
                value=text,
                expected="<system>/<stream>/<key>",
                action="`provery list` shows the units",
            )
        system, stream, key = parts
        return cls(check_name(system, "system name"), check_name(stream, "stream name"), check_key(key))

    @property
    def workflow_id(self) -> str:
        """Id of the unit's own workflow."""
        return f"prove/{self}"

    def __str__(self) -> str:
        return f"{self.system}/{self.stream}/{self.key}"


def parse_stream(text: str) -> tuple[str, str]:
    """Read ``<system>/<stream>``.

    Raises:
        InvalidInput: if it has another shape.
    """
    parts = text.split("/")
    if len(parts) != 2:
        raise InvalidInput(
            "not a stream",
            value=text,
            expected="<system>/<stream>, such as queue/prove",
            action="`provery list` shows the streams that have units",
        )
    return check_name(parts[0], "system name"), check_name(parts[1], "stream name")
