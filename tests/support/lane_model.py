"""A chain and a ledger in memory, to run lanes through thousands of histories: every call is a place to be killed at.

Nothing here runs on an event loop: a coroutine is driven by hand, so that a history can stop it between any two calls,
run something else meanwhile, and go on or never come back.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from sqlalchemy import Engine, create_engine, true
from sqlalchemy.pool import StaticPool

from provery.core.errors import HandedBack, InvalidInput, Reverted, SinkUnavailable, SpendingCapReached
from provery.core.lane_records import (
    CANCEL,
    PAUSE,
    RAISE_CAP,
    RESUME,
    RETRY,
    SKIP,
    Change,
    Kind,
    LaneOrder,
    LaneRow,
    Phase,
    Submission,
    Transaction,
    Wait,
)
from provery.core.lane_rules import DAY_S, put_back, spent
from provery.core.lanes import (
    Block,
    Call,
    Fees,
    Policy,
    Receipt,
    Sent,
    Signed,
    Standing,
    State,
    Unsigned,
)
from provery.core.ports import StageContext
from provery.stores.database import Database, Work
from provery.stores.lane_queries import submissions
from provery.stores.lanes import SqlLanes
from provery.stores.tables import LedgerModel

T = TypeVar("T")

SENDER = "0x00000000000000000000000000000000000000Aa"
CONTRACT = "0x00000000000000000000000000000000000000cC"
FREE, RISING = "free", "rising"


class Tick:
    """A place where a coroutine may be stopped."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def drive(coro: Coroutine[Any, Any, Any], steps: int = 100_000) -> bool:
    """Run a coroutine for so many steps; whether it ended."""
    for _ in range(steps):
        try:
            coro.send(None)
        except StopIteration:
            return True
    return False


@dataclass(frozen=True)
class Tx:
    """A transaction of the account as the model's nodes know it."""

    hash: str
    nonce: int
    data: str
    max_fee: int
    tip: int
    ours: bool = True


@dataclass
class Mined:
    """A block with what it did."""

    number: int
    hash: str
    txs: list[tuple[Tx, bool]] = field(default_factory=list)
    others: int | None = None
    """A height that another prover set, after the transactions."""


