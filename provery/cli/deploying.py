"""What the commands that put contracts on a chain have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from provery import registry
from provery.cli.output import table
from provery.core.errors import ConfigurationError
from provery.core.factory import Deployed


def part(system: str, name: str, env: Mapping[str, str]) -> Any:
    """A module of a system's slice.

    Raises:
        ConfigurationError: the slice has none of that name.
    """
    found = registry.part(system, name, env)
    if found is None:
        raise ConfigurationError("the system lacks a part", value=f"{system}.{name}")
    return found


def told(one: Deployed) -> dict[str, Any]:
    """A contract as JSON; money in wei, as a string."""
    return {
        "name": one.name,
        "address": one.address,
        "found": one.found,
        "transaction": one.transaction,
        "gas": one.gas,
        "fee": str(one.fee),
    }


def overview(contracts: Sequence[Mapping[str, Any]]) -> Table:
    """Contracts of :func:`told` as a table."""
    rows = [
        (c["name"], c["address"], "found" if c["found"] else c["transaction"], c["gas"] or "")
        for c in contracts
    ]
    return table("", ("contract", "address", "transaction", "gas"), rows)
