"""Units in flight survive a deploy: every recorded history replays on today's code."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from provery.client.converter import DATA_CONVERTER
from workers.run import WORKFLOWS
from workers.sandbox import RESTRICTIONS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def load(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def test_every_scenario_is_recorded() -> None:
    from tests.replay.record import SCENARIOS

    assert {path.stem for path in HISTORIES} >= set(SCENARIOS)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_replay(path: Path) -> None:
    history = load(path)
    runner = SandboxedWorkflowRunner(restrictions=RESTRICTIONS)
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=runner, data_converter=DATA_CONVERTER)
    result = await replayer.replay_workflow(history)
    assert result.replay_failure is None
