"""Which units share a workflow, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.controls import batch_id
from provery.core.errors import InvalidInput
from provery.core.types import Work, canonical_json, digest_json

BATCH_BYTES = 1_000_000
"""Input of one batch; the server refuses 2 MiB."""
BATCH_UNITS = 500
"""Units of one batch; their outcomes must fit into one result."""


def owner_of(works: Sequence[Work]) -> str:
    """Workflow that is to own these units: a unit's own, or a batch that the same units always name the same."""
    first = works[0].unit
    if len(works) == 1:
        return first.workflow_id
    digest = digest_json(
        [[w.unit.key, w.unit.params_sha256, max(s.generation for s in w.plan.stages)] for w in works]
    )
    return batch_id(first.system, first.stream, digest)


def groups(works: Sequence[Work]) -> list[list[Work]]:
    """Works that may share a workflow: express plans of one stream and queue, within the limits of one input.

    Raises:
        InvalidInput: a unit's parameters are too large, or one name stands for two requests.
    """
    seen: dict[str, str] = {}
    open_: dict[tuple[str, str], list[Work]] = {}
    sizes: dict[tuple[str, str], int] = {}
    found: list[list[Work]] = []
    for work in works:
        unit, size = work.unit, work_size(work)
        if (known := seen.setdefault(unit.workflow_id, unit.params_sha256)) != unit.params_sha256:
            raise InvalidInput(
                "one unit with two sets of inputs",
                value=unit.workflow_id,
                expected=f"params with SHA-256 {known}",
            )
        if not work.plan.express:
            found.append([work])
            continue
        slot = (unit.stream_id, work.plan.express_queue)
        group = open_.get(slot)
        if group is None or sizes[slot] + size > BATCH_BYTES or len(group) >= BATCH_UNITS:
            group = open_[slot] = []
            sizes[slot] = 0
            found.append(group)
        group.append(work)
        sizes[slot] += size
    return found


def work_size(work: Work) -> int:
    """About how many bytes a work takes in a workflow's input.

    Raises:
        InvalidInput: more than one workflow may be given.
    """
    size = len(canonical_json(work.unit.params)) + 1_500
    if size > BATCH_BYTES:
        raise InvalidInput(
            "a unit's parameters are too large for a workflow",
            value=work.unit.workflow_id,
            expected=f"at most {BATCH_BYTES:,} bytes, not {size:,}",
            action="put large inputs into the artifact store and name them by digest",
        )
    return size
