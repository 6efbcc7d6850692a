"""The API's view of the rest of the system, from what the workers inject."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.models import ModelVersion, Shown
from provery.core.ports import Deps, Units
from provery.core.types import UnitOutcome, Work
from provery.systems.zkml.asking import inference_work, read_answer
from provery.systems.zkml.files import model_files
from provery.systems.zkml.http.backend import Backend
from provery.systems.zkml.model import Answer
from provery.systems.zkml.proving import proof_files
from provery.systems.zkml.shop import Shop
from provery.systems.zkml.units import request_digest


def backend_of(
    deps: Deps, shop: Shop, stream: str, units: Units, missing: Callable[[], Mapping[str, str]]
) -> Backend:
    """The backend of a stream.

    Args:
        deps: What the workers inject.
        shop: Of this process.
        stream: Whose.
        units: Starts units and tells how they stand.
        missing: Configured models that cannot be asked for yet, with the reason.

    Raises:
        ConfigurationError: the ledger keeps neither keys nor requests.
    """
    if deps.access is None:
        raise ConfigurationError("zkml needs a ledger that keeps API keys", action="upgrade the ledger")

    def digest(version: ModelVersion, values: Sequence[float], attest: str, owner: str) -> str:
        return request_digest(version, values, attest, owner)

    async def work(
        version: ModelVersion,
        values: Sequence[float],
        *,
        attest: str,
        fairness: str,
        weight: float,
        owner: str,
    ) -> Work:
        return await inference_work(
            shop, stream, version, values, attest=attest, fairness=fairness, weight=weight, owner=owner
        )

    async def answer(outcome: UnitOutcome) -> Answer:
        return await read_answer(deps.artifacts, outcome)

    async def check(version: ModelVersion, proof: bytes, instance: str) -> Shown:
        prover = shop.prover(version)
        model = await model_files(deps.artifacts, version)
        async with deps.artifacts.scratch() as folder:
            try:
                files = await asyncio.to_thread(proof_files, folder, proof, instance)
            except UnicodeEncodeError:
                raise InvalidInput("the public values are no text") from None
            return await prover.verify(model, files)

    return Backend(
        stream=stream,
        registry=shop.registry,
        access=deps.access,
        starter=units,
        ledger=deps.ledger,
        digest=digest,
        work=work,
        answer=answer,
        check=check,
        missing=missing,
    )
