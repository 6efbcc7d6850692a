"""The progress bar of commands that work for a while."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from provery.cli import progress


def test_without_a_terminal_each_phase_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("set-up of x") as report:
        for step, done in (("compile", 0), ("compile", 100), ("generate", 250), ("", 300), ("generate", 900)):
            report(step, done, 1000)
    assert capsys.readouterr().err.splitlines() == ["set-up of x: compile", "set-up of x: generate"]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("set-up of x", quiet=True) as report:
        report("compile", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_bar_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        progress, "console", lambda stderr: Console(file=screen, force_terminal=True, width=100)
    )
    with progress.bar("set-up of x") as report:
        report("generate", 430, 1000)
        report("odd", 1, 0)
        report("generate", 730, 1000)
    assert "set-up of x: generate" in screen.getvalue()
    assert "73 %" in screen.getvalue()
