"""What Temporal is told of a workflow: what it can be found by, and how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from provery.core.controls import SA_ORDINAL, SA_PROVER, SA_STAGE, SA_STREAM, SA_SYSTEM, SA_UNIT
from provery.core.details import clip_bytes
from provery.core.types import Plan, Stage, Unit, Work

SEARCH_ATTRIBUTES: Mapping[str, str] = {
    SA_SYSTEM: "Keyword",
    SA_STREAM: "Keyword",
    SA_UNIT: "Keyword",
    SA_STAGE: "Keyword",
    SA_PROVER: "Keyword",
    SA_ORDINAL: "Int",
}
"""Search attribute name → type that the namespace must have."""


def stream_attributes(system: str, stream: str) -> list[SearchAttributePair[Any]]:
    """Search attributes of everything that belongs to a stream."""
    return [
        SearchAttributePair(SearchAttributeKey.for_keyword(SA_SYSTEM), system),
        SearchAttributePair(SearchAttributeKey.for_keyword(SA_STREAM), stream),
    ]


def batch_attributes(unit: Unit, plan: Plan) -> TypedSearchAttributes:
    """Search attributes of a batch: its stream and prover."""
    pairs = stream_attributes(unit.system, unit.stream)
    prove = plan.of(Stage.PROVE)
    if prove is not None and prove.prover:
        pairs.append(SearchAttributePair(SearchAttributeKey.for_keyword(SA_PROVER), prove.prover))
    return TypedSearchAttributes(pairs)


def search_attributes(unit: Unit, plan: Plan) -> TypedSearchAttributes:
    """Search attributes of a unit; its workflow keeps the stage up to date."""
    pairs = [
        *batch_attributes(unit, plan),
        SearchAttributePair(SearchAttributeKey.for_keyword(SA_UNIT), unit.key),
    ]
    if plan.stages:
        pairs.append(
            SearchAttributePair(SearchAttributeKey.for_keyword(SA_STAGE), plan.stages[0].stage.value)
        )
    if unit.ordinal is not None:
        pairs.append(SearchAttributePair(SearchAttributeKey.for_int(SA_ORDINAL), unit.ordinal))
    return TypedSearchAttributes(pairs)


def priority(works: Sequence[Work]) -> Priority:
    """Priority of the most urgent unit; fairness between streams unless the plan names another key."""
    plan = works[0].plan
    return Priority(
        priority_key=min(max(min(w.plan.priority for w in works), 1), 5),
        fairness_key=clip_bytes(plan.fairness or works[0].unit.stream_id, 64),
        fairness_weight=plan.fairness_weight if plan.fairness_weight != 1.0 else None,
    )
