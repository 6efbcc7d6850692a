"""What several nodes say of the same thing, compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provery.systems.beacon.model import Checkpoint, FinalityCheckpoints


@dataclass(frozen=True)
class Disagreement:
    """Nodes that contradict each other: at most one side is right, and an operator should look."""

    about: str
    """``finalised epoch 363777``, ``next committee of period 1600``."""
    claims: Mapping[str, str]
    """Node → what it says, in hex."""

    def __str__(self) -> str:
        """One line for an alarm."""
        return f"beacon nodes disagree on {self.about}: " + ", ".join(
            f"{n} says {c}" for n, c in self.claims.items()
        )


@dataclass(frozen=True)
class Finality:
    """The finalised checkpoint as the nodes have it."""

    finalized: Checkpoint
    nodes: tuple[str, ...]
    """Who says so."""
    stale: tuple[str, ...] = ()
    """Nodes that are more than ``tolerance`` epochs behind."""
    disagreements: tuple[Disagreement, ...] = ()
    failures: Mapping[str, str] | None = None
    """Nodes without a usable answer → why."""


def compare_finality(
    answers: Mapping[str, FinalityCheckpoints], failures: Mapping[str, str], *, tolerance: int
) -> Finality | None:
    """Find the newest finalised checkpoint that most of its witnesses agree on.

    Nodes finalise at slightly different times, so different epochs are no contradiction; different roots of one epoch
    are. Of contradicting roots the one with more nodes behind it wins; with as many on either side, none does.

    Args:
        answers: Node → its checkpoints, in the order of preference. At least one.
        failures: Node → why it has no answer.
        tolerance: Epochs that a node may be behind the newest before it counts as stale.

    Returns:
        What they agree on; None where every epoch is contested evenly, with nothing to choose by.
    """
    disagreements = tuple(contradictions(answers))
    newest = max(answer.finalized.epoch for answer in answers.values())
    stale = tuple(name for name, answer in answers.items() if answer.finalized.epoch < newest - tolerance)
    for epoch in sorted({answer.finalized.epoch for answer in answers.values()}, reverse=True):
        witnesses: dict[bytes, list[str]] = {}
        for name, answer in answers.items():
            if answer.finalized.epoch == epoch:
                witnesses.setdefault(answer.finalized.root, []).append(name)
        ranked = sorted(witnesses.items(), key=lambda item: len(item[1]), reverse=True)
        if len(ranked) == 1 or len(ranked[0][1]) > len(ranked[1][1]):
            root, names = ranked[0]
            return Finality(Checkpoint(epoch, root), tuple(names), stale, disagreements, dict(failures))
    return None


def contradictions(answers: Mapping[str, FinalityCheckpoints]) -> list[Disagreement]:
    """Epochs for which nodes name different finalised roots."""
    epochs: dict[int, dict[str, str]] = {}
    for name, answer in answers.items():
        epochs.setdefault(answer.finalized.epoch, {})[name] = answer.finalized.root.hex()
    return [
        Disagreement(f"finalised epoch {epoch}", claims)
        for epoch, claims in sorted(epochs.items())
        if len(set(claims.values())) > 1
    ]


def compare_committees(period: int, roots: Mapping[str, bytes]) -> Disagreement | None:
    """Whether nodes name different next committees for a period. Their updates may differ otherwise."""
    if len(set(roots.values())) < 2:
        return None
    return Disagreement(
        f"next committee of period {period}", {name: root.hex() for name, root in roots.items()}
    )
