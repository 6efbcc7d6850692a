"""Random sequences of calls to a registry of inferences, with what a model of it answers, as words for the replay.

A file is a run of sequences. A sequence is the registry's address, the number of steps, the steps, and what it ends
with. A step is 8 words and its bytes, padded: kind (0 deploy, 1 attest a proof, 2 attest an inference), sender, time,
salt or proof hash or verifier, 1 where it is taken, hash of all that is answered or reverted with, hash of what the
registry then holds under that name (of a verifier: of its code; 0 where it was refused), length of the bytes (creation
code or call). The end is: numbers of proofs, verifiers and calls, a digest of all that is held under them, and they.

Verifiers are a few instructions each: honest ones of each habit, and ones that are not what they should be. A call is
right for them where its first byte is 1.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eth_abi.abi import encode

from provery.core.abi import keccak256, selector
from provery.core.factory import address_of

STEPS = 24
PER_FILE = 100
SENDERS = (0xA11CE, 0xB0B, 0xCA401)
TRUE, FALSE = (1).to_bytes(32), bytes(32)
_RIGHT = "6000355f1a600114"
"""Leaves 1 on the stack where the call's first byte is 1, else 0."""


@dataclass(frozen=True)
class Habit:
    """A verifier's code, and what it answers to right and to other calls: bytes, or None where it reverts."""

    code: str
    right: bytes | None
    wrong: bytes | None


HABITS: Mapping[str, Habit] = {
    "answers": Habit(_RIGHT + "5f5260205ff3", TRUE, FALSE),
    "reverts": Habit(_RIGHT + "600e575f5ffd5b00", b"", None),
    "answers two": Habit(_RIGHT + "6002025f5260205ff3", (2).to_bytes(32), FALSE),
    "answers two words": Habit(_RIGHT + "805f5260205260405ff3", TRUE + TRUE, FALSE + FALSE),
    "answers 31 bytes": Habit(_RIGHT + "5f52601f6001f3", TRUE[1:], FALSE[1:]),
    "reverts with true": Habit("60015f5260205ffd", None, None),
    "writes": Habit("60015f55" + _RIGHT + "5f5260205ff3", None, None),
    "accepts anything": Habit("00", b"", b""),
    "answers true to anything": Habit("60015f5260205ff3", TRUE, TRUE),
    "breaks": Habit("fe", None, None),
}
NOBODY = (0xE0A, 4, 0)
"""Addresses without code: an account, a precompile that answers, none."""
FAILING = (bytes.fromhex("5f5ffd"), bytes.fromhex("5f5ff3"), b"", bytes.fromhex("fe"))
"""Creation code that reverts, that leaves no code, that is none, that breaks."""


def creation(code: str) -> bytes:
    """Creation code of a contract."""
    return bytes.fromhex(f"60{len(code) // 2:02x}8060095f395ff3{code}")


class Refused(Exception):
    """The registry reverts with this."""


@dataclass
class Registry:
    """The model."""

    address: str
    code: dict[int, Habit] = field(default_factory=dict)
    proofs: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Time and attester by proof hash."""
    inferences: dict[tuple[int, bytes], tuple[int, int]] = field(default_factory=dict)

    def deploy(self, salt: bytes, made: bytes, habit: Habit | None) -> bytes:
        """Habit is None where the creation code makes no contract."""
        where = int(address_of(made, salt, self.address), 16)
        if habit is None:
            raise Refused(selector("DeploymentFailed()"))
        self.code[where] = habit
        return where.to_bytes(32)

    def attest_proof(self, sender: int, now: int, proof: bytes) -> bytes:
        return self.proofs.setdefault(proof, (now, sender))[0].to_bytes(32)

    def attest_inference(self, sender: int, now: int, verifier: int, call: bytes) -> bytes:
        name = keccak256(call)
        if (verifier, name) in self.inferences:
            return name
        habit = self.code.get(verifier)
        if habit is None:
            raise Refused(selector("NoVerifier(address)") + verifier.to_bytes(32))
        if (habit.right if call[:1] == b"\1" else habit.wrong) not in (b"", TRUE):
            raise Refused(selector("ProofRejected(address,bytes32)") + verifier.to_bytes(32) + name)
        self.inferences[verifier, name] = (now, sender)
        return name


@dataclass
class Drawn:
    """What was drawn."""

    sequences: int = 0
    steps: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Steps by the error they met; ``""`` for those that were taken."""
    inferences: int = 0
    """Inferences that were attested for the first time."""


