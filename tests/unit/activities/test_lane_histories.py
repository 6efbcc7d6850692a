"""Lanes through ten thousand random histories of crashes, reorganisations, rivals and operators."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from activities import lane_follow, lane_round
from activities.lane_desk import Desk, unlanded
from activities.lane_metrics import LaneMetrics
from activities.lane_round import Rounds
from provery.core.errors import HandedBack, InvalidInput
from provery.core.lane_records import Change, Fate, Kind, LaneOrder, Phase, Submission
from provery.core.lanes import Call, Policy, Receipt, lane_id
from tests.support.lane_model import (
    CONTRACT,
    FREE,
    RISING,
    ChainModel,
    MemoryLanes,
    SqlModel,
    SystemModel,
    drive,
)

HISTORIES = 10_000
PARTS = 8
LANE = lane_id(31_337, "0x00000000000000000000000000000000000000Aa")
METRICS = LaneMetrics(CollectorRegistry())


@dataclass
class History:
    """One lane, everything that happens to it, and what must hold."""

    seed: int
    ledger: MemoryLanes | SqlModel
    chain: ChainModel = field(default_factory=ChainModel)
    zombies: list[Coroutine[Any, Any, None]] = field(default_factory=list)
    holders: int = 0

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.confirmations = rng.choice((1, 2, 3, 4))
        policy = Policy(confirmations=self.confirmations, stuck_after_s=30.0)
        policies = {
            FREE: replace(policy, max_fee_per_gas=rng.choice((None, 10_000))),
            RISING: replace(
                policy,
                ordered=True,
                max_fee_per_gas=rng.choice((None, 350)),
                spend_per_day=rng.choice((None, 10**12)),
            ),
        }
        self.lanes = self.misled = False
        self.chain.kept = lambda hash: any(
            t.hash == hash for s in self.ledger.everything().values() for t in s.transactions
        )
        self.system = SystemModel("model", self.chain, policies)
        self.waiting = [
            (stream, n) for stream in (FREE, RISING) for n in range(1, rng.choice((1, 2, 2, 3)) + 1)
        ]
        rng.shuffle(self.waiting)
        self.entered: list[tuple[str, int]] = []

    # what may happen

    def enter(self) -> None:
        self.lanes = True
        if self.waiting:
            self.entered.append(self.waiting.pop())
        for stream, n in self.entered[-1:]:
            call = Call(CONTRACT, f"{stream}:{n}", method="advance")
            drive(
                self.ledger.enter(
                    Submission(
                        request_key=f"{stream}-{n}",
                        lane=LANE,
                        system="model",
                        stream=stream,
                        key=str(n),
                        call=call,
                        entered_by="run:1",
                        entered_at=self.chain.now,
                        ordinal=n if stream == RISING else None,
                    ),
                    31_337,
                    "0xAa",
                )
            )

    def process(self) -> Rounds:
        """A worker's memory."""
        return Rounds(self.ledger, lambda name: self.system, METRICS, lambda: self.chain.now)

    async def round(self, rounds: Rounds | None = None) -> None:
        """As the activity does: take the lane, go round it."""
        self.holders += 1
        holder = f"holder {self.holders}"
        rounds = rounds or self.process()
        await self.ledger.take(LANE, holder)
        try:
            for _ in range(2):
                await rounds.round(LANE, holder)
        except HandedBack:
            return

    def killed(self) -> None:
        coro = self.round()
        drive(coro, self.rng.randrange(1, 40))
        coro.close()

    def frozen(self) -> None:
        coro = self.round()
        if not drive(coro, self.rng.randrange(1, 40)):
            self.zombies.append(coro)

    def thawed(self) -> None:
        if self.zombies:
            drive(self.zombies.pop(self.rng.randrange(len(self.zombies))))

    def reorganised(self) -> None:
        if self.confirmations > 1:
            depth = self.rng.randrange(1, self.confirmations)
            self.chain.reorganise(depth, back=self.rng.random() < 0.6)
            for _ in range(depth):
                self.chain.mine(empty=self.rng.random() < 0.5)

    def ordered(self) -> None:
        name = self.rng.choice(("pause", "resume", "cancel", "cancel", "skip", "raise_cap"))
        unit = ""
        if name in ("cancel", "skip") and self.entered:
            stream, n = self.rng.choice(self.entered)
            unit = f"model/{stream}/{n}"
        if self.lanes and (unit or name not in ("cancel", "skip")):
            try:
                drive(self.ledger.order(LaneOrder(name, LANE, unit, max_fee="2000")))
            except InvalidInput:
                return

    def act(self) -> None:
        chain, rng = self.chain, self.rng
        match rng.randrange(20):
            case 0 | 1 | 2:
                self.enter()
            case 3 | 4 | 5:
                drive(self.round())
            case 6 | 7:
                self.killed()
            case 8:
                self.frozen()
            case 9:
                self.thawed()
            case 10 | 11 | 12:
                chain.mine(empty=rng.random() < 0.2)
            case 13:
                self.reorganised()
            case 14:
                chain.base = rng.choice((50, 100, 150, 300, 1_000))
            case 15:
                chain.lag, chain.down = rng.choice((0, 0, 1, 3)), rng.random() < 0.2
                self.misled |= chain.lag > 0
            case 16:
                chain.lose_answer, chain.lose_transaction = rng.random() < 0.6, rng.random() < 0.4
            case 17:
                if rng.random() < 0.5:
                    chain.stranger()
                    self.misled = True
                else:
                    chain.pool.clear()
            case 18:
                chain.mine(others=rng.choice((1, 2))) if rng.random() < 0.3 else chain.mine()
            case _:
                self.ordered()
        chain.now += rng.choice((0.1, 5, 40))

    def healed(self) -> None:
        """Everything works again; what was frozen wakes up first."""
        while self.waiting:
            self.enter()
        chain = self.chain
        chain.lag, chain.down, chain.base = 0, False, 100
        chain.lose_answer = chain.lose_transaction = False
        while self.zombies:
            self.thawed()
        if self.lanes:
            drive(self.ledger.order(LaneOrder("resume", LANE)))
        process = self.process()
        for _ in range(80):
            drive(self.round(process))
            chain.mine()
            if all(s.phase.settled for s in self.ledger.everything().values()):
                return

    # what must hold

    def check(self) -> None:
        chain, found = self.chain, self.ledger.everything()
        said = {key: (s.phase.value, s.waits_for.value, s.reason) for key, s in found.items()}
        context = f"seed {self.seed}: {said}"
        assert all(s.phase.settled for s in found.values()), context
        landings: dict[str, int] = {}
        rising = []
        for block in chain.blocks:
            for tx, good in block.txs:
                mode, _, what = tx.data.partition(":")
                if good and mode in (FREE, RISING):
                    landings[f"{mode}-{what}"] = landings.get(f"{mode}-{what}", 0) + 1
                if good and mode == RISING:
                    rising.append(int(what))
        for key, s in found.items():
            assert landings.get(key, 0) == (1 if s.phase is Phase.LANDED else 0), f"{key}, {context}"
            assert not s.live, context
            if s.phase is Phase.SUPERSEDED:
                assert s.stream == RISING, context
                assert chain.heights(chain.blocks)[0] >= int(s.key), context
            assert s.phase is not Phase.REVERTED, context
        assert rising == sorted(rising), context
        nonce = chain.used(chain.blocks)
        assert all(t.nonce < nonce for s in found.values() for t in s.transactions), f"a gap, {context}"
        fills = [t for s in found.values() for t in s.transactions if t.kind is Kind.FILL]
        assert self.misled or not fills, f"a gap of our own, {context}"
        assert not [t for t in chain.pool.values() if t.ours], f"left in the pool, {context}"


