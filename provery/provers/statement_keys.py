"""Keys of the native prover's own circuits: where they are, which may be used, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidKey, UnknownCircuit
from provery.core.types import Json

GROTH16 = "groth16"
PLONK = "plonk"
SETUP_HINT = "`provery circuits setup {name}` makes development keys"
CEREMONY_HINT = "take keys from a ceremony (docs/statement-circuits.md), or set PROVERY_ALLOW_INSECURE_KEYS=1"
SRS_HINT = (
    "`provery circuits srs import FILE --digest HEX` takes the powers of tau of a ceremony, then"
    " `provery circuits setup {name}` makes the key (docs/statement-circuits.md);"
    " or set PROVERY_ALLOW_INSECURE_KEYS=1"
)


@dataclass(frozen=True)
class KeyPolicy:
    """Where keys are kept and which are good enough."""

    directory: Path
    """``<circuit id>/<set-up id>/{cs,pk,vk,manifest.json}``."""
    secure: bool
    """Refuse keys that are marked insecure."""
    automatic: bool
    """Make development keys where there are none."""

    @classmethod
    def of(cls, env: Mapping[str, str], home: Path) -> KeyPolicy:
        """Read ``PROVERY_STATEMENT_KEYS``, ``PROVERY_ENV`` and ``PROVERY_ALLOW_INSECURE_KEYS``.

        Args:
            env: The environment.
            home: Working directory of the installation; keys are in its ``circuits`` by default.
        """
        production = env.get("PROVERY_ENV") == "production"
        return cls(
            Path(env.get("PROVERY_STATEMENT_KEYS") or home / "circuits").absolute(),
            production and env.get("PROVERY_ALLOW_INSECURE_KEYS") != "1",
            not production,
        )


@dataclass(frozen=True)
class StatementCircuit:
    """A circuit of the native prover and what is known of its keys."""

    name: str
    id: str
    """SHA-256 of the compiled constraint system."""
    about: str
    constraints: int
    current: str
    """Digest of the verifying key in use, which names its set-up; empty without keys."""
    setups: tuple[Mapping[str, Json], ...]
    """Manifests of all set-ups."""
    problem: str
    """Why keys that are there cannot be used; empty when they can."""
    scheme: str = GROTH16
    """The proof system: ``groth16`` or ``plonk``."""

    @property
    def secure_hint(self) -> str:
        """How to come by keys that production takes."""
        return SRS_HINT.format(name=self.name) if self.scheme == PLONK else CEREMONY_HINT

    @property
    def insecure(self) -> bool:
        """Whether whoever made the current key can forge proofs."""
        return _insecure(self.manifest(self.current)) if self.current else False

    @property
    def kind(self) -> str:
        """How the current key came about; empty without keys."""
        setup = self.manifest(self.current).get("setup") if self.current else None
        return str(setup.get("kind")) if isinstance(setup, dict) else ""

    def manifest(self, setup: str) -> Mapping[str, Json]:
        """What is recorded of one set-up; empty if it is not there."""
        return next((m for m in self.setups if m.get("setup_id") == setup), {})

    @classmethod
    def read(cls, told: Json) -> StatementCircuit:
        """One entry of the program's list."""
        fields: Mapping[str, Json] = told if isinstance(told, dict) else {}
        setups = fields.get("setups")
        constraints = fields.get("constraints")
        return cls(
            str(fields.get("circuit", "")),
            str(fields.get("circuit_id", "")),
            str(fields.get("about", "")),
            constraints if isinstance(constraints, int) else 0,
            str(fields.get("current") or ""),
            tuple(m for m in setups if isinstance(m, dict)) if isinstance(setups, list) else (),
            str(fields.get("problem") or ""),
            str(fields.get("scheme") or GROTH16),
        )


def _insecure(manifest: Mapping[str, Json]) -> bool:
    setup = manifest.get("setup")
    return not (isinstance(setup, dict) and setup.get("insecure") is False)


def key_in_use(circuit: StatementCircuit, policy: KeyPolicy, wanted: str = "") -> str:
    """The digest of the verifying key to use: the one wanted, else the current one; empty where there is none yet.

    Args:
        circuit: The circuit.
        policy: Which keys are good enough.
        wanted: The digest that a plan has pinned.

    Raises:
        InvalidKey: it is damaged, not here, or not good enough; with what to do.
    """
    if circuit.problem:
        raise InvalidKey(f"keys of circuit {circuit.name} cannot be used: {circuit.problem}")
    if wanted and not circuit.manifest(wanted):
        raise InvalidKey(
            f"the key that was chosen for circuit {circuit.name} is not here",
            value=wanted,
            expected=circuit.current or f"keys in {policy.directory}",
            action="let all workers share one key directory (PROVERY_STATEMENT_KEYS), or prove the unit again",
        )
    found = wanted or circuit.current
    if not found and not policy.automatic:
        raise InvalidKey(
            f"circuit {circuit.name} has no keys in {policy.directory}",
            expected="a key from a ceremony" if policy.secure else "a key",
            action=circuit.secure_hint if policy.secure else SETUP_HINT.format(name=circuit.name),
        )
    if found and policy.secure and _insecure(circuit.manifest(found)):
        raise InvalidKey(
            f"circuit {circuit.name} has an insecure key, which production refuses",
            value=found,
            expected="a key from a ceremony",
            action=circuit.secure_hint,
        )
    return found


def find(circuits: list[StatementCircuit], name: str) -> StatementCircuit:
    """The circuit of a name.

    Raises:
        UnknownCircuit: the program has none of that name.
    """
    for circuit in circuits:
        if circuit.name == name:
            return circuit
    known = ", ".join(c.name for c in circuits)
    raise UnknownCircuit("the native prover has no such circuit", value=name, expected=f"one of {known}")
