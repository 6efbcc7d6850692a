"""The hotshot system: light-client states of an Espresso network, signed by its validators, proved for L1."""

from __future__ import annotations

NAME = "hotshot"
