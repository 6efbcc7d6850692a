"""Errors of the hotshot system, under the names that its operators know from the runbook."""

from __future__ import annotations

from collections.abc import Iterable

from provery.core.errors import ConfigurationError, InvalidInput, SourceUnavailable, TransientError


class InvalidState(InvalidInput):
    """A state, its signatures or its stake table cannot be proved: most often too little stake has signed."""


class StakeTableMismatch(InvalidInput):
    """The commitment to a stake table is not the one that was expected.

    Args:
        columns: The columns that differ, of ``bls``, ``schnorr``, ``amount`` and ``threshold``.
        value: What the stake table gives.
        expected: What it was compared with.
    """

    def __init__(self, columns: Iterable[str], *, value: object, expected: str) -> None:
        self.columns = tuple(columns)
        super().__init__(
            f"the stake table does not match its commitment in {', '.join(self.columns)}",
            value=value,
            expected=expected,
            action="check the stake table capacity and that sequencer and contract are of the same network",
        )


class ContractError(SourceUnavailable):
    """The light-client contract could not be read, or is not what is configured."""


class RelayServerError(SourceUnavailable):
    """No relay server gave a usable answer."""


class SequencerCommunicationError(SourceUnavailable):
    """No sequencer gave a usable answer."""


class GasPriceTooHigh(TransientError):
    """Gas costs more than the operator allows; nothing is sent until it costs less."""


class EpochAlreadyStarted(ConfigurationError):
    """The contract has no epochs and the network has: a contract of version 1 takes no more states."""
