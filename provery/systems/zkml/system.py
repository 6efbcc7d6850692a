"""The zkml system: models added, and their inferences proved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, ProveryError
from provery.core.lanes import Call, Chain, Policy, Standing
from provery.core.models import version_of
from provery.core.ports import Deps, StageContext, StageOutput
from provery.core.types import Json, Stage, Unit, UnitStatus, Work
from provery.systems.zkml import adding, proving
from provery.systems.zkml.asking import inference_work
from provery.systems.zkml.library import Found, Library, open_place
from provery.systems.zkml.model import SYSTEM
from provery.systems.zkml.onchain.settings import ChainSettings
from provery.systems.zkml.plan import model_plan
from provery.systems.zkml.settings import ZkmlSettings
from provery.systems.zkml.shop import Shop
from provery.systems.zkml.units import check_model_name, model_unit, read_numbers, read_settings

_Work = Callable[[Shop, StageContext], Awaitable[StageOutput]]
_STAGES: dict[str, dict[str, _Work]] = {
    "model": {
        Stage.FETCH: adding.fetch,
        Stage.WITNESS: adding.witness,
        Stage.PROVE: adding.prove,
        Stage.VERIFY: adding.verify,
    },
    "proof": {
        Stage.WITNESS: proving.witness,
        Stage.PROVE: proving.prove,
        Stage.VERIFY: proving.verify,
    },
}


class ZkmlSystem:
    """Adds models and proves inferences. Also a :class:`~provery.core.lanes.Submits`.

    Args:
        shop: What the stages share.
        library: Where models are found.
    """

    name = SYSTEM

    def __init__(self, shop: Shop, library: Library) -> None:
        self.shop, self.library = shop, library

    @classmethod
    def from_deps(cls, deps: Deps) -> ZkmlSystem:
        """The system, from what the workers inject."""
        shop = Shop.of(deps)
        return cls(shop, library_of(deps, shop.settings))

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Run one stage for one or many units; each gets its own output or error."""
        if not any(stage in stages for stages in _STAGES.values()):
            raise ConfigurationError("zkml has no such stage", value=stage)
        return [await self._one(stage, context) for context in contexts]

    async def _one(self, stage: str, context: StageContext) -> StageOutput | ProveryError:
        work = _STAGES.get(str(context.unit.params.get("kind")), {}).get(stage)
        if work is None:
            return ConfigurationError("a unit of this kind has no such stage", value=stage)
        try:
            return await work(self.shop, context)
        except ProveryError as error:
            return error

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Nothing: who asked looks at the unit itself."""

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """Models that lie in the library and are not added as they lie there; none is in a range of ordinals."""
        if first is not None or last is not None:
            return []
        found = await self.library.look()
        return [work for one in found if isinstance(one, Found) and (work := await self.wanted(stream, one))]

    async def wanted(self, stream: str, found: Found) -> Work | None:
        """The unit that adds a model as it lies there; None where nothing is to be done.

        A version that was added before is made current where another is: the file was changed back. Where none is, the
        model was retired, and its file has not changed since. A version whose files are gone from the store, or were
        found damaged and set aside, is made again.
        """
        unit = model_unit(stream, found.name, found.onnx, found.settings, found.calibration)
        version = version_of(found.onnx.sha256, found.settings)
        there = await self.shop.registry.get(found.name, version)
        if there is None or not all(await self.shop.artifacts.exists(list(there.files.values()))):
            deploys = self.shop.chains.settings(stream).attests
            return Work(unit, model_plan(self.shop.settings, found.settings, deploys=deploys))
        current = await self.shop.registry.get(found.name)
        if current is not None and current.version != version:
            await self.shop.registry.add(there)
        return None

    # ------------------------------------------------------------ the lane

    async def chain(self, stream: str) -> Chain:
        """The account that the stream submits from."""
        return await self.shop.chains.chain(stream)

    async def policy(self, stream: str) -> Policy:
        """What the stream's operator allows."""
        return await self.shop.chains.policy(stream)

    async def call(self, context: StageContext) -> Call:
        """The call that deploys a model's verifier, or attests an inference."""
        return await self.shop.chains.call(context)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """What the registry says of a call now."""
        return await self.shop.chains.standing(stream, ordinal, call)

    async def close(self) -> None:
        """Close connections to chains; stores and provers belong to the worker."""
        await self.shop.chains.close()


def library_of(deps: Deps, settings: ZkmlSettings) -> Library:
    """The library that the settings name."""
    place = open_place(settings.models_url(deps.home))
    return Library(place, deps.artifacts, settings.defaults(), settings.model_max_mb << 20)


async def addition_of(
    stream: str,
    deps: Deps,
    name: str,
    onnx: Path,
    settings: Mapping[str, Json],
    calibration: Path | None,
) -> Work:
    """The unit that adds a model's file under a name.

    Raises:
        InvalidInput: a name, a setting or a file that cannot be.
    """
    ours = ZkmlSettings.load(deps.env)
    check_model_name(name)
    wanted = read_settings({**ours.defaults().document(), **settings})
    size = (await asyncio.to_thread(onnx.stat)).st_size
    limit = ours.model_max_mb << 20
    if size > limit:
        raise InvalidInput("the model is too large", value=f"{size} bytes", expected=f"at most {limit}")
    kept = await deps.artifacts.put_file(onnx, name="model.onnx")
    rows = (
        await deps.artifacts.put_file(calibration, name="calibration.json")
        if calibration is not None
        else None
    )
    deploys = ChainSettings.load(stream, deps.env).attests
    return Work(model_unit(stream, name, kept, wanted, rows), model_plan(ours, wanted, deploys=deploys))


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of a request by hand: ``{"model_id": "spending-model", "inputs": [0.05, …]}``.

    Raises:
        InvalidInput: it is none, or no such model was added.
    """
    model, attest = request.get("model_id"), request.get("attest", "")
    if not isinstance(model, str) or not isinstance(attest, str) or "inputs" not in request:
        said = json.dumps(request, sort_keys=True)[:200]
        raise InvalidInput(
            "not a request for an inference", value=said, expected='{"model_id": …, "inputs": […]}'
        )
    shop = Shop.of(deps)
    version = await shop.registry.get(check_model_name(model))
    if version is None:
        raise InvalidInput("no such model", value=model, action="`provery zkml list` shows them")
    return await inference_work(shop, stream, version, read_numbers(request["inputs"]), attest=attest)
