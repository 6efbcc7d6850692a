"""The chain itself: what any one change to a trail does to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provery.core.access import AuditEntry
from provery.core.audit_chain import START, Chain, admit, line_of, next_row, parts_of, row_of, row_text
from provery.core.errors import InvalidInput


@dataclass(frozen=True)
class Kept:
    """A row as it lies in a database or a file."""

    seq: int
    text: str
    previous: str
    hash: str


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entries = st.builds(
    AuditEntry,
    at=st.floats(0, 1e10),
    who=st.text(),
    action=st.text(),
    outcome=st.text(),
    latency_ms=st.floats(0, 1e9),
    digests=st.dictionaries(st.text(), st.text(), max_size=3),
    detail=st.dictionaries(st.text(), json_values, max_size=3),
)


def trail(given: list[AuditEntry]) -> list[Kept]:
    rows, previous = [], START
    for seq, entry in enumerate(given, 1):
        row = next_row(seq, previous, admit(entry))
        rows.append(Kept(seq, row_text(seq, row.entry), row.previous, row.hash))
        previous = row.hash
    return rows


def walk(rows: list[Kept], **more: Any) -> Chain:
    chain = Chain(**more)
    for row in rows:
        if not chain.follow(row.seq, row.text, row.previous, row.hash):
            break
    return chain


ROWS = trail([AuditEntry(float(n), f"key:{n}", "prove", "ok", 1.0, {"request": "ab"}) for n in range(8)])
END = (8, ROWS[-1].hash)


@given(entries)
def test_an_entry_survives_being_kept_and_exported(entry: AuditEntry) -> None:
    kept = admit(entry)
    assert admit(kept) == kept, "what was let in is let in as it is"
    row = next_row(7, START, kept)
    text = row_text(7, kept)
    assert row_of(text) == (7, kept)
    assert text.isascii()
    line = line_of(text, START, row.hash)
    assert "\n" not in line
    assert parts_of(line) == (text, START, row.hash)
    assert json.loads(line) == {"hash": row.hash, "previous": START, "row": json.loads(text)}


def test_the_hash_is_what_the_page_says() -> None:
    # Written out, so that a change of the format, which would break every kept trail, fails here.
    text = (
        '{"action":"prove","at":1700000000.25,"detail":{"code":"WrongShape"},"digests":{"request":"ab"},'
        '"latency_ms":1.5,"outcome":"refused","seq":1,"who":"ip:::1"}'
    )
    entry = AuditEntry(
        1_700_000_000.25, "ip:::1", "prove", "refused", 1.5, {"request": "ab"}, {"code": "WrongShape"}
    )
    row = next_row(1, START, entry)
    assert row_text(1, entry) == text
    assert row.hash == hashlib.sha256(b"0" * 64 + text.encode()).hexdigest()
    assert row.hash == "49430ed06e9086a190d7270ba70a2afc72cd83757ab8678498d4d74133e03a22"
    line = line_of(text, row.previous, row.hash)
    assert (line[9:73], line[87:151], line[159:-1]) == (row.hash, row.previous, text)


@given(
    st.sampled_from(["remove", "swap", "repeat", "cut", "text", "hash", "previous", "number", "forge"]),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_any_one_change_is_noticed_where_it_is(what: str, at: int, other: int) -> None:
    rows = list(ROWS)
    first_bad = at + 1
    if what == "remove":
        del rows[at]
    elif what == "swap":
        if at == other:
            return
        rows[at], rows[other] = rows[other], rows[at]
        first_bad = min(at, other) + 1
    elif what == "repeat":
        rows.insert(at, rows[at])
        first_bad = at + 2
    elif what == "cut":
        del rows[at:]
    elif what == "text":
        rows[at] = replace(rows[at], text=rows[at].text.replace('"ok"', '"no"'))
    elif what == "hash":
        rows[at] = replace(rows[at], hash="ab" * 32)
    elif what == "previous":
        rows[at] = replace(rows[at], previous="ab" * 32)
    elif what == "number":
        rows[at] = replace(rows[at], seq=rows[at].seq + 1)
    else:  # everything from there on written anew
        rows[at:] = trail([AuditEntry(0.0, "x", "x", "x", 0.0)] * 8)[at:]
    chain = walk(rows)
    fault = chain.end(*END)
    assert fault is not None
    assert chain.count == first_bad - 1 or what == "forge"
    assert fault.seq == first_bad or what == "forge"


def test_a_whole_trail_holds_and_a_noted_head_is_looked_for() -> None:
    chain = walk(ROWS, expected_head=ROWS[3].hash.upper())
    assert chain.end(*END) is None
    assert (chain.count, chain.head) == (8, ROWS[-1].hash)
    for noted in ("", START, "0x" + ROWS[0].hash):
        assert walk(ROWS, expected_head=noted).end(*END) is None
    gone = walk(ROWS[:4], expected_head=ROWS[5].hash)
    fault = gone.end()
    assert fault is not None
    assert fault.seq == 5


def test_a_file_may_begin_later_and_only_then() -> None:
    assert walk(ROWS[3:]).fault is not None
    part = walk(ROWS[3:], whole=False)
    assert part.end() is None
    assert (part.count, part.seq) == (5, 8)
    assert walk(ROWS[3:], whole=False, expected_head=ROWS[2].hash).end() is None, "it says what it follows"
    assert walk(ROWS[3:], whole=False, expected_head=ROWS[1].hash).end() is not None
    assert walk(ROWS[3:5] + ROWS[6:], whole=False).fault is not None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        '{"hash":"ab","previous":"cd","row":{}}',
        line_of("{}", START, START) + " ",
        line_of("{}", START, START).replace(":", ": ", 1),
        line_of("[]", START, START),
        "x" * 10_000,
    ],
)
def test_other_lines_are_none(line: str) -> None:
    with pytest.raises(InvalidInput, match="not a line"):
        parts_of(line)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"seq":true}', "[" * 100_000, '{"seq":"1"}'])
def test_other_rows_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a row"):
        row_of(text)
