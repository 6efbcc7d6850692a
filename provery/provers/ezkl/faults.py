"""What goes wrong in the child, as kinds of the child protocol (``provery/provers/failures.py``)."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import deque
from pathlib import Path

_UNIMPLEMENTED = re.compile(r"Unimplemented\((\w+)\)")
_UNSUPPORTED = re.compile(
    r"unsupported (?:method was called on node \d+ \(([^)]{1,80})\)|op(?:erator)?:? ?([\w ]{1,60}))", re.I
)
_RANGE = re.compile(
    r"too large to be represented|out of range|exceeds? .{0,40}range|lookup .{0,40}(?:range|input)", re.I
)
_READ = 2**20


class Refused(Exception):
    """An answer other than a result.

    Args:
        kind: Of the protocol.
        message: What happened. Never a value of an input: they may be secret.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Said(logging.Handler):
    """Keeps what ezkl logs: the reason of an error is often only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=32)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage()[:500])

    def text(self) -> str:
        """All of them."""
        return "\n".join(self.lines)


said = Said()


def of_ezkl(error: BaseException) -> bool:
    """Whether it is an error or a panic of ezkl; a panic is no Exception."""
    return type(error) is RuntimeError or type(error).__name__ == "PanicException"


def refused_model(error: BaseException) -> Refused:
    """An error of ezkl while it reads or compiles a model."""
    told = f"{error}\n{said.text()}"
    found = _UNIMPLEMENTED.search(told)
    if found:
        return Refused("unsupported", f"ezkl cannot prove the operator {found[1]}")
    found = _UNSUPPORTED.search(told)
    if found:
        return Refused("unsupported", f"ezkl cannot prove the operator {(found[1] or found[2]).strip()}")
    return Refused("unsupported", f"ezkl cannot prove the model: {error}")


def refused_inputs(error: BaseException) -> Refused:
    """An error of ezkl while it computes a witness."""
    if _RANGE.search(f"{error}\n{said.text()}"):
        return Refused(
            "invalid_input",
            "the inputs lead to numbers outside the range of the model's circuit; calibrate with inputs of that size",
        )
    return Refused("invalid_input", "ezkl cannot compute the model on these inputs")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            hashed.update(chunk)
    return hashed.hexdigest()


def check_file(path: Path, expected: str, what: str) -> None:
    """Check that a file is the pinned one.

    Raises:
        Refused: it is another, or cannot be read.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise Refused("corrupt_artifact", f"cannot read the {what}: {error.strerror}") from None
    if found != expected:
        raise Refused(
            "invalid_key", f"the {what} is not the pinned one: its digest is {found}, expected {expected}"
        )
