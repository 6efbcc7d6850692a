"""The stage table that the Temporal UI draws: complete, and safe against what senders write."""

from __future__ import annotations

import re

from provery.core.controls import StageProgress, UnitProgress
from provery.core.types import ArtifactRef, Unit
from workflows.view import markdown

PROOF = ArtifactRef("file:///store/sha256/ab/cd", "ab" * 32, 803, "proof.json")


def text(*stages: StageProgress, title: str = "a title", **more: object) -> str:
    unit = Unit("queue", "prove", "job-1", title=title)
    return markdown(UnitProgress(unit, "running", "prove", stages, **more))  # type: ignore[arg-type]


def table(page: str) -> list[list[str]]:
    """Cells of the table's rows, the line below the heading left out."""
    rows = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" \u00a0") for cell in row.strip("| ").split(" | ")] for row in rows]
    return [cells[0], *cells[2:]]


def test_a_stage_shows_state_place_time_and_artifacts() -> None:
    heading, row = table(text(StageProgress("prove", "done", "cpu", "native", 0, 0, 1.25, "vm", (PROOF,))))
    assert heading == ["stage", "state", "where", "prover", "seconds", "artifacts"]
    assert row[:5] == ["prove", "✅\u00a0done", "cpu\u00a0vm", "native", "1.250"]
    assert "[proof.json](<file:///store/sha256/ab/cd>)" in row[5]
    assert "803\u00a0B\u00a0`abababab`" in row[5]


def test_shards_have_a_column_where_there_are_any() -> None:
    heading, *_ = table(text(StageProgress("prove", "running", shards=8, shards_done=3)))
    assert "shards" in heading
    assert "3/8" in text(StageProgress("prove", "running", shards=8, shards_done=3))


def test_what_senders_write_stays_text() -> None:
    evil = "x](http://evil) | **bold** `code`\n| new | row |"
    page = text(StageProgress("prove", "waiting"), title=evil, reason=evil, notes=(evil,), facts={evil: evil})
    assert len(table(page)) == 2
    assert "\n| new" not in page
    assert "](http://evil)" not in re.sub(r"`[^`\n]*`", "", page).replace("\\]", "")
    facts = [line for line in page.splitlines() if line.startswith("- ") and ": `" in line]
    assert [line.count("`") - line.count("\\`") for line in facts] == [2]
