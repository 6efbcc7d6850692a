"""What Temporal itself costs: six no-op activities in a row, with nothing of Provery's around them.

The floor that a unit of six stages is compared with, measured in the same run on the same server.
``python -m bench.bare ADDRESS workflows|activities`` is its worker.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

STAGES = 6
WORKFLOWS, ACTIVITIES = "bare-workflows", "bare-activities"


@activity.defn
async def noop(text: str) -> str:
    """Nothing."""
    return text


@workflow.defn
class Bare:
    """Six remote activities, one after the other."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Return what was given."""
        for _ in range(STAGES):
            text = await workflow.execute_activity(
                noop, text, task_queue=ACTIVITIES, start_to_close_timeout=timedelta(minutes=1)
            )
        return text


async def main(address: str, role: str) -> None:
    """Work until killed."""
    client = await Client.connect(address)
    if role == "workflows":
        await Worker(client, task_queue=WORKFLOWS, workflows=[Bare]).run()
    else:
        await Worker(client, task_queue=ACTIVITIES, activities=[noop]).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
