"""Stores, circuits, schedules, this machine, and the printed temporal commands."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from provery.cli.options import complete_stream, complete_system, complete_unit
from provery.core.types import Json, UnitStatus
from provery.local.toolchain import find
from tests.unit.cli.conftest import Cli


def name() -> str:
    return f"k{uuid.uuid4().hex[:10]}"


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
