"""The cases: what is broken, and when. ``docs/faults.md`` explains the names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from provery.core.types import Json
from tests.e2e.provers_support import jobs as memberships
from tests.faults.gates import API, BEFORE_CONFIRM, BEFORE_RECORD, BEFORE_SEND
from tests.faults.rig import ROLES, SERVERS

STAGES = ("fetch", "witness", "prove", "verify", "submit")
IN_PROVE = "in-prove"
"""Not a gate: the fault comes while the prover child computes."""
BOUNDARIES = (*(f"{when}-{stage}" for stage in STAGES for when in ("before", "mid", "after")), IN_PROVE)
VICTIMS = (*ROLES, "prover", *SERVERS)
"""Each is killed by SIGKILL and started again."""
BATCH, UNIT = " of a batch", " of an express unit"
"""Suffixes of a boundary at which small jobs stand in one express activity: several together, or one alone."""
PERIOD = " of a period"
"""Suffix of a boundary at which a period of the beacon system stands."""
INFERENCE = " of an inference"
"""Suffix of a boundary at which a request to the zkml system's API stands."""
CALL = " of a call"
"""Suffix of a boundary at which calls stand that go to a contract through a lane."""
LANE = "lane"
"""Not a kill: something happens to the chain, or to the way there."""
LANE_KILLS = (BEFORE_SEND, BEFORE_RECORD, BEFORE_CONFIRM)
LANE_VICTIMS = ("worker-io", "worker-orchestrate", "temporal", "postgres", "anvil")
LANE_BOUNDARIES = (
    "answer lost",
    "fee spike",
    "reorg of depth 3",
    "another prover first",
    "nonce used outside",
    "stale node",
    "fees above the cap",
    "revert",
)
NODE = "beacon node"
"""Not a process of the installation: it answers 503 for a while."""

DRAINED, WITHOUT = " drained", " started without "
REDELIVERED = "redelivered job"
RUNNING, AGAIN, LOCK, FROZEN = "while running", "after done", "its lock lost", "its holder frozen"
EMPTIED = "temporal, its database lost"
UP = "provery up"

NETWORK = "sp1-network"
"""The prover network, with a rig of its own: a server that counts the requests that it would be paid for."""
NETWORK_BOUNDARIES = (
    "killed before the request",
    "killed between request and record",
    "answer lost",
    "fulfilled after the deadline",
    "unfulfillable",
    "price above the cap",
    "fetched proof corrupt",
)

LIMIT_S = 30.0
"""A dead worker's stage must be running again this soon."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """One fault at one boundary."""

    fault: str
    boundary: str

    @property
    def gate(self) -> str:
        """The boundary without the kind of plan."""
        gate = self.boundary
        for suffix in (BATCH, UNIT, PERIOD, CALL, INFERENCE):
            gate = gate.removesuffix(suffix)
        return gate

    @property
    def batch(self) -> bool:
        """Whether several jobs share an activity."""
        return self.boundary.endswith(BATCH)

    @property
    def express(self) -> bool:
        """Whether all stages run in one activity."""
        return self.boundary.endswith((BATCH, UNIT))

    @property
    def period(self) -> bool:
        """Whether it is about the beacon system."""
        return self.boundary.endswith(PERIOD)

    @property
    def call(self) -> bool:
        """Whether it is about calls that go through a lane."""
        return self.boundary.endswith(CALL)

    @property
    def inference(self) -> bool:
        """Whether it is about a request to the API."""
        return self.boundary.endswith(INFERENCE)

    @property
    def drained(self) -> str:
        """Worker that is told to stop, if that is the fault."""
        return self.fault.removesuffix(DRAINED) if self.fault.endswith(DRAINED) else ""

    @property
    def late(self) -> tuple[str, str]:
        """Worker that starts while a server is away, and that server, if that is the fault."""
        worker, _, server = self.fault.partition(WITHOUT)
        return worker, server

    def __str__(self) -> str:
        return f"{self.fault}, {self.boundary}"


@dataclass(frozen=True)
class Row:
    """What a fault cost; the names of bench/results/faults.json."""

    fault: str
    boundary: str
    recomputed: int
    """Finished stages that were computed again."""
    lost: int
    """Jobs without a result, or that Redis still holds."""
    duplicated: int
    """Results that were written or delivered more than once."""
    orphans: int
    """Processes that outlived their worker."""
    recovered_s: float
    """Seconds from the fault until the last job had gone on: its interrupted stage, or the next, began, or it ended."""
    done_s: float
    """Seconds from the fault until the last job was ended in Redis."""
    problems: tuple[str, ...] = ()
    """What is wrong, in words; empty when all is well."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if name != "problems" or value}


def matrix(subset: str = "full") -> list[Case]:
    """All cases, or the subset of every run of the tests; the slowest first, and those of one kind of plan together."""
    if subset == "ci":
        return [Case(*pair) for pair in CI]
    return sorted(_all(), key=lambda c: (c.fault != UP, not c.express, not c.late[1], c.fault != "ingress"))


