"""What the API needs of the rest of the system: given to it, so that it knows neither stages nor provers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from provery.core.access import Access
from provery.core.models import ModelRegistry, ModelVersion, Shown
from provery.core.ports import Ledger, Units
from provery.core.types import UnitOutcome, Work
from provery.systems.zkml.model import Answer


class MakeWork(Protocol):
    """Makes the unit of an inference, named ``proof-<digest>``."""

    async def __call__(
        self,
        version: ModelVersion,
        values: Sequence[float],
        *,
        attest: str,
        fairness: str,
        weight: float,
        owner: str,
    ) -> Work:
        """Make it.

        Raises:
            InvalidInput: the model does not take these inputs.
        """
        ...


@dataclass(frozen=True)
class Backend:
    """The rest of the system."""

    stream: str
    registry: ModelRegistry
    access: Access
    starter: Units
    ledger: Ledger
    digest: Callable[[ModelVersion, Sequence[float], str, str], str]
    """Digest of a request: of model version, inputs, ``attest``, and who asks, where that counts. Pure."""
    work: MakeWork
    answer: Callable[[UnitOutcome], Awaitable[Answer]]
    """The verified inference of a unit that is done."""
    check: Callable[[ModelVersion, bytes, str], Awaitable[Shown]]
    """Verify a proof with its ``instance.json``; raises ``ProofRejected``."""
    missing: Callable[[], Mapping[str, str]]
    """Configured models that cannot be asked for yet, with the reason."""
