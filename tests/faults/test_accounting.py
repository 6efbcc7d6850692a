"""The counters, on evidence made by hand; on a live rig ``planted`` shows the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.accounting import Counts, Evidence, burned, count, recovered

NOTHING = Counts()


def attempt(stage: str, started: float, outcome: str = "done", **more: Any) -> dict[str, Any]:
    return {
        "stage": stage,
        "shard": None,
        "generation": 0,
        "started_at": started,
        "outcome": outcome,
        "error_kind": "",
        **more,
    }


def result(stage: str, at: float, generation: int = 0) -> dict[str, Any]:
    return {"stage": stage, "shard": None, "generation": generation, "recorded_at": at}


def evidence(*attempts: dict[str, Any], results: tuple[dict[str, Any], ...] = (), **more: Any) -> Evidence:
    """One job that is done, with these attempts."""
    audit = {"attempts": list(attempts), "results": list(results), "submissions": []}
    given: dict[str, Any] = {
        "audits": {"a": audit},
        "rows": {"a": {"status": "done", "proof": {"pi_a": []}}},
        "changes": [{"id": "a", "was": "running", "now": "done"}],
        "events": [{"event": "completed", "jobId": "1", "at": 20.0}],
        "deliveries": {"1": "a"},
    }
    return Evidence(**{**given, **more})


HONEST = evidence(
    attempt("prove", 1.0, "lost"),
    attempt("prove", 5.0),
    attempt("verify", 9.0),
    results=(result("prove", 8.0), result("verify", 10.0)),
)


def test_an_interrupted_attempt_that_is_made_again_counts_as_nothing() -> None:
    assert count(HONEST) == NOTHING


def test_a_late_valid_second_attempt_that_began_before_the_result_is_no_recompute_unless_it_was_finished() -> (
    None
):
    beside = attempt("prove", 7.0, "lost")
    audit = HONEST.audits["a"]
    both = replace(HONEST, audits={"a": {**audit, "attempts": [*audit["attempts"], beside]}})
    assert count(both) == NOTHING
    finished = {**beside, "outcome": "done"}
    both = replace(HONEST, audits={"a": {**audit, "attempts": [*audit["attempts"], finished]}})
    assert count(both).recomputed == 1


def test_another_generation_is_other_work() -> None:
    again = evidence(
        attempt("prove", 1.0),
        attempt("prove", 5.0, generation=1),
        results=(result("prove", 2.0), result("prove", 6.0, 1)),
    )
    assert count(again) == NOTHING


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        ({"rows": {}}, (0, 1, 0, 0)),
        ({"rows": {"a": {"status": "failed", "proof": None, "error": "no"}}}, (0, 1, 0, 0)),
        ({"rows": {"a": {"status": "done", "proof": None}}}, (0, 1, 0, 0)),
        ({"left": ("1",)}, (0, 1, 0, 0)),
        ({"changes": [{"id": "a", "was": "done", "now": "running"}]}, (0, 1, 0, 0)),
        ({"changes": [{"id": "a", "was": "running", "now": "done"}] * 2}, (0, 0, 1, 0)),
        ({"events": [{"event": "completed", "jobId": "1", "at": 1.0}] * 2}, (0, 0, 1, 0)),
        ({"orphans": (77,)}, (0, 0, 0, 1)),
    ],
)
def test_each_violation_is_counted_once(changed: dict[str, Any], counted: tuple[int, ...]) -> None:
    found = count(replace(HONEST, **changed))
    assert (found.recomputed, found.lost, found.duplicated, found.orphans) == counted
    assert len(found.why) == 1
    assert not found.clean


def test_a_crash_burns_an_attempt_and_an_absent_database_does_not() -> None:
    def failed(kind: str) -> list[str]:
        return burned(evidence(attempt("prove", 1.0, "failed", error_kind=kind)))

    assert failed("LedgerUnavailable") == []
    assert failed("HandedBack") == []
    assert failed("ProverCrashed") == ["a: prove has burned an attempt: ProverCrashed"]


def test_all_jobs_must_have_gone_on_before_a_fault_counts_as_overcome() -> None:
    assert recovered(HONEST, 4.0) == 5.0
    assert recovered(HONEST, 9.5) == 20.0
    assert recovered(HONEST, 21.0) is None  # nothing was left to go on
    other = {"attempts": [attempt("prove", 3.0)], "results": [], "submissions": []}
    two = replace(HONEST, audits={**HONEST.audits, "b": other}, deliveries={"1": "a", "2": "b"})
    assert recovered(two, 4.0) is None
    later = {**other, "attempts": [attempt("prove", 3.0), attempt("prove", 12.0)]}
    assert recovered(replace(two, audits={**HONEST.audits, "b": later}), 4.0) == 12.0
