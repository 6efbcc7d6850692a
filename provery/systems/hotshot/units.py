"""What a unit of this system says. Pure.

An epoch's unit, ``epoch-<n>``, carries the contract over the root of epoch n to the stake table of the next one. A
state's unit, ``state-<height>``, brings it to a state within the epoch that it is in. Both are ordered by height, which
is the order in which the contract takes them, and nothing in a key moves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provery.core.errors import InvalidInput
from provery.core.types import ArtifactRef, Json, Unit
from provery.systems.hotshot.epochs import epoch_root_height

SYSTEM = "hotshot"
_KEY = re.compile(r"(epoch|state)-(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class Place:
    """Which contract the states of a stream go to."""

    chain_id: int
    contract: str
    """0x and 40 hexadecimal digits, in lower case."""
    network: str
    """Digest of what the contract began with: a development chain that is started anew has the same addresses."""
    capacity: int
    """Seats of its stake tables: it changes every commitment."""

    @property
    def params(self) -> dict[str, Json]:
        """What every unit says of it."""
        return {
            "chain_id": str(self.chain_id),
            "contract": self.contract,
            "network": self.network,
            "capacity": str(self.capacity),
        }


@dataclass(frozen=True)
class Told:
    """A unit, read."""

    epoch: int | None
    """The epoch whose stake table signs; None before there are epochs."""
    height: int
    """Of the state; for an epoch's unit, of the epoch's root."""
    advances: bool
    """Whether it goes over the root of ``epoch``, and so changes the stake table."""
    bundle: ArtifactRef | None
    """The relay's signatures of a state, as they were found."""


def epoch_unit(stream: str, place: Place, epoch: int, blocks_per_epoch: int) -> Unit:
    """The unit that carries the contract over the root of an epoch."""
    root = epoch_root_height(epoch, blocks_per_epoch)
    params: dict[str, Json] = {**place.params, "epoch": str(epoch), "height": str(root)}
    title = f"epoch {epoch}, root at height {root}"
    return Unit(SYSTEM, stream, f"epoch-{epoch}", params, ordinal=root, title=title)


def state_unit(stream: str, place: Place, epoch: int | None, height: int, bundle: ArtifactRef) -> Unit:
    """The unit of a state that needs no other stake table than the contract has by then.

    Args:
        stream: Whose.
        place: Where it goes.
        epoch: The epoch that the state is in; None before there are epochs.
        height: Of the state.
        bundle: Its signatures. A relay forgets them for the next state's, so they were stored when it was found.
    """
    params: dict[str, Json] = {
        **place.params,
        "epoch": "" if epoch is None else str(epoch),
        "height": str(height),
        "bundle": {"uri": bundle.uri, "sha256": bundle.sha256, "size": bundle.size, "name": bundle.name},
    }
    return Unit(SYSTEM, stream, f"state-{height}", params, ordinal=height, title=f"state at height {height}")


def told(unit: Unit, place: Place) -> Told:
    """What a unit says.

    Raises:
        InvalidInput: it is malformed, or was made for another contract.
    """
    found = _KEY.fullmatch(unit.key)
    if found is None:
        raise InvalidInput("not a unit of hotshot", value=unit.key, expected="epoch-<n> or state-<height>")
    for name, wanted in place.params.items():
        if unit.params.get(name) != wanted:
            raise InvalidInput(
                f"unit {unit.key} was made for another {name.replace('_', ' ')}",
                value=unit.params.get(name),
                expected=str(wanted),
                action="a setting of the stream was changed since: the next look finds what is due now",
            )
    advances = found[1] == "epoch"
    epoch, height = _number(unit.params, "epoch", none=not advances), _number(unit.params, "height")
    if height is None or (epoch if advances else height) != int(found[2]):
        raise InvalidInput(f"unit {unit.key} says something else than its key", value=height)
    return Told(epoch, height, advances, None if advances else _bundle(unit.params.get("bundle")))


def _number(params: Mapping[str, Json], name: str, *, none: bool = False) -> int | None:
    text = params.get(name)
    if none and text == "":
        return None
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidInput(f"a unit's {name} is malformed", value=text, expected="a decimal number")
    return int(text)


def _bundle(value: Json) -> ArtifactRef:
    if isinstance(value, dict):
        uri, sha256, size, name = (value.get(key) for key in ("uri", "sha256", "size", "name"))
        if (
            isinstance(uri, str)
            and isinstance(sha256, str)
            and isinstance(size, int)
            and isinstance(name, str)
        ):
            return ArtifactRef(uri, sha256, size, name)
    raise InvalidInput("a unit's bundle is malformed", expected="uri, sha256, size and name of an artifact")
