"""The command line as people and programs use it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

UNIT_FIELDS = {
    "unit", "system", "stream", "key", "ordinal", "title", "status", "stage", "reason", "error_kind", "workflow_id",
    "run_id", "generation", "created_at", "updated_at",
}  # fmt: skip


def name() -> str:
    return f"k{uuid.uuid4().hex[:10]}"


# Looking


def test_units_are_listed_newest_first(cli: Cli) -> None:
    first, second = cli.proved()[0], cli.proved()[0]
    units = cli.json("list", "queue/prove", "--limit", "2")["units"]
    assert [u["key"] for u in units] == [second.unit.key, first.unit.key]
    assert set(units[0]) == UNIT_FIELDS
    assert cli.json("list", "beacon")["units"] == []
    text = cli("list", "queue", "--status", "done")
    assert first.unit.key in text.stdout
    assert cli("list", "--status", "sleepy").exit_code == 4


def test_show_tells_what_the_ledger_knows_of_an_ended_unit(cli: Cli) -> None:
    one, _ = cli.proved()
    shown = cli.json("show", f"queue/prove/{one.unit.key}")
    assert (shown["unit"]["status"], shown["run"], shown["progress"]) == ("done", None, None)
    assert shown["temporal"] == "answered"
    assert f"{one.unit.key}  done" in cli("show", f"queue/prove/{one.unit.key}").stdout


def test_show_without_temporal_falls_back_to_the_ledger(cli: Cli) -> None:
    one, _ = cli.proved()
    shown = cli.json("show", f"queue/prove/{one.unit.key}", TEMPORAL_ADDRESS="127.0.0.1:1")
    assert (shown["unit"]["status"], shown["temporal"]) == ("done", "unavailable")


def test_explain_tells_the_whole_story(cli: Cli) -> None:
    one, proof = cli.proved()
    story = cli.json("explain", f"queue/prove/{one.unit.key}")
    assert story["unit"]["params"] == one.unit.params
    (attempt,) = story["attempts"]
    assert (attempt["host"], attempt["worker"], attempt["cpu_s"], attempt["outcome"]) == (
        "h",
        "w@h",
        1.25,
        "done",
    )
    (result,) = story["results"]
    assert result["outputs"][0]["size"] == len(proof)
    assert story["costs"]["total"] == 0.5
    text = cli("explain", f"queue/prove/{one.unit.key}").stdout
    assert result["outputs"][0]["sha256"] in text.replace("\n", "")
    assert "1.25 CPU-seconds" in text


# Proving


def test_prove_waits_for_the_outcome_and_attaches_the_second_time(cli: Cli) -> None:
    key = name()
    given = ["prove", "fake/one", "--set", f"id={key}", "--set", "value=3"]
    (first,) = cli.json(*given)["units"]
    assert (first["unit"], first["how"], first["outcome"]["status"]) == (f"fake/one/{key}", "started", "done")
    assert first["outcome"]["outputs"][0]["name"] == "proof.json"
    assert f"workflows/prove%2Ffake%2Fone%2F{key}" in first["ui"]


def test_prove_reads_many_requests(cli: Cli, tmp_path: Path) -> None:
    keys = [name(), name()]
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([{"id": k} for k in keys]))
    done = cli.json("prove", "fake/many", "--request", str(file), "--no-wait")["units"]
    assert [u["unit"] for u in done] == [f"fake/many/{k}" for k in keys]
    assert [u["outcome"] for u in done] == [None, None]
    (one,) = cli.json("prove", "fake/many", "-r", "-", stdin=json.dumps({"id": keys[0]}))["units"]
    assert one["outcome"]["status"] == "done"


def test_without_a_request_what_is_due_is_proved(cli: Cli) -> None:
    (one,) = cli.json("prove", "fake/due")["units"]
    assert (one["unit"], one["outcome"]["status"]) == ("fake/due/due-1", "done")
    assert cli.json("prove", "fake/idle")["units"] == []
    assert "nothing is due" in cli("prove", "fake/idle").output


def test_what_is_due_and_fails_is_tried_again(cli: Cli) -> None:
    stream = f"fake/unsteady-{name()}"
    assert [u["outcome"]["status"] for u in cli.json("prove", stream, "--retries", "2")["units"]] == ["done"]
    (one,) = cli.json("prove", f"fake/unsteady-{name()}", "--retries", "0", code=3)["units"]
    assert one["outcome"]["status"] == "failed"


def test_a_system_without_a_source_needs_a_request(cli: Cli) -> None:
    assert cli.json("prove", "queue/prove", code=4)["error"]["message"].startswith("no request")


def test_failed_unit_is_exit_code_3(cli: Cli) -> None:
    (one,) = cli.json("prove", "fake/one", "-s", f"id={name()}", "-s", "mode=fail", code=3)["units"]
    assert (one["outcome"]["status"], one["outcome"]["error_kind"]) == ("failed", "UnknownCircuit")


def test_orders_reach_a_running_unit(cli: Cli) -> None:
    unit = f"fake/one/{name()}"
    cli.json("prove", "fake/one", "-s", f"id={unit.rpartition('/')[2]}", "-s", "mode=hold", "--no-wait")
    done = cli.json("pause", unit, "--reason", "lunch")
    assert (done["order"], done["how"], done["unit"]) == ("pause", "updated", unit)
    shown = cli.json("show", unit)
    assert shown["progress"]["notes"] == ["pause lunch"]
    assert shown["run"]["status"] == "RUNNING"
    assert "prove" in cli("show", unit).stdout
    error = cli.json("move", unit, "--queue", "moon", code=7)["error"]
    assert error["kind"] == "ConfigurationError"
    printed = cli("cancel", unit, "--reason", "it's over", "--print-temporal")
    assert printed.exit_code == 0
    assert "temporal workflow update execute" in printed.stderr
    assert "--name cancel" in printed.stderr
    assert "http://" in printed.stderr


def test_print_temporal_never_prints_credentials(cli: Cli) -> None:
    given = ("prove", "fake/one", "-s", f"id={name()}", "--print-temporal")
    printed = cli(*given, SOME_API_KEY="sesame-open-123")
    assert "temporal workflow start" in printed.stderr
    assert "sesame" not in printed.output


# Errors


@pytest.mark.parametrize(
    ("args", "code", "kind"),
    [
        (("show", "a/b"), 4, "InvalidInput"),
        (("show", "queue/prove/../../etc"), 4, "InvalidInput"),
        (("show", "queue/prove/nobody"), 5, "NotFound"),
        (("explain", "queue/prove/nobody"), 5, "NotFound"),
        (("pause", "queue/prove/nobody"), 5, "NotFound"),
        (("artifacts", "verify", "queue/prove/nobody"), 5, "NotFound"),
        (("schedule", "show", "queue/nobody"), 5, "NotFound"),
        (("schedule", "create", "queue/prove"), 4, "InvalidInput"),
        (("schedule", "create", "queue/prove", "--every", "soon"), 4, "InvalidInput"),
        (("circuits", "show", "nobody"), 5, "UnknownCircuit"),
        (("circuits", "add", "empty"), 4, "InvalidInput"),
        (("prove", "moon/prove", "-s", "a=1"), 7, "ConfigurationError"),
        (("prove", "bare/prove", "-s", "a=1"), 7, "ConfigurationError"),
        (("prove", "fake/one", "-s", "a=1"), 4, "InvalidInput"),
        (("prove", "queue/prove"), 4, "InvalidInput"),
        (("backfill", "beacon/x", "9", "3"), 4, "InvalidInput"),
        (("bogus",), 2, "UsageError"),
        (("show",), 2, "UsageError"),
        (("list", "--limit", "0"), 2, "UsageError"),
    ],
)
def test_errors_are_json_with_a_kind_and_an_exit_code(
    cli: Cli, args: tuple[str, ...], code: int, kind: str
) -> None:
    error = cli.json(*args, code=code)["error"]
    assert set(error) == {"kind", "message", "value", "expected", "action"}
    assert error["kind"] == kind
    plain = cli(*args)
    assert plain.exit_code == code
    assert "Traceback" not in plain.output


def test_unavailable_and_misconfigured_servers(cli: Cli) -> None:
    error = cli.json("list", "--temporal", code=6, TEMPORAL_ADDRESS="127.0.0.1:1")["error"]
    assert error["kind"] == "TransientError"
    assert "provery up" in error["action"]
    assert cli("list", "--temporal", TEMPORAL_TLS="perhaps").exit_code == 7
    assert cli("list", PROVERY_LEDGER_URL="mongodb://x").exit_code == 7


def test_unexpected_error_has_no_traceback_and_no_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("could not reach redis://u:hunter2secret@h")

    monkeypatch.setattr("provery.cli.local.metadata.version", explode)
    result = cli("version")
    assert result.exit_code == 1
    assert "hunter2secret" not in result.output
    assert "please report" in result.output
    assert "Traceback" not in result.output


def test_working_directory_is_not_taken_for_a_secret(cli: Cli) -> None:
    result = cli(
        "artifacts", "verify", f"queue/prove/{cli.proved()[0].unit.key}", "--json", PWD=str(cli.home)
    )
    assert str(cli.home) in result.stdout