@dataclass
class ChainModel:
    """A chain with one account, a free counter per key, and a height that only rises. See :class:`Chain`."""

    now: float = 1_000.0
    chain_id: int = 31_337
    sender: str = SENDER
    blocks: list[Mined] = field(default_factory=lambda: [Mined(0, "0xb0")])
    pool: dict[str, Tx] = field(default_factory=dict)
    raws: dict[str, Tx] = field(default_factory=dict)
    base: int = 100
    tip: int = 2
    lag: int = 0
    """How many blocks the node that answers is behind."""
    funds: int = 10**30
    down: bool = False
    lose_answer: bool = False
    """The next raw transaction is taken and its answer lost."""
    lose_transaction: bool = False
    """The next raw transaction is answered for, and lost."""
    forks: int = 0
    refuses: str = ""
    """Calls with this data are refused by the nodes for what they are."""
    kept: Any = None
    """Called with each hash that is sent: whether the ledger has it."""

    # what happens to it

    @property
    def view(self) -> list[Mined]:
        return self.blocks[: max(len(self.blocks) - self.lag, 1)]

    def used(self, blocks: Sequence[Mined]) -> int:
        return sum(len(b.txs) for b in blocks)

    def heights(self, blocks: Sequence[Mined]) -> tuple[int, dict[str, int]]:
        height, counts = 0, dict[str, int]()
        for b in blocks:
            for tx, good in b.txs:
                mode, _, what = tx.data.partition(":")
                if good and mode == RISING:
                    height = int(what)
                elif good and mode == FREE:
                    counts[what] = counts.get(what, 0) + 1
            if b.others is not None:
                height = max(height, b.others)
        return height, counts

    def mine(self, *, others: int | None = None, empty: bool = False) -> None:
        """The next block: what the account has pending, in the order of nonces, if it pays enough."""
        self.forks += 1
        block = Mined(len(self.blocks), f"0xb{len(self.blocks)}.{self.forks}")
        nonce, height = self.used(self.blocks), self.heights(self.blocks)[0]
        while not empty:
            here = [t for t in self.pool.values() if t.nonce == nonce and t.max_fee >= self.base]
            if not here:
                break
            tx = max(here, key=lambda t: t.max_fee)
            mode, _, what = tx.data.partition(":")
            good = mode != RISING or int(what) > height
            height = int(what) if mode == RISING and good else height
            block.txs.append((tx, good))
            nonce += 1
        block.others = others
        self.blocks.append(block)
        self.pool = {h: t for h, t in self.pool.items() if t.nonce >= nonce}
        self.now += 12

    def reorganise(self, depth: int, *, back: bool) -> None:
        """Undo blocks; their transactions are pending again, or lost."""
        for _ in range(min(depth, len(self.blocks) - 1)):
            gone = self.blocks.pop()
            if back:
                self.pool.update({tx.hash: tx for tx, _ in gone.txs})

    def stranger(self) -> None:
        """Somebody else signs with the account's key and pays well."""
        nonce = self.used(self.blocks)
        tx = Tx(f"0xstranger{self.forks}.{nonce}", nonce, "none:", 10**15, 10**15, ours=False)
        self.pool[tx.hash] = tx

    # the port

    async def _ask(self) -> None:
        await Tick()
        if self.down:
            raise SinkUnavailable("no endpoint answers")

    async def fees(self) -> Fees:
        await self._ask()
        return Fees(self.base, self.tip)

    async def nonce(self) -> int:
        await self._ask()
        return self.used(self.view)

    async def balance(self) -> int:
        await self._ask()
        return self.funds

    async def estimate(self, call: Call) -> int:
        await self._ask()
        mode, _, what = call.data.partition(":")
        if mode == RISING and int(what) <= self.heights(self.view)[0]:
            raise Reverted("Outdated()")
        return 50_000

    async def read(self, to: str, data: str, *, block: str = "latest") -> bytes:
        await self._ask()
        return b""

    async def code(self, address: str) -> bytes:
        await self._ask()
        return b""

    async def storage(self, address: str, slot: int) -> int:
        await self._ask()
        return 0

    async def sign(self, transaction: Unsigned) -> Signed:
        await self._ask()
        name = hashlib.sha256(repr(transaction).encode()).hexdigest()
        data = "none:" if transaction.data == "0x" else transaction.data
        tx = Tx(name, transaction.nonce, data, transaction.max_fee, transaction.max_priority_fee)
        self.raws[f"raw:{name}"] = tx
        return Signed(name, f"raw:{name}")

    async def send(self, signed: Signed) -> Sent:
        await self._ask()
        assert self.kept is None or self.kept(signed.hash), "sent before it was kept"
        tx, said = self.raws[signed.raw], Sent.ACCEPTED
        if self.refuses and tx.data == self.refuses:
            raise InvalidInput("intrinsic gas too low")
        rivals = [t for t in self.pool.values() if t.nonce == tx.nonce and t.hash != tx.hash]
        if tx.nonce < self.used(self.view):
            said = Sent.NONCE_USED
        elif any(tx.max_fee * 10 < t.max_fee * 11 or tx.tip * 10 < t.tip * 11 for t in rivals):
            said = Sent.UNDERPRICED
        elif not self.lose_transaction and tx.nonce >= self.used(self.blocks):
            for t in rivals:
                del self.pool[t.hash]
            self.pool[tx.hash] = tx
        self.lose_transaction = False
        await Tick()
        if self.lose_answer:
            self.lose_answer = False
            raise SinkUnavailable("no answer in time")
        return said

    async def known(self, tx_hash: str) -> bool:
        await self._ask()
        return tx_hash in self.pool or any(t.hash == tx_hash for b in self.view for t, _ in b.txs)

    def _receipt(self, number: int, tx: Tx, good: bool) -> Receipt:
        block = self.blocks[number]
        return Receipt(
            tx.hash, Block(block.number, block.hash), good, 40_000, min(tx.max_fee, self.base + tx.tip)
        )

    async def receipt(self, tx_hash: str) -> Receipt | None:
        await self._ask()
        for b in self.view:
            for tx, good in b.txs:
                if tx.hash == tx_hash:
                    return self._receipt(b.number, tx, good)
        return None

    async def blocks_of(self, hashes: Sequence[str]) -> dict[str, str]:
        await self._ask()
        return {t.hash: b.hash for b in self.view for t, _ in b.txs if t.hash in hashes}

    async def taken(self, nonce: int) -> Receipt | None:
        await self._ask()
        for b in self.view:
            for tx, good in b.txs:
                if tx.nonce == nonce:
                    return self._receipt(b.number, tx, good)
        return None

    async def head(self) -> Block:
        await self._ask()
        return Block(self.view[-1].number, self.view[-1].hash)

    async def why_reverted(self, call: Call, receipt: Receipt) -> str:
        await self._ask()
        return "Outdated()"

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class SystemModel:
    """A system whose streams are called after what their contract does."""

    name: str
    chains: ChainModel
    policies: dict[str, Policy]

    async def chain(self, stream: str) -> ChainModel:
        await Tick()
        return self.chains

    async def policy(self, stream: str) -> Policy:
        await Tick()
        return self.policies[stream]

    async def call(self, context: StageContext) -> Call:
        raise NotImplementedError

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        await self.chains._ask()
        mode, _, what = call.data.partition(":")
        if mode == RISING and int(what) <= self.chains.heights(self.chains.view)[0]:
            return Standing(State.SUPERSEDED, "the height is there")
        return Standing(State.READY)


