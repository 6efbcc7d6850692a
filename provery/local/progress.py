"""A progress bar for what works for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from provery.core.ports import Progress as Report


@contextmanager
def bar(title: str, out: Console) -> Iterator[Report]:
    """Show how far something has come; where ``out`` is no terminal, a line for each new phase.

    Args:
        title: What is being done.
        out: Where to show it.

    Yields:
        What to call with phase, done and total.
    """
    if not out.is_terminal:
        phases: list[str] = []

        def line(step: str, done: float, total: float) -> None:
            if step and step not in phases[-1:]:
                phases.append(step)
                out.print(f"{title}: {step}", markup=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=out, transient=True) as shown:
        task = shown.add_task(title, total=1.0)

        def move(step: str, done: float, total: float) -> None:
            shown.update(task, description=f"{title}: {step}", completed=done / total if total else 0.0)

        yield move
