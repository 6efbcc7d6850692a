"""The part of the fault matrix that every run of the tests goes through; ``make faults`` runs all of it."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from tests.faults import network
from tests.faults.cases import CI_LIMIT_S, CI_SETTINGS, Case, Row, matrix
from tests.faults.planted import planted
from tests.faults.suite import housed, run_all

RIGS = 2
pytestmark = [pytest.mark.faults, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows(request: pytest.FixtureRequest) -> dict[Case, Row]:
    """The selected cases, run side by side on several rigs: they mostly wait."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params["case"] for spec in params if spec is not None and "case" in spec.params]
    cases = [case for case in matrix("ci") if case in chosen]
    return dict(
        zip(cases, await run_all(cases, rigs=RIGS, settings=CI_SETTINGS, limit_s=CI_LIMIT_S), strict=True)
    )


@pytest.mark.parametrize("case", matrix("ci"), ids=str)
def test_a_fault_costs_nothing_but_time(rows: dict[Case, Row], case: Case) -> None:
    row = rows[case]
    assert row.problems == ()
    assert (row.recomputed, row.lost, row.duplicated, row.orphans) == (0, 0, 0, 0)


def test_every_planted_violation_is_counted() -> None:
    async def plant() -> list[str]:
        async with housed(**CI_SETTINGS) as rig:
            return await planted(rig) + await network.planted()

    assert asyncio.run(plant()) == []
