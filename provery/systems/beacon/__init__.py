"""The beacon system: sync-committee periods of an Ethereum consensus chain."""

from __future__ import annotations

NAME = "beacon"
