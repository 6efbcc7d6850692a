"""The provers of inferences, by name: the one place that builds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provery.core.models import ModelProver
from provery.provers.model_ezkl import EzklModels
from provery.provers.model_native import NativeModels


def build_model_provers(env: Mapping[str, str], home: Path, slots: int) -> dict[str, ModelProver]:
    """Every prover of inferences that is installed. None starts a child before its first call.

    Args:
        env: The process environment; see ``docs/configuration.md``.
        home: Working directory of the installation.
        slots: Proofs at a time, of each prover.
    """
    native = NativeModels(env, home, slots)
    provers: dict[str, ModelProver] = {native.name: native}
    if EzklModels.installed():
        ezkl = EzklModels(env, home, slots)
        provers[ezkl.name] = ezkl
    return provers
