"""The parts of the client that need no server: names, groups, and the text of the UI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provery.client import Address
from provery.client.batching import BATCH_BYTES, BATCH_UNITS, groups, owner_of
from provery.client.settling import final_outputs
from provery.core.details import unit_details
from provery.core.errors import InvalidInput
from provery.core.types import Work
from tests.unit.cli.standins import work


def test_groups_keep_to_one_stream_and_to_the_limits() -> None:
    works = [work(f"a{i}", express=True) for i in range(BATCH_UNITS + 1)] + [work("staged")]
    assert [len(g) for g in groups(works)] == [BATCH_UNITS, 1, 1]
    fat = [work(f"b{i}", express=True, blob="x" * (BATCH_BYTES // 3)) for i in range(4)]
    assert [len(g) for g in groups(fat)] == [2, 2]
    with pytest.raises(InvalidInput, match="too large"):
        groups([work("c", blob="x" * BATCH_BYTES)])
    with pytest.raises(InvalidInput, match="two sets of inputs"):
        groups([work("d", n=1), work("d", n=2)])
    assert owner_of(works[:3]) == owner_of(works[:3]) != owner_of(works[1:4])
    assert owner_of(works[:1]) == works[0].unit.workflow_id


def test_details_show_hostile_titles_as_text() -> None:
    given = work("k")
    hostile = replace(given.unit, title="[x](javascript:1)|\n# <b>\x00" + "é" * 300)
    details = unit_details(Work(hostile, given.plan))
    assert "\\[x\\]\\(javascript:1\\)\\|" in details
    assert "\x00" not in details


@pytest.mark.parametrize("text", ["", "a/b", "a/b/c/d", "A/b/c", "a/b/../c", "a/b/x\ny", "a/b/" + "k" * 201])
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Address.parse(text)


def test_final_outputs_of_odd_audits() -> None:
    assert final_outputs(None) == ((), {})
    assert final_outputs([{"stage": "fetch", "facts": None, "outputs": None}]) == ((), {})
