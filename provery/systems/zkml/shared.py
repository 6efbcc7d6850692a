"""One proof for requests that differ only in what goes on chain: ``attest`` changes the unit, not what is proved."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from provery.core.models import ModelVersion, Visibility
from provery.core.ports import StageContext, StageOutput
from provery.core.types import memo_key
from provery.systems.zkml.model import ATTESTS
from provery.systems.zkml.shop import Shop
from provery.systems.zkml.units import Inference, proof_unit

TAKEN_FROM = "taken_from"
"""Fact of a stage: the key of the unit that computed it."""


async def taken(
    shop: Shop, context: StageContext, asked: Inference, version: ModelVersion, inputs: Path
) -> StageOutput | None:
    """What the same stage of a unit that asks for the same proof has given; None where there is no such.

    A generation that an operator ordered is computed, whatever there is. Commitments are not shared: who sees one on
    chain must not be able to tell that it belongs to a proof that was given to somebody.

    Args:
        shop: Of this process.
        context: Of the stage.
        asked: The inference.
        version: Of the model.
        inputs: The witness stage's file; its ``values`` are the inputs as they were asked for.
    """
    plan, unit = context.given.plan, context.unit
    alone = plan.generation > 0 or version.settings.visibility is Visibility.COMMITMENT
    if alone or not shop.chains.settings(unit.stream).attests:
        return None
    values = json.loads(await asyncio.to_thread(inputs.read_bytes))["values"]
    digests = tuple(ref.sha256 for ref in context.inputs)
    others = (
        proof_unit(unit.stream, version, values, attest, asked.stored)
        for attest in ATTESTS
        if attest != asked.attest
    )
    keys = {memo_key(other, plan, digests): other.key for other in others}
    for key, result in (await context.ledger.lookup(list(keys))).items():
        if all(await context.artifacts.exists(list(result.outputs))):
            return StageOutput(result.outputs, {**result.facts, TAKEN_FROM: keys[key]})
    return None
