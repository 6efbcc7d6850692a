"""Keep secrets out of everything that people read: error texts, logs, ledger rows, heartbeats.

Two nets, because either alone has holes: patterns catch secrets nobody told us about, and values learned from the
environment catch secrets that look like ordinary words. Digests and public hex (64 characters, like a private key)
stay readable: they are only hidden behind a label that says they are private.
"""

from __future__ import annotations

import logging
import re
import threading
import traceback
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
SHORTEST_SECRET = 6
"""Characters; shorter environment values (``k``, ``test``) would blank out innocent text."""
LONGEST_TEXT = 256 * 1024
"""Characters looked at; a longer text is cut first, so that a hostile one cannot occupy the patterns."""

_SENSITIVE = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|auth[_-]?key"
    r"|credentials?|private[_-]?key|signing[_-]?key|mnemonic|seed[_-]?phrase)"
)
_SECRET_NAME = re.compile(rf"(?:^|[_-]){_SENSITIVE}(?:$|[_-]|s$)", re.IGNORECASE)
_URL_NAME = re.compile(r"(?:_|^)(?:URL|URI|DSN|ENDPOINT|RPC)$", re.IGNORECASE)
_NOT_SECRET_NAME = re.compile(r"(?:_PATH|_FILE|_DIR|_LIMIT|_COUNT)$|^(?:OLD)?PWD$", re.IGNORECASE)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN ([A-Z0-9 ]{3,40})-----.*?(?:-----END \1-----|\Z)", re.DOTALL),
        r"-----BEGIN \1----- " + HIDDEN,
    ),
    # user:password@ and, with nothing before the colon or no colon at all, the whole user information
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)([^\s:/?#@'\"]+):[^\s/?#'\"]*@"), rf"\1\2:{HIDDEN}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://):?[^\s:/?#@'\"]+@"), rf"\1{HIDDEN}@"),
    # keys in the path of hosted RPC endpoints: …/v3/<key>
    (re.compile(r"(https?://[^\s/?#]+/v\d/)[A-Za-z0-9_-]{16,}"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)\b(X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token))=[^&\s\"']+"),
        rf"\1={HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|xox[abpr]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})"),
        HIDDEN,
    ),
    # keys of our API: what names a key stays, its secret goes
    (re.compile(r"(?i)pk_([0-9a-f]{16})_\w+"), rf"pk_\1_{HIDDEN}"),
    # a labelled private scalar, with a few words between: "private key of the sender is 0x…"
    (
        re.compile(
            r"(?i)\b((?:private|secret|signing)[ _-]?key\b[^\n]{0,40}?|--private-key[ =])(?:0x)?[0-9a-f]{64}\b"
        ),
        rf"\1{HIDDEN}",
    ),
    # name=value, "name": "value", name: value. What precedes the word in a name is left out of the pattern: it would
    # be searched from every character on.
    (
        re.compile(rf"(?i)({_SENSITIVE})(\\?[\"']?\s{{0,4}}[:=]\s{{0,4}})(\\?[\"'])(.{{0,4096}}?)\3"),
        rf"\1\2\3{HIDDEN}\3",
    ),
    (
        re.compile(rf"(?i)({_SENSITIVE})(\\?[\"']?\s{{0,4}}[:=]\s{{0,4}})(?![\"'\\]|\*\*\*)[^\s,;&\"'}}\]]+"),
        rf"\1\2{HIDDEN}",
    ),
)

_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Redactor:
    """Hides secrets in text. One shared instance serves the process: :data:`redactor`."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._learned: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def learn(self, env: Mapping[str, str]) -> None:
        """Remember the values of variables whose names say that they are secret, and passwords inside URLs."""
        found: set[str] = set()
        for name, value in env.items():
            if _SECRET_NAME.search(name) and not _NOT_SECRET_NAME.search(name):
                found.add(value.strip())
            elif _URL_NAME.search(name):
                found.update(_passwords(value))
        self.learn_values(found)

    def learn_values(self, values: set[str] | frozenset[str]) -> None:
        """Remember secrets themselves."""
        with self._lock:
            known = self._values | {v for v in values if len(v) >= SHORTEST_SECRET}
            if known == self._values:
                return
            self._values = known
            # Longest first: a secret that contains another must not leave its rest behind.
            self._learned = re.compile("|".join(re.escape(v) for v in sorted(known, key=len, reverse=True)))

    def __call__(self, text: str) -> str:
        """The text with every secret replaced by ``***``."""
        if len(text) > LONGEST_TEXT:
            half = LONGEST_TEXT // 2
            text = f"{text[:half]} … {text[-half:]}"
        if self._learned is not None:
            text = self._learned.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


redactor = Redactor()
"""The process's redactor; entry points teach it the environment with ``redactor.learn(os.environ)``."""


def redact(text: object) -> str:
    """Any value as text without secrets."""
    return redactor(str(text))


class RedactingFilter(logging.Filter):
    """Put this on handlers: every record that passes leaves without secrets, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; never drops one."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # wrong number of arguments: still worth logging
            message = f"{record.msg} {record.args!r}"
        record.msg = redactor(message)
        record.args = None
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            # Formatters print exc_text when it is set, so the raw traceback is never rendered again.
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            record.exc_text = redactor(record.exc_text)
        if record.stack_info:
            record.stack_info = redactor(record.stack_info)
        for name, value in vars(record).items():
            if name not in _STANDARD_ATTRIBUTES and isinstance(value, str):
                setattr(record, name, redactor(value))
        return True


def _passwords(value: str) -> set[str]:
    try:
        parts = urlsplit(value)
        password = parts.password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