class Deep(History):
    """Reorganisations as deep as they come. Nobody else is about, and nothing is taken out of the lane."""

    def reorganised(self) -> None:
        depth = self.rng.randrange(1, 9)
        self.chain.reorganise(depth, back=self.rng.random() < 0.5)
        for _ in range(depth):
            self.chain.mine(empty=self.rng.random() < 0.5)

    def ordered(self) -> None:
        self.reorganised()

    def healed(self) -> None:
        """A landing that is undone is not settled either, only nobody has looked."""
        super().healed()
        process = self.process()
        for _ in range(4):
            drive(self.round(process))
            self.chain.mine()
        super().healed()

    def act(self) -> None:
        chain = self.chain
        mine, chain.stranger, chain.mine = chain.mine, chain.pool.clear, self.alone  # type: ignore[method-assign]
        try:
            super().act()
        finally:
            del chain.stranger, chain.mine
        assert chain.mine == mine

    def alone(self, *, others: int | None = None, empty: bool = False) -> None:
        """A block in which nobody else does anything."""
        ChainModel.mine(self.chain, empty=empty)


def lived(seed: int, ledger: MemoryLanes | SqlModel, kind: type[History] = History) -> History:
    """A whole history."""
    history = kind(seed, ledger)
    for _ in range(history.rng.randrange(10, 45)):
        history.act()
    history.healed()
    return history


