"""What the network does wrong on request."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """Faults that are in force; the defaults are a network without any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    invalid_signatures: int = Field(default=0, ge=0)
    """Signers of every state whose signature does not verify."""
    unknown_signers: int = Field(default=0, ge=0)
    """Signatures of every state by keys that are in no stake table."""
    weak_bundles: bool = False
    """The relay server calls states ready that too little stake has signed."""
    weak_certificates: bool = False
    """Too little stake has signed the certificates."""
    relay_lag: int = Field(default=0, ge=0)
    """Blocks that the relay server is behind."""
    relay_status: int = Field(default=0, ge=0, le=599)
    """Status that the relay server answers everything with; 0 for none."""
    sequencer_status: int = Field(default=0, ge=0, le=599)
    """The same of the sequencer."""
    missing_certificates: tuple[int, ...] = ()
    """Epochs whose certificate the sequencer does not have."""
    wrong_stake_table: bool = False
    """The sequencer's stake tables have one stake more in their first row."""
    delay_s: float = Field(default=0.0, ge=0, le=600)
    """Seconds before every answer."""


NONE = Faults()