_ERRORS = {
    selector(signature): signature.partition("(")[0]
    for signature in ("DeploymentFailed()", "NoVerifier(address)", "ProofRejected(address,bytes32)")
}


def write(folder: Path, sequences: int, seed: int) -> tuple[int, Drawn]:
    """Draw sequences and write them: see :func:`tests.contracts.sequences.write`."""
    drawn = Drawn()
    files = 0
    for start in range(0, sequences, PER_FILE):
        numbers = range(start, min(start + PER_FILE, sequences))
        parts = [_sequence(random.Random(f"{seed}/{number}"), drawn) for number in numbers]
        (folder / str(files)).write_bytes(b"".join(parts))
        files += 1
    return files, drawn


def _sequence(rng: random.Random, drawn: Drawn) -> bytes:
    drawn.sequences += 1
    registry = Registry(f"0x{rng.getrandbits(152) + 2**159:040x}")
    habits = rng.sample(sorted(HABITS), 5)
    salts = [rng.randbytes(32), bytes(32)]
    made = {
        int(address_of(creation(HABITS[h].code), s, registry.address), 16): (h, s)
        for h in habits
        for s in salts
    }
    verifiers = [*made, *NOBODY]
    proofs = [rng.randbytes(32) for _ in range(3)]
    calls = [b"", *(bytes([right]) + rng.randbytes(rng.randrange(99)) for right in (1, 1, 0))]
    steps, now = b"", rng.randrange(1, 2**40)
    for _ in range(STEPS):
        drawn.steps += 1
        now += rng.choice((0, 1, 12, rng.randrange(10**6)))
        steps += _step(rng, registry, drawn, now, made, proofs, calls)
    held = bytes(32)
    for proof in proofs:
        held = keccak256(held + _held(registry.proofs.get(proof)))
    names = [keccak256(call) for call in calls]
    for verifier in verifiers:
        for name in names:
            held = keccak256(held + _held(registry.inferences.get((verifier, name))))
    drawn.inferences += len(registry.inferences)
    end = _words(len(proofs), len(verifiers), len(names)) + held
    listed = b"".join(proofs) + _words(*verifiers) + b"".join(names)
    return _words(int(registry.address, 16), STEPS) + steps + end + listed


def _step(
    rng: random.Random,
    registry: Registry,
    drawn: Drawn,
    now: int,
    made: Mapping[int, tuple[str, bytes]],
    proofs: list[bytes],
    calls: list[bytes],
) -> bytes:
    kind = rng.choices((0, 1, 2), (6, 3, 15))[0]
    sender, blob, habit = rng.choice(SENDERS), b"", None
    if kind == 0:
        name, word = rng.choice(list(made.values()))
        habit = HABITS[name] if rng.random() > 0.15 else None
        blob = rng.choice(FAILING) if habit is None else creation(habit.code)
    elif kind == 1:
        word = rng.choice(proofs)
    else:
        known = [v for v in made if v in registry.code] or list(made)
        verifier = rng.choice(known if rng.random() < 0.85 else [*made, *NOBODY])
        word, blob = verifier.to_bytes(32), rng.choice(calls)
    taken, error, held = 1, "", bytes(32)
    try:
        if kind == 0:
            answer = registry.deploy(word, blob, habit)
            held = keccak256(bytes.fromhex(habit.code if habit else ""))
        elif kind == 1:
            answer = registry.attest_proof(sender, now, word)
        else:
            answer = registry.attest_inference(sender, now, int.from_bytes(word), blob)
    except Refused as refused:
        answer, taken = refused.args[0], 0
        error = _ERRORS[answer[:4]]
    drawn.answers[error] += 1
    if kind == 1:
        held = _held(registry.proofs.get(word))
    elif kind == 2:
        held = _held(registry.inferences.get((int.from_bytes(word), keccak256(blob))))
    head = _words(kind, sender, now) + word + _words(taken) + keccak256(answer) + held + _words(len(blob))
    return head + blob + bytes(-len(blob) % 32)


def _held(attestation: tuple[int, int] | None) -> bytes:
    timestamp, attester = attestation or (0, 0)
    return keccak256(encode(["uint256", "uint256"], [timestamp, attester]))


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32) for value in values)
