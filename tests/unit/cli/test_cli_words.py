"""What needs no server: the reference, durations, requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from provery.cli import reference
from provery.cli.prove import read_requests
from provery.cli.schedules import duration, ordinals, usual
from provery.core.errors import InvalidInput

# Words


def test_reference_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "cli.md"
    assert page.read_text() == reference.text(), "run: python -m provery.cli.reference > docs/cli.md"


def test_every_command_documents_its_json() -> None:
    page = reference.text()
    commands = page.count("\n### ")
    assert commands > 30
    assert page.count("\nJSON: ") == commands


def test_durations() -> None:
    assert duration("90s") == duration("90") == duration("1m30s")
    assert duration("1d2h").total_seconds() == 93_600
    for text in ("", "0s", "soon", "-1m", "1m1h", "٣m"):
        with pytest.raises(InvalidInput):
            duration(text)


def test_ranges_of_ordinals() -> None:
    assert ordinals("1600..1610") == ordinals("1600", "1610") == (1600, 1610)
    for first, last in (
        ("1600", ""),
        ("1600..", ""),
        ("-1..3", ""),
        ("a", "b"),
        ("1..2", "3"),
        ("1" * 16, "2"),
    ):
        with pytest.raises(InvalidInput, match="not a range of ordinals"):
            ordinals(first, last)


def test_a_system_may_say_how_often_it_wants_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual("queue", "prove") == ""
    assert usual("beacon", "mainnet") == "600s"
    monkeypatch.setenv("CHECK_INTERVAL_MS", "90000")
    assert duration(usual("beacon", "mainnet")).total_seconds() == 90


def test_fields_keep_long_integers_as_text() -> None:
    (made,) = read_requests("", ["a=1", "b=true", "c=x=y", "d=" + "9" * 70, 'e=["1"]'])
    assert made == {"a": 1, "b": True, "c": "x=y", "d": "9" * 70, "e": ["1"]}


@pytest.mark.parametrize("text", ["[]", "3", "[1]", "{", "[" * 100_000])
def test_requests_that_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_requests(str(file), [])
    with pytest.raises(InvalidInput):
        read_requests(str(tmp_path / "absent"), [])
