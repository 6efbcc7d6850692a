"""``provery keys`` and ``provery audit``."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from provery.core.redact import redact
from tests.unit.cli.conftest import Cli

SECRET = re.compile(r"pk_([0-9a-f]{16})_[a-z2-7]{52}")


class Alone:
    """The command line with a ledger of its own."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self._cli, self._url = cli, f"sqlite:///{self.path}"

    def __call__(self, *args: str) -> Any:
        return self._cli(*args, PROVERY_LEDGER_URL=self._url)

    def json(self, *args: str, code: int = 0) -> Any:
        return self._cli.json(*args, code=code, PROVERY_LEDGER_URL=self._url)

    def execute(self, statement: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute(statement)
        connection.close()


@pytest.fixture
def alone(cli: Cli, tmp_path: Path) -> Alone:
    return Alone(cli, tmp_path)


def test_a_secret_is_shown_once_and_nowhere_else(alone: Alone) -> None:
    made = alone(
        "keys", "add", "alice", "--scope", "prove", "--scope", "read", "--weight", "2", "--per-minute", "60"
    )
    assert made.exit_code == 0
    secret = made.stdout.strip()
    found = SECRET.fullmatch(secret)
    assert found, "standard output is the secret and nothing else"
    assert secret not in made.stderr
    second = alone.json("keys", "add", "bob")
    assert SECRET.fullmatch(second["secret"])
    assert second["key"]["scopes"] == ["prove", "verify", "read"]
    assert second["key"]["revoked_at"] == ""
    one, two = alone.json("keys", "list")["keys"]
    assert (one["id"], one["name"], one["scopes"], one["weight"], one["per_minute"]) == (
        found[1], "alice", ["prove", "read"], 2.0, 60.0,
    )  # fmt: skip
    assert two == second["key"]
    # No line of the ledger, the list or the trail says the secret.
    told = alone("keys", "list").output + alone("audit", "export").output
    assert secret.rpartition("_")[2] not in told
    assert secret.encode() not in alone.path.read_bytes()
    assert redact(f"key {secret} refused") == f"key pk_{found[1]}_*** refused"
    record = logging.makeLogRecord({"msg": "asked with %s", "args": (secret,)})
    assert "***" in redact(record.getMessage())


def test_a_key_is_revoked(alone: Alone) -> None:
    key = alone.json("keys", "add", "alice")["key"]["id"]
    for _ in range(2):
        assert alone.json("keys", "revoke", key) == {"id": key, "revoked": True}
    assert alone.json("keys", "list")["keys"][0]["revoked_at"]
    assert alone.json("keys", "revoke", "0" * 16, code=5)["error"]["kind"] == "NotFound"
    actions = [json.loads(line)["row"]["action"] for line in alone("audit", "export").stdout.splitlines()]
    assert actions == ["keys.add", "keys.revoke", "keys.revoke"]


@pytest.mark.parametrize("wrong", [["--scope", "root"], ["--weight", "0"], ["--per-minute", "-1"]])
def test_nonsense_makes_no_key(alone: Alone, wrong: list[str]) -> None:
    assert alone.json("keys", "add", "alice", *wrong, code=4)["error"]["kind"] == "InvalidInput"
    assert alone("keys", "list").output.strip() == "no keys"


def test_a_trail_is_verified_and_exported(alone: Alone, tmp_path: Path) -> None:
    assert alone.json("audit", "verify")["rows"] == 0
    assert "no rows" in alone("audit", "export").stderr
    for name in "abcde":
        alone.json("keys", "add", name)
    good = alone.json("audit", "verify")
    assert (good["rows"], good["first"], good["last"], good["ok"], good["fault"]) == (5, 1, 5, True, None)
    assert alone.json("audit", "verify", "--head", good["head"])["ok"] is True
    told = alone("audit", "verify")
    assert told.exit_code == 0
    assert told.stdout.strip() == f"5 rows hold, to row 5; head {good['head']}"
    file, later = tmp_path / "all.jsonl", tmp_path / "later.jsonl"
    assert alone.json("audit", "export", "--out", str(file)) == {
        "path": str(file), "rows": 5, "last": 5, "head": good["head"],
    }  # fmt: skip
    assert file.read_text() == alone("audit", "export").stdout
    assert alone.json("audit", "export", "--after", "3", "--out", str(later))["rows"] == 2
    part = alone.json("audit", "verify", "--file", str(later), "--head", good["head"])
    assert (part["rows"], part["first"], part["last"], part["ok"]) == (2, 4, 5, True)
    assert "rows 1 to 3 are not in the file" in alone("audit", "verify", "--file", str(later)).stderr
    assert alone.json("audit", "export", code=4)["error"]["kind"] == "InvalidInput"
    assert list(tmp_path.glob("*.part")) == []


def test_a_changed_trail_is_told_with_its_first_bad_row(alone: Alone) -> None:
    for name in "abcde":
        alone.json("keys", "add", name)
    head = alone.json("audit", "verify")["head"]
    assert alone.json("audit", "verify", "--head", "ab" * 32, code=3)["fault"]["seq"] == 6
    assert alone.json("audit", "verify", "--head", "zz", code=4)["error"]["kind"] == "InvalidInput"
    alone.execute("DELETE FROM audit_trail WHERE seq = 3")
    bad = alone.json("audit", "verify", "--head", head, code=3)
    assert (bad["rows"], bad["ok"], bad["fault"]["seq"], bad["fault"]["line"]) == (2, False, 3, None)
    told = alone("audit", "verify")
    assert told.exit_code == 3
    assert "row 3: missing: row 4 follows" in told.stderr
    exported = alone("audit", "export")
    assert exported.exit_code == 3, "what does not hold is exported all the same, and said"
    assert len(exported.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (lambda lines: [lines[0], *lines[2:]], 2, "missing: row 3 follows"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 2, "comes after row 2"),
        (lambda lines: [lines[0], lines[1].replace('"ok"', '"no"'), *lines[2:]], 2, "changed: its hash"),
        (lambda lines: [lines[0], lines[1].replace(":", ": "), *lines[2:]], 2, "not a line"),
        (lambda lines: [*lines, "x" * 2_000_000], 6, "not a line"),
        (lambda lines: [*lines, "\x00\ufffd"], 6, "not a line"),
        (lambda lines: lines[:4], 4, "no row has the expected head"),
        (lambda lines: [], 0, "no row has the expected head"),
    ],
)
def test_a_changed_file_is_told_with_its_first_bad_line(
    alone: Alone, tmp_path: Path, change: Any, line: int, what: str
) -> None:
    for name in "abcde":
        alone.json("keys", "add", name)
    file = tmp_path / "trail.jsonl"
    head = alone.json("audit", "export", "--out", str(file))["head"]
    file.write_text("".join(f"{text}\n" for text in change(file.read_text().splitlines())))
    bad = alone.json("audit", "verify", "--file", str(file), "--head", head, code=3)
    assert bad["fault"]["line"] == line
    assert what in bad["fault"]["what"]
