"""``python -m provery.cli``, and the command ``provery``."""

from __future__ import annotations

from typing import NoReturn

from provery.cli.main import app
from provery.client.ending import ended


def run() -> NoReturn:
    """Run a command line and end the process."""
    ended(lambda: int(app(prog_name="provery") or 0))


if __name__ == "__main__":
    run()
