"""A progress bar for commands that work for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provery.cli.output import console
from provery.core.ports import Progress as Report
from provery.local import progress


@contextmanager
def bar(title: str, *, quiet: bool = False) -> Iterator[Report]:
    """Show how far something has come, on standard error.

    Args:
        title: What is being done.
        quiet: Show nothing.

    Yields:
        What to call with phase, done and total.
    """
    if quiet:
        yield lambda step, done, total: None
        return
    with progress.bar(title, console(stderr=True)) as move:
        yield move
