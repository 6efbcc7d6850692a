"""Logs of a worker: one JSON object per line, secrets redacted."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping

from provery.core.errors import ConfigurationError
from provery.core.redact import RedactingFilter

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING,
          "error": logging.ERROR}  # fmt: skip
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON line, with whatever ``extra`` it carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(env: Mapping[str, str]) -> None:
    """Log to standard error at ``LOG_LEVEL``.

    Raises:
        ConfigurationError: the level is none.
    """
    name = (env.get("LOG_LEVEL") or "info").lower()
    if name not in LEVELS:
        raise ConfigurationError("LOG_LEVEL is no level", value=name, expected=", ".join(sorted(LEVELS)))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=LEVELS[name], handlers=[handler], force=True)
    for noisy in ("httpx", "botocore", "urllib3", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, LEVELS[name]))
