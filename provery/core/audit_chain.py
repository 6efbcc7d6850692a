"""The audit trail's chain: what is hashed, how an exported line looks, and what is wrong with a trail.

The hash of a row is SHA-256 over the previous row's hash (64 hexadecimal digits, ASCII; zeros before the first row)
followed by the row's canonical JSON. An exported line holds exactly those bytes, so that any language, or
``sha256sum``, can check it without agreeing with us on how a number is written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping

from provery.core.access import AuditEntry, AuditFault, AuditRow
from provery.core.errors import InvalidInput, clip
from provery.core.redact import redact
from provery.core.types import Json, canonical_json

START = "0" * 64
"""What the first row follows."""
LONGEST_ROW = 256 * 1024
"""Characters of a row's JSON; an exported line is 160 longer."""
_LONGEST_NAME, _LONGEST_DETAIL, _DEEPEST = 200, 16 * 1024, 8
_LINE = re.compile(r'\{"hash":"([0-9a-f]{64})","previous":"([0-9a-f]{64})","row":(\{.*\})\}')
_FIELDS = frozenset({"seq", "at", "who", "action", "outcome", "latency_ms", "digests", "detail"})


def admit(entry: AuditEntry) -> AuditEntry:
    """An entry as it may be kept: bounded, without secrets, of plain JSON values.

    Raises:
        InvalidInput: a number is not finite.
    """
    for name, value in (("at", entry.at), ("latency_ms", entry.latency_ms)):
        if not math.isfinite(value):
            raise InvalidInput(f"an audit entry's {name} is no number", value=value)
    detail = {_text(name): _plain(value, 0) for name, value in entry.detail.items()}
    size = len(canonical_json(detail))
    return AuditEntry(
        at=float(entry.at),
        who=_text(entry.who),
        action=_text(entry.action),
        outcome=_text(entry.outcome),
        latency_ms=float(entry.latency_ms),
        digests={_text(n): _text(d) for n, d in list(entry.digests.items())[:16]},
        detail=detail if size <= _LONGEST_DETAIL else {"omitted": f"{size} bytes"},
    )


def row_text(seq: int, entry: AuditEntry) -> str:
    """A row's canonical JSON: sorted keys, no spaces, ASCII, numbers in the shortest form that reads back the same."""
    return canonical_json({"seq": seq, **vars(entry)}).decode()


def row_hash(previous: str, text: str) -> str:
    """The hash of a row."""
    return hashlib.sha256((previous + text).encode()).hexdigest()


def next_row(seq: int, previous: str, entry: AuditEntry) -> AuditRow:
    """The row of an entry that ``admit`` let in, behind row ``seq - 1``."""
    return AuditRow(seq, entry, previous, row_hash(previous, row_text(seq, entry)))


def row_of(text: str) -> tuple[int, AuditEntry]:
    """Number and entry of a row's JSON.

    Raises:
        InvalidInput: it is none.
    """
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict) or set(raw) != _FIELDS or type(raw["seq"]) is not int:
            raise ValueError
        seq = raw.pop("seq")
        return seq, AuditEntry(**raw)
    except (ValueError, RecursionError):
        raise InvalidInput("not a row of an audit trail", value=text) from None


def line_of(text: str, previous: str, hash_: str) -> str:
    """A row as it is exported, without the line's end."""
    return f'{{"hash":"{hash_}","previous":"{previous}","row":{text}}}'


def parts_of(line: str) -> tuple[str, str, str]:
    """JSON, previous hash and hash of an exported line.

    Raises:
        InvalidInput: it is none.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise InvalidInput(
            "not a line of an exported audit trail",
            value=line,
            expected='{"hash":"…","previous":"…","row":{…}}, without a space, as it was written',
        )
    hash_, previous, text = found.groups()
    return text, previous, hash_


class Chain:
    """Follows a trail row by row, in constant memory.

    Args:
        expected_head: A hash noted earlier, which must come by.
        whole: Whether the trail must begin with row 1; a file may begin later.
    """

    def __init__(self, expected_head: str = "", *, whole: bool = True) -> None:
        self.count = 0
        """Rows that hold."""
        self.seq = 0
        """Number of the last one; before the first row, 0."""
        self.head = START
        """Its hash."""
        self.fault: AuditFault | None = None
        self._expected = expected_head.strip().lower().removeprefix("0x")
        if self._expected and not re.fullmatch(r"[0-9a-f]{64}", self._expected):
            raise InvalidInput("not a head", value=expected_head, expected="64 hexadecimal digits")
        self._seen = self._expected in ("", START)
        self._anywhere = not whole

    def follow(self, seq: int | None, text: str, previous: str, hash_: str) -> bool:
        """Take the next row; False where it does not fit, with ``fault`` set.

        Args:
            seq: The number it is kept under; None where only its JSON says.
            text: Its JSON.
            previous: The hash it claims to follow.
            hash_: The hash it claims to have.
        """
        try:
            inside, _ = row_of(text)
        except InvalidInput as error:
            return self._wrong(self.seq + 1 if seq is None else seq, str(error))
        seq = inside if seq is None else seq
        if self._anywhere and self.count == 0:
            self.seq, self.head = seq - 1, previous
            self._seen = self._seen or previous == self._expected
        if seq != self.seq + 1:
            what = (
                f"missing: row {seq} follows" if seq > self.seq else f"row {seq} comes after row {self.seq}"
            )
            return self._wrong(self.seq + 1, what)
        if inside != seq:
            return self._wrong(seq, f"changed: it says that it is row {inside}")
        if previous != self.head:
            return self._wrong(
                seq, f"does not follow row {seq - 1}: previous {previous}, expected {self.head}"
            )
        if row_hash(previous, text) != hash_:
            return self._wrong(seq, f"changed: its hash is {row_hash(previous, text)}, recorded is {hash_}")
        self.count, self.seq, self.head = self.count + 1, seq, hash_
        self._seen = self._seen or hash_ == self._expected
        return True

    def end(self, seq: int | None = None, head: str = "") -> AuditFault | None:
        """Close the walk; the first fault.

        Args:
            seq: The number of the last row as recorded beside the trail, if it is.
            head: That row's hash.
        """
        if self.fault is None and seq is not None and (seq, head) != (self.seq, self.head):
            if seq > self.seq:
                self._wrong(self.seq + 1, f"missing: the trail should end with row {seq}")
            else:
                self._wrong(self.seq, f"the trail should end with row {seq} and hash {head}")
        if self.fault is None and not self._seen:
            self._wrong(
                self.seq + 1,
                f"no row has the expected head {self._expected}: rows were cut off, or the trail was written anew",
            )
        return self.fault

    def refuse(self, what: str) -> None:
        """Say that what comes next is no row at all."""
        self._wrong(self.seq + 1, what)

    def _wrong(self, seq: int, what: str) -> bool:
        self.fault = AuditFault(seq, what)
        return False


def _text(value: object) -> str:
    return clip(redact(str(value)), _LONGEST_NAME)


def _plain(value: object, depth: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else clip(hex(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {_text(name): _plain(inner, depth + 1) for name, inner in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    return clip(redact(str(value)))
