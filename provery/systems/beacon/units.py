"""What a unit of this system says. Pure."""

from __future__ import annotations

from provery.core.errors import InvalidInput
from provery.core.types import Unit
from provery.systems.beacon.spec import Chain

_DIGITS = 12


def period_of(unit: Unit) -> int:
    """The period that a unit proves.

    Raises:
        InvalidInput: its key is none.
    """
    key = unit.key
    if not (key.isascii() and key.isdigit() and len(key) <= _DIGITS and str(int(key)) == key):
        raise InvalidInput("the unit's key is no period", value=key, expected="a decimal number")
    return int(key)


def check_unit(unit: Unit, chain: Chain) -> None:
    """Refuse a unit that was made for another chain.

    Raises:
        InvalidInput: it was.
    """
    root = "0x" + chain.genesis_validators_root.hex()
    if unit.params.get("genesis") != root:
        raise InvalidInput(
            f"the unit is of another chain than {chain.name}",
            value=unit.params.get("genesis"),
            expected=root,
            action="the development chain was started anew, or the stream's CHAIN was changed: prove it again",
        )