@pytest.mark.parametrize("part", range(PARTS))
def test_every_history_ends_well(part: int) -> None:
    for seed in range(part, HISTORIES, PARTS):
        lived(seed, MemoryLanes()).check()


def test_landings_that_are_undone_land_again_with_the_same_bytes() -> None:
    undone = 0
    for seed in range(1_000):
        history = lived(seed, MemoryLanes(), Deep)
        history.check()
        found = history.ledger.everything().values()
        assert all(len({t.nonce for t in s.transactions if t.kind is Kind.CALL}) <= 1 for s in found), seed
        undone += sum(event == "undone" for _, event, _ in cast(MemoryLanes, history.ledger).events)
    assert undone > 100


async def _never_looks(desk: Desk) -> bool:
    return False


def test_without_a_second_look_landings_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_round, "look_again", _never_looks)
    histories = [lived(seed, MemoryLanes(), Deep) for seed in range(200)]
    assert any(
        s.phase is Phase.LANDED and s.transactions[-1].block_hash not in {b.hash for b in h.chain.blocks}
        for h in histories
        for s in h.ledger.everything().values()
    )


@pytest.mark.parametrize("kind", [History, Deep])
def test_the_ledger_of_the_histories_is_the_real_one(kind: type[History]) -> None:
    """The same histories over SQL end the same way, statement for statement."""
    for seed in range(60):
        model, real = lived(seed, MemoryLanes(), kind), lived(seed, SqlModel(), kind)
        real.check()
        ends = [
            {key: (s.phase, s.nonce, len(s.transactions)) for key, s in h.ledger.everything().items()}
            for h in (model, real)
        ]
        assert ends[0] == ends[1], f"seed {seed}"


def test_histories_are_about_something() -> None:
    """They reach every end, bump, reorganise, displace and fill."""
    phases, kinds, fates = set(), set(), set()
    for seed in range(400):
        for s in lived(seed, MemoryLanes()).ledger.everything().values():
            phases.add(s.phase)
            kinds |= {t.kind for t in s.transactions}
            fates |= {t.fate for t in s.transactions}
    assert phases >= {Phase.LANDED, Phase.SUPERSEDED, Phase.SKIPPED, Phase.CANCELLED}
    assert kinds == set(Kind)
    assert fates >= {Fate.LANDED, Fate.REVERTED, Fate.REPLACED, Fate.DISPLACED}


async def _sends_first(desk: Desk, s: Submission, *args: Any) -> bool:
    real, desk.ledger = desk.ledger, MemoryLanes()
    try:
        return await TRANSACT(desk, s, *args)
    finally:
        desk.ledger = real


async def _believes_at_once(desk: Desk, s: Submission, taken: Receipt) -> None:
    gone = unlanded(s, Fate.DISPLACED)
    await desk.change(s, Change(Phase.WAITING, clear_nonce=True, transactions=gone))


async def _doubts_nobody(desk: Desk, s: Submission) -> None:
    if await desk.chain.nonce() > (s.nonce or 0) and await desk.chain.receipt(s.live[-1].hash) is None:
        return await desk.change(
            s, Change(Phase.WAITING, clear_nonce=True, transactions=unlanded(s, Fate.DISPLACED))
        )
    await FOLLOW(desk, s)


async def _fills_nothing(*_: Any) -> None:
    return None


TRANSACT, FOLLOW = Desk.transact, lane_follow.follow


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        (Desk, "transact", _sends_first),
        (lane_follow, "_by_stranger", _believes_at_once),
        (lane_round, "follow", _doubts_nobody),
        (lane_follow, "_fill", _fills_nothing),
        (lane_round, "next_nonce", lambda nonce, open_: nonce + (nonce % 3 == 1)),
        (lane_follow, "_out_of_block", lambda desk, s: _believes_at_once(desk, s, cast(Receipt, None))),
        (MemoryLanes, "_hold", lambda *_: None),
    ],
)
def test_a_planted_defect_is_found(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, wrong: Any
) -> None:
    monkeypatch.setattr(where, name, wrong)
    for seed in range(4_000):
        try:
            lived(seed, MemoryLanes()).check()
        except Exception:
            return
    pytest.fail("no history minds")
