"""Running workers for queues in one process, and draining them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.stages import Stages
from provery.core.queues import task_queue
from workers.queues import QueueSpec
from workers.runtime import Environment
from workers.sandbox import sandbox
from workflows.follow_stream import FollowStream
from workflows.prove_batch import ProveBatch
from workflows.prove_unit import ProveUnit
from workflows.submit_lane import SubmitLane

WORKFLOWS = [ProveUnit, ProveBatch, FollowStream, SubmitLane]

HEARTBEAT_THROTTLE = timedelta(seconds=0.8)
"""A cancel comes back with a heartbeat, and the SDK sends no more than one per this interval."""

log = logging.getLogger("provery.worker")


def deployment(env: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    """Worker versioning, when the platform names a deployment and a build."""
    name, build = env.get("TEMPORAL_DEPLOYMENT_NAME"), env.get("TEMPORAL_WORKER_BUILD_ID")
    if not name or not build:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=name, build_id=build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def make_worker(environment: Environment, spec: QueueSpec) -> Worker:
    """One Temporal worker for one queue."""
    stages = Stages(environment.memo, environment.identity, environment.device)
    return Worker(
        environment.client,
        task_queue=task_queue(spec.name, environment.env),
        workflows=WORKFLOWS if spec.workflows else [],
        activities=[*stages.all(), *environment.lanes(stages.where).all()] if spec.activities else [],
        workflow_runner=sandbox(environment.client),
        max_concurrent_activities=spec.slots or None,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        # A killed workflow worker's sticky tasks go to the others after this long.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        graceful_shutdown_timeout=timedelta(seconds=spec.grace_s),
        identity=environment.identity,
        deployment_config=deployment(environment.env),
    )


async def run_workers(environment: Environment, specs: Sequence[QueueSpec], stop: asyncio.Event) -> None:
    """Poll until ``stop``; then take nothing new, let activities finish for their grace and hand the rest back."""
    workers = [make_worker(environment, spec) for spec in specs]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()  # a worker that ends by itself met a fatal error
        log.info("draining", extra={"queues": [spec.name for spec in specs]})
    finally:
        stopping.cancel()
        await asyncio.gather(*(worker.shutdown() for worker in workers), return_exceptions=True)
        await asyncio.gather(*running, return_exceptions=True)
