"""A real worker that stops at stage boundaries when a file tells it to, so that a kill lands exactly there.

    GATES=dir python -m tests.faults.gated --queue cpu

At each boundary it looks for ``dir/hold-<boundary>``; while that file is there it has written
``dir/reached-<boundary>`` and waits. Boundaries: ``before-<stage>`` (its attempt is open, nothing is done),
``mid-<stage>`` (artifacts or rows are written, nothing is in the ledger) and ``after-<stage>`` (in the ledger, Temporal
not told).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activities import lane_follow
from activities.lane_desk import Desk
from activities.memo import Memo
from provery.core.ports import StageContext, System
from provery.systems.beacon.system import BeaconSystem
from provery.systems.queue.system import QueueSystem
from provery.systems.zkml.system import ZkmlSystem
from tests.faults.gates import BEFORE_CONFIRM, BEFORE_RECORD, BEFORE_SEND
from tests.support.statements import Signer
from workers.runtime import Environment

GATES = Path(os.environ["GATES"])


async def gate(name: str) -> None:
    """Wait at a boundary for as long as it is held."""
    hold = os.fspath(GATES / f"hold-{name}")
    while os.path.exists(hold):
        (GATES / f"reached-{name}").touch()
        await asyncio.sleep(0.01)


def install() -> None:
    """Put the gates around a stage's work and around the memoised step."""
    compute, succeeded, system = Memo._compute, Memo._succeeded, Environment.system

    def gated(run_stage: Any) -> Any:
        async def gated_run(self: System, stage: str, contexts: Sequence[StageContext]) -> Any:
            await gate(f"before-{stage}")
            return await run_stage(self, stage, contexts)

        return gated_run

    def with_prover(self: Environment, name: str) -> System:
        # Periods are here for their way in and out; a small prover keeps it short.
        self.deps.statements = {**self.deps.statements, "native": Signer()}
        return system(self, name)

    async def gated_succeeded(self: Memo, context: StageContext, *args: Any) -> Any:
        end = await succeeded(self, context, *args)
        await gate(f"mid-{context.given.plan.stage.value}")
        return end

    async def gated_compute(self: Memo, todo: Sequence[tuple[StageContext, Any]], *args: Any) -> Any:
        results = await compute(self, todo, *args)
        if todo:
            await gate(f"after-{todo[0][0].given.plan.stage.value}")
        return results

    def held(before: str, step: Any) -> Any:
        async def held_step(*args: Any) -> Any:
            await gate(before)
            return await step(*args)

        return held_step

    Desk.send = held(BEFORE_SEND, Desk.send)  # type: ignore[method-assign]
    Desk.seen = held(BEFORE_RECORD, Desk.seen)  # type: ignore[method-assign]
    lane_follow._confirmed = held(BEFORE_CONFIRM, lane_follow._confirmed)
    QueueSystem.run_stage = gated(QueueSystem.run_stage)  # type: ignore[method-assign]
    ZkmlSystem.run_stage = gated(ZkmlSystem.run_stage)  # type: ignore[method-assign]
    BeaconSystem.run_stage = gated(BeaconSystem.run_stage)  # type: ignore[method-assign]
    Environment.system = with_prover  # type: ignore[method-assign]
    Memo._succeeded = gated_succeeded  # type: ignore[method-assign, assignment]
    Memo._compute = gated_compute  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    install()
    from workers.__main__ import run

    sys.exit(run())
