"""A lane over the model of chain and ledger, and rounds of it by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from activities.lane_metrics import LaneMetrics
from activities.lane_round import Rounds
from provery.core.lane_records import Submission
from provery.core.lanes import Call, Policy, Standing, lane_id
from tests.support.lane_model import (
    CONTRACT,
    FREE,
    RISING,
    SENDER,
    ChainModel,
    MemoryLanes,
    SystemModel,
    drive,
)

LANE = lane_id(31_337, SENDER)


class Moody(SystemModel):
    """Fails where it is told to."""

    broken: str = ""
    lawless: Exception | None = None

    async def policy(self, stream: str) -> Policy:
        if stream == FREE and self.lawless is not None:
            raise self.lawless
        return await super().policy(stream)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        if call.data == self.broken:
            raise ValueError("a bug in an adapter")
        return await super().standing(stream, ordinal, call)


@dataclass
class Desk:
    """A lane and what stands around it."""

    policy: Policy = field(default_factory=lambda: Policy(stuck_after_s=30.0))
    chain: ChainModel = field(default_factory=ChainModel)

    def __post_init__(self) -> None:
        self.ledger = MemoryLanes(lambda: self.chain.now)
        rising = Policy(**{**vars(self.policy), "ordered": True})
        self.system = Moody("model", self.chain, {FREE: self.policy, RISING: rising})
        self.registry = CollectorRegistry()
        self.rounds = Rounds(
            self.ledger, lambda _: self.system, LaneMetrics(self.registry), lambda: self.chain.now
        )

    def enter(self, stream: str, n: int) -> str:
        key = f"{stream}-{n}"
        call = Call(CONTRACT, f"{stream}:{n}")
        made = Submission(key, LANE, "model", stream, str(n), call, "run:1", self.chain.now, n)
        drive(self.ledger.enter(made, 31_337, SENDER))
        self.chain.now += 0.1
        return key

    def round(self, times: int = 1) -> None:
        for _ in range(times):
            drive(self.ledger.take(LANE, "h"))
            assert drive(self.rounds.round(LANE, "h"))

    def of(self, key: str) -> Submission:
        return self.ledger.found[key]

    def events(self, key: str) -> list[str]:
        return [event for name, event, _ in self.ledger.events if name == key]

    def settle(self, blocks: int = 12) -> None:
        for _ in range(blocks):
            self.round()
            self.chain.mine()
        self.round()

    def count(self, name: str, **labels: str) -> float:
        given = {"lane": LANE, "stream": "model/free", **labels}
        return self.registry.get_sample_value(f"provery_lane_{name}", given) or 0.0
