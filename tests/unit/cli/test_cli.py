"""The command line as people and programs use it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from provery.cli import reference
from provery.cli.options import complete_stream, complete_system, complete_unit
from provery.cli.prove import read_requests
from provery.cli.schedules import duration
from provery.core.errors import InvalidInput
from provery.core.types import Json, UnitStatus
from provery.local.toolchain import find
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
        (("prove", "fake/one"), 4, "InvalidInput"),
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


# Stores, circuits, schedules


def test_artifacts_are_fetched_and_verified(cli: Cli, tmp_path: Path) -> None:
    one, proof = cli.proved()
    unit = f"queue/prove/{one.unit.key}"
    out = tmp_path / "proof"
    got = cli.json("artifacts", "get", unit, "submit/proof.json", "--out", str(out))
    assert out.read_bytes() == proof
    digest = got["artifact"]["sha256"]
    assert cli.json("artifacts", "get", unit, digest[:8], "-o", str(out))["stage"] == "submit"
    assert cli.json("artifacts", "get", unit, "nothing", code=5)["error"]["kind"] == "NotFound"
    assert cli.json("artifacts", "verify", unit)["ok"] is True
    stored = Path(got["artifact"]["uri"].removeprefix("file://"))
    stored.chmod(0o600)
    stored.write_bytes(b"x" * len(proof))
    assert cli.json("artifacts", "verify", unit, code=3)["artifacts"][0]["status"] == "corrupt"


def test_ledger_is_migrated_and_checked(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    first = cli.json("ledger", "migrate", PROVERY_LEDGER_URL=url)
    assert first["before"] is None
    assert cli.json("ledger", "migrate", PROVERY_LEDGER_URL=url)["before"] == first["after"]
    assert cli.json("ledger", "check", PROVERY_LEDGER_URL=url) == {
        "ledger": first["ledger"],
        "schema": first["after"],
        "units": {},
    }


def test_circuits_are_listed(cli: Cli) -> None:
    manifest: dict[str, Json] = {
        "name": "toy",
        "version": "ab" * 32,
        "setup": {"kind": "development", "insecure": True},
    }
    cli.ledger(lambda ledger: ledger.catalog.add("toy", manifest))
    assert "toy" in {c["name"] for c in cli.json("circuits", "list")["circuits"]}
    assert "INSECURE" in cli("circuits", "list").stdout
    assert cli.json("circuits", "show", "toy", "abab")["circuit"]["name"] == "toy"
    assert cli("circuits", "show", "toy", "cd").exit_code == 5


def test_schedule_from_creation_to_deletion(cli: Cli) -> None:
    stream = f"beacon/{name()}"
    made = cli.json("schedule", "create", stream, "--every", "1h30m", "--note", "why")["schedule"]
    assert (made["id"], made["paused"], made["note"]) == (f"follow/{stream}", False, "why")
    assert cli.json("schedule", "pause", stream)["schedule"]["paused"] is True
    assert cli("schedule", "trigger", stream).exit_code == 0
    printed = cli("schedule", "resume", stream, "--print-temporal")
    assert "temporal schedule toggle" in printed.stderr
    backfill = ("--from", "2026-01-01", "--to", "2026-01-01T05:00:00")
    assert cli("schedule", "backfill", stream, *backfill).exit_code == 0
    assert cli.json("schedule", "delete", stream) == {"deleted": f"follow/{stream}"}
    assert cli("schedule", "list").exit_code == 0


def test_backfill_by_ordinals(cli: Cli) -> None:
    stream = f"beacon/{name()}"
    done = cli.json("backfill", stream, "3", "9", "--wait")
    assert (done["workflow_id"], done["result"]) == (f"backfill/{stream}/3-9", {"first": "3", "last": "9"})


# This machine


def test_topology_is_checked(cli: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("server:\n  port: many\n")
    found = cli.json("up", "--check", "--file", str(bad), code=7)
    assert found["ok"] is False
    assert (2, "server.port") in {(p["line"], p["key"]) for p in found["problems"]}


def test_version(cli: Cli) -> None:
    assert set(cli.json("version")) == {"provery", "python", "temporalio", "platform"}


def test_completion_offers_what_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in cli.env.items():
        monkeypatch.setenv(key, value)
    one, _ = cli.proved()
    assert f"queue/prove/{one.unit.key}" in complete_unit("queue/prove/k")
    assert complete_stream("queue") == ["queue/prove"]
    assert complete_system("fa") == ["fake"]
    monkeypatch.setenv("PROVERY_LEDGER_URL", "nonsense")
    assert complete_unit("") == []


def test_interrupted_watch_is_exit_code_130(cli: Cli, program: list[str]) -> None:
    running = subprocess.Popen(
        [*program, "watch", "queue/prove", "--json"],
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert "units" in json.loads(running.stdout.readline())
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in errors


def test_watch_ends_with_its_unit(cli: Cli, program: list[str]) -> None:
    unit = f"queue/prove/{cli.proved()[0].unit.key}"
    assert cli.json("watch", unit)["unit"]["status"] == "done"
    key = name()
    held = cli.json("prove", "fake/one", "-s", f"id={key}", "-s", "mode=hold", "--no-wait")["units"][0][
        "unit"
    ]
    running = subprocess.Popen(
        [*program, "watch", held, "--interval", "0.1"], env=cli.env, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    row = cli.ledger(lambda ledger: ledger.unit("fake", "one", key))
    assert row is not None
    cli.ledger(lambda ledger: ledger.conclude(row.unit, UnitStatus.CANCELLED, reason="enough"))
    out, _ = running.communicate(timeout=20)
    assert running.returncode == 3
    assert "enough" in out


def test_worker_hands_its_arguments_on(cli: Cli, program: list[str]) -> None:
    done = subprocess.run(
        [*program, "worker", "--help"], env=cli.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "python -m workers" in done.stdout


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


# What --print-temporal prints works


def temporal(cli: Cli, printed: str) -> str:
    """Run the printed command with the real program."""
    (line,) = [row for row in printed.splitlines() if row.startswith("temporal: ")]
    words = shlex.split(line.removeprefix("temporal: "))
    done = subprocess.run(
        [str(find("temporal")), *words[1:]],
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_printed_commands_do_the_same(cli: Cli) -> None:
    key = name()
    unit, request = f"fake/one/{key}", ("-s", f"id={key}", "-s", "mode=hold")
    temporal(cli, cli("prove", "fake/one", *request, "--no-wait", "--print-temporal").stderr)
    assert key in temporal(cli, cli("show", unit, "--print-temporal").stderr)
    temporal(cli, cli("list", "fake/one", "--print-temporal").stderr)
    temporal(cli, cli("pause", unit, "--reason", 'it\'s "quoted"', "--print-temporal").stderr)
    assert cli.json("show", unit)["progress"]["notes"] == ['pause it\'s "quoted"'] * 2
    assert "UpdateCompleted" in temporal(cli, cli("explain", unit, "--print-temporal").stderr)
    assert cli("cancel", unit).exit_code == 0
    stream = f"beacon/{name()}"
    created = cli("schedule", "create", stream, "--every", "1h", "--print-temporal")
    cli("schedule", "delete", stream)
    temporal(cli, created.stderr)
    assert cli.json("schedule", "show", stream)["schedule"]["paused"] is False
    for verb in ("pause", "resume", "trigger"):
        temporal(cli, cli("schedule", verb, stream, "--print-temporal").stderr)
    times = ("--from", "2026-01-01", "--to", "2026-01-02")
    temporal(cli, cli("schedule", "backfill", stream, *times, "--print-temporal").stderr)
    temporal(cli, cli("backfill", stream, "1", "2", "--print-temporal").stderr)
    temporal(cli, cli("schedule", "list", "--print-temporal").stderr)
    cli("schedule", "delete", stream)