def _all() -> Iterator[Case]:
    for victim in VICTIMS:
        yield from (Case(victim, boundary) for boundary in BOUNDARIES)
        for gate in ("after-witness", "mid-prove", IN_PROVE, "after-submit"):
            yield Case(victim, gate + BATCH)
        yield from (Case(victim, gate + UNIT) for gate in ("after-witness", IN_PROVE, "mid-submit"))
    for role in ROLES:
        for gate in (*(f"before-{stage}" for stage in STAGES), IN_PROVE):
            yield Case(role + DRAINED, gate)
        for suffix in (BATCH, UNIT):
            yield from (Case(role + DRAINED, gate + suffix) for gate in ("before-prove", IN_PROVE))
        for server in _NEEDS[role]:
            yield Case(role + WITHOUT + server, "before-submit" if role == "worker-io" else "before-prove")
    yield from (Case(EMPTIED, boundary) for boundary in ("after-fetch", "after-prove", "after-submit"))
    yield Case(EMPTIED, IN_PROVE + BATCH)
    yield from (Case(REDELIVERED, when) for when in (RUNNING, AGAIN, LOCK, FROZEN))
    yield from (Case(UP, boundary) for boundary in (IN_PROVE, IN_PROVE + BATCH))
    yield from (Case(NETWORK, boundary) for boundary in NETWORK_BOUNDARIES)
    for victim in LANE_VICTIMS:
        yield from (Case(victim, gate + CALL) for gate in LANE_KILLS)
    yield from (Case(LANE, what + CALL) for what in LANE_BOUNDARIES)
    yield Case(NODE, "before-fetch" + PERIOD)
    for victim in ("worker-io", "worker-orchestrate", "temporal", "postgres", "s3"):
        yield from (
            Case(victim, f"{when}-{stage}{PERIOD}")
            for stage in ("fetch", "submit")
            for when in ("before", "mid", "after")
        )
    for victim in INFERENCE_VICTIMS:
        yield from (
            Case(victim, gate + INFERENCE)
            for gate in (
                *(f"{w}-{s}" for s in ("witness", "prove", "verify") for w in ("before", "mid", "after")),
                IN_PROVE,
            )
        )


INFERENCE_VICTIMS = (API, "worker-cpu", "worker-orchestrate", "prover", "temporal", "postgres", "s3")
_NEEDS = {
    "worker-orchestrate": ("temporal", "postgres"),
    "worker-io": ("temporal", "postgres", "s3"),
    "worker-cpu": ("temporal", "postgres", "s3"),
    "ingress": ("temporal", "postgres", "redis"),
}
"""Servers that a worker may find away when it starts."""

CI = (
    (UP, IN_PROVE),
    ("worker-cpu", IN_PROVE + BATCH),
    ("redis", "mid-prove" + BATCH),
    ("worker-cpu", "after-witness" + UNIT),
    ("ingress", "before-prove"),
    ("worker-cpu", IN_PROVE),
    ("worker-io", "mid-submit"),
    ("worker-orchestrate", "after-witness"),
    ("prover", IN_PROVE),
    ("temporal", "mid-prove"),
    ("redis", "after-submit"),
    ("postgres", "mid-verify"),
    ("s3", "before-prove"),
    ("worker-cpu" + DRAINED, "before-prove"),
    ("worker-io" + WITHOUT + "postgres", "before-submit"),
    (REDELIVERED, RUNNING),
    (REDELIVERED, AGAIN),
    (REDELIVERED, LOCK),
    (NETWORK, "killed between request and record"),
    (NETWORK, "unfulfillable"),
    ("worker-io", "sign-send" + CALL),
    ("temporal", "send-record" + CALL),
    ("anvil", "record-confirm" + CALL),
    (LANE, "another prover first" + CALL),
    (LANE, "nonce used outside" + CALL),
    (NODE, "before-fetch" + PERIOD),
    ("worker-io", "mid-fetch" + PERIOD),
    ("worker-io", "mid-submit" + PERIOD),
    (API, "mid-prove" + INFERENCE),
    ("worker-cpu", IN_PROVE + INFERENCE),
    ("postgres", "mid-verify" + INFERENCE),
)
CI_SETTINGS = {"PROVERY_QUEUE_LOCK_MS": "6000", "PROVERY_QUEUE_STALLED_INTERVAL_MS": "1000"}
"""The subset does not wait long for a dead ingress' locks; the matrix does, as production would."""
CI_LIMIT_S = 90.0
"""The subset shares its processors with the other tests, so that its times say little; the matrix measures them."""


def requests(case: Case) -> dict[str, dict[str, Json]]:
    """Jobs of a case by id: large proofs where the fault comes in their middle, or where a stage is to take a while."""
    number = next(_numbers)
    stem = f"case-{number}"
    count = 3 if case.batch or case.fault == UP else 1
    if case.express and case.gate != IN_PROVE:
        some = memberships()[: 2 * count]
        return {
            f"{stem}-{at}": {**job, "epoch": number}
            for at, job in enumerate(some if case.batch else some[:1])
        }
    return {
        f"{stem}-{at}": {"circuit": "chain", "inputs": {"seed": str(number * 100 + at)}}
        for at in range(count)
    }