@dataclass
class MemoryLanes:
    """The ledger's promises in a dictionary. See :class:`LaneLedger`."""

    clock: Any = time.time
    rows: dict[str, LaneRow] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    found: dict[str, Submission] = field(default_factory=dict)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    async def enter(self, submission: Submission, chain_id: int, sender: str) -> Submission:
        await Tick()
        self.rows.setdefault(submission.lane, LaneRow(submission.lane, chain_id, sender))
        stands = self.found.setdefault(submission.request_key, submission)
        again = stands.phase.settled and stands.phase is not Phase.LANDED
        unsigned = stands.phase is Phase.WAITING and stands.nonce is None
        if stands.entered_by == submission.entered_by or not (again or unsigned):
            return stands
        if unsigned:
            submission = replace(stands, call=submission.call, entered_by=submission.entered_by)
        self.found[submission.request_key] = replace(submission, transactions=stands.transactions)
        return self.found[submission.request_key]

    async def leave(self, request_key: str, phase: Phase, reason: str) -> bool:
        await Tick()
        s = self.found.get(request_key)
        if s is None or (s.phase.settled and s.phase is not Phase.LANDED):
            return True
        if s.phase is not Phase.WAITING:
            return False
        self.found[request_key] = replace(s, phase=phase, reason=reason, told=True)
        return True

    async def take(self, lane: str, holder: str) -> LaneRow | None:
        await Tick()
        self.holders[lane] = holder
        return self.rows.get(lane)

    async def lanes(self) -> list[LaneRow]:
        return list(self.rows.values())

    async def row(self, lane: str) -> LaneRow | None:
        await Tick()
        return self.rows.get(lane)

    async def find(self, request_key: str) -> Submission | None:
        await Tick()
        return self.found.get(request_key)

    def everything(self) -> dict[str, Submission]:
        return self.found

    def all_open(self, lane: str) -> list[Submission]:
        mine = [s for s in self.found.values() if s.lane == lane and not s.phase.settled]
        return sorted(mine, key=lambda s: (s.entered_at, s.request_key))

    async def open(self, lane: str) -> list[Submission]:
        await Tick()
        return self.all_open(lane)

    async def recent(self, lane: str, limit: int) -> list[Submission]:
        await Tick()
        return [s for s in self.found.values() if s.lane == lane and s.phase.settled][: -limit - 1 : -1]

    async def landed(self, lane: str, limit: int) -> list[Submission]:
        await Tick()
        return [s for s in self.found.values() if s.lane == lane and s.phase is Phase.LANDED][
            : -limit - 1 : -1
        ]

    async def reopen(self, holder: str, request_key: str, reason: str, now: float) -> bool:
        await Tick()
        s = self.found[request_key]
        self._hold(s.lane, holder)
        again = put_back(s, now)
        if again is None:
            return False
        self.found[request_key] = replace(again, reason=reason)
        self.events.append((request_key, "undone", reason))
        return True

    async def untold(self, lane: str) -> list[Submission]:
        await Tick()
        return [s for s in self.found.values() if s.lane == lane and s.phase.settled and not s.told]

    async def told(self, request_keys: Sequence[str]) -> None:
        await Tick()
        for key in request_keys:
            self.found[key] = replace(self.found[key], told=True)

    def _hold(self, lane: str, holder: str) -> None:
        if self.holders.get(lane) != holder:
            raise HandedBack("another worker drives the lane now")

    async def sign(
        self, holder: str, submission: Submission, transaction: Transaction, *, budget: int | None
    ) -> bool:
        await Tick()
        self._hold(submission.lane, holder)
        stands, fresh = self.found[submission.request_key], submission.nonce is None
        seen = (submission.phase, submission.nonce, submission.want)
        if (stands.phase, stands.nonce, stands.want) != seen or (stands.phase is Phase.WAITING) != fresh:
            return False
        others = self.all_open(submission.lane)
        if fresh and any(
            s.phase is Phase.SENT or any(t.nonce == transaction.nonce for t in s.live) for s in others
        ):
            return False
        if budget is not None:
            mine = {s.request_key: list(s.transactions) for s in self.found.values()
                    if s.stream_id == submission.stream_id}  # fmt: skip
            mine[submission.request_key].append(transaction)
            if (total := spent(mine.values(), self.clock() - DAY_S)) > budget:
                raise SpendingCapReached(f"{total} wei")
        if all(t.hash != transaction.hash for t in stands.transactions):
            stands = replace(stands, transactions=(*stands.transactions, transaction))
            if transaction.kind is not Kind.FILL:
                stands = replace(stands, phase=Phase.SENT, nonce=transaction.nonce, waits_for=Wait.BLOCK)
            self.found[stands.request_key] = stands
        return True

    async def change(self, holder: str, request_key: str, change: Change) -> None:
        await Tick()
        s = self.found[request_key]
        self._hold(s.lane, holder)
        if s.phase.settled:
            return
        moved = {t.hash: t for t in change.transactions}
        given = {
            name: value
            for name in ("phase", "waits_for", "reason", "nonce", "want", "tries")
            if (value := getattr(change, name)) is not None
        }
        if change.clear_nonce:
            given["nonce"] = None
        if change.phase is not None and change.phase.settled:
            given["settled_at"] = self.clock()
        transactions = tuple(moved.get(t.hash, t) for t in s.transactions)
        self.found[request_key] = replace(s, **given, transactions=transactions)
        if change.event:
            self.events.append((request_key, change.event, change.reason or ""))

    async def order(self, order: LaneOrder) -> str:
        await Tick()
        if not order.unit:
            row = self.rows[order.lane]
            if order.name in (PAUSE, RESUME):
                row = replace(row, paused=order.name == PAUSE)
            if order.name == RAISE_CAP:
                row = replace(row, max_fee=int(order.max_fee))
            self.rows[order.lane] = row
            return "done"
        s = next((s for s in self.all_open(order.lane) if s.name == order.unit), None)
        if s is None:
            raise InvalidInput("the unit is not in the lane")
        if order.name in (SKIP, CANCEL) and s.phase is Phase.WAITING:
            phase = Phase.SKIPPED if order.name == SKIP else Phase.CANCELLED
            s = replace(s, phase=phase, reason=order.reason)
        elif order.name == CANCEL and s.phase is Phase.SENT:
            s = replace(s, want="cancel")
        elif order.name == RAISE_CAP:
            s = replace(s, max_fee=int(order.max_fee))
        elif order.name == RETRY:
            s = replace(s, waits_for=Wait.TURN)
        self.found[s.request_key] = s
        return "done"


class SqlModel(SqlLanes):
    """The real statements, in an SQLite database in memory, without threads."""

    def __init__(self) -> None:
        self.engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        LedgerModel.metadata.create_all(self.engine)
        super().__init__(cast(Database, _Direct(self.engine)))

    def everything(self) -> dict[str, Submission]:
        with self.engine.begin() as connection:
            return {s.request_key: s for s in submissions(connection, true())}


@dataclass
class _Direct:
    """One transaction per call, where the caller stands."""

    engine: Engine
    dialect: str = "sqlite"

    async def write(self, work: Work[T], *, patience: float = 0.0) -> T:
        await Tick()
        with self.engine.begin() as connection:
            return work(connection)

    async def read(self, work: Work[T], *, patience: float = 0.0) -> T:
        return await self.write(work)
