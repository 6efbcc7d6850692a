"""Units of hotshot: stable keys, the order of heights, and nothing taken over from another contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provery.core.errors import InvalidInput
from provery.core.types import ArtifactRef, check_key
from provery.systems.hotshot.units import Place, Told, epoch_unit, state_unit, told

PLACE = Place(1, "0x" + "ab" * 20, "0123456789abcdef", 200)
BUNDLE = ArtifactRef("file:///a", "cd" * 32, 77, "bundle.json")


def test_keys_are_stable_and_ordinals_are_heights() -> None:
    epoch = epoch_unit("demo", PLACE, 7, 10)
    state = state_unit("demo", PLACE, 7, 63, BUNDLE)
    assert (epoch.key, epoch.ordinal) == ("epoch-7", 65)
    assert (state.key, state.ordinal) == ("state-63", 63)
    for unit in (epoch, state):
        check_key(unit.key)
    assert epoch == epoch_unit("demo", PLACE, 7, 10)


def test_a_unit_is_read_as_it_was_made() -> None:
    assert told(epoch_unit("demo", PLACE, 7, 10), PLACE) == Told(7, 65, True, None)
    assert told(state_unit("demo", PLACE, 7, 63, BUNDLE), PLACE) == Told(7, 63, False, BUNDLE)
    assert told(state_unit("demo", PLACE, None, 63, BUNDLE), PLACE) == Told(None, 63, False, BUNDLE)


@pytest.mark.parametrize(
    "other",
    [
        replace(PLACE, chain_id=2),
        replace(PLACE, contract="0x" + "cd" * 20),
        replace(PLACE, network="fedcba9876543210"),
        replace(PLACE, capacity=100),
    ],
)
def test_a_unit_of_another_contract_is_refused(other: Place) -> None:
    with pytest.raises(InvalidInput, match="made for another"):
        told(epoch_unit("demo", PLACE, 7, 10), other)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "epoch-07"},
        {"key": "epoch-8"},
        {"key": "period-7"},
        {"params": {**PLACE.params, "epoch": "7"}},
        {"params": {**PLACE.params, "epoch": 7, "height": "65"}},
        {"params": {**PLACE.params, "epoch": "7", "height": "6 5"}},
    ],
)
def test_a_malformed_unit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        told(replace(epoch_unit("demo", PLACE, 7, 10), **change), PLACE)  # type: ignore[arg-type]


@pytest.mark.parametrize("bundle", [None, "x", {"uri": "file:///a"}, {**BUNDLE.__dict__, "size": "77"}])
def test_a_malformed_bundle_is_refused(bundle: object) -> None:
    unit = state_unit("demo", PLACE, 7, 63, BUNDLE)
    with pytest.raises(InvalidInput):
        told(replace(unit, params={**unit.params, "bundle": bundle}), PLACE)  # type: ignore[dict-item]
