"""Errors of the hotshot system, under the names that its operators know from the runbook."""

from __future__ import annotations

from dataclasses import fields

from provery.core.errors import ConfigurationError, InvalidInput, SourceUnavailable, TransientError
from provery.systems.hotshot.model import StakeTableState


class InvalidState(InvalidInput):
    """A state, its signatures or its stake table cannot be proved: most often too little stake has signed."""


class StakeTableMismatch(InvalidInput):
    """The commitment to a stake table is not the one that was expected."""

    columns: tuple[str, ...] = ()
    """Those that differ, of ``bls``, ``schnorr``, ``amount`` and ``threshold``."""

    @classmethod
    def between(cls, found: StakeTableState, expected: StakeTableState) -> StakeTableMismatch | None:
        """What is wrong between a commitment and the expected one; None where they are the same."""
        columns = tuple(f.name for f in fields(found) if getattr(found, f.name) != getattr(expected, f.name))
        if not columns:
            return None
        error = cls(
            f"the stake table does not match its commitment in {', '.join(columns)}",
            value=", ".join(f"{name} {getattr(found, name):#x}" for name in columns),
            expected=", ".join(f"{name} {getattr(expected, name):#x}" for name in columns),
            action="check the stake table capacity, and that sequencer and contract are of the same network",
        )
        error.columns = columns
        return error


class ContractError(SourceUnavailable):
    """The light-client contract could not be read, or is not what is configured."""


class RelayServerError(SourceUnavailable):
    """No relay server gave a usable answer."""


class SequencerCommunicationError(SourceUnavailable):
    """No sequencer gave a usable answer."""


class GasPriceTooHigh(TransientError):
    """Gas costs more than the operator allows; nothing is sent until it costs less."""


class VerifierMismatch(ConfigurationError):
    """The light client checks proofs with another verifying key than they would be made with."""


class EpochAlreadyStarted(ConfigurationError):
    """The contract has no epochs and the network has: a contract of version 1 takes no more states."""
