"""The stages of a queue job: inputs, witness, proof, check, and the row that the sender reads.

Each stage takes one unit or a whole batch; a batch's units of one circuit go to the prover in one call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProofRejected,
    ProveryError,
)
from provery.core.ports import (
    CircomProver,
    CircuitResolver,
    Deps,
    ProveItem,
    StageContext,
    StageOutput,
    VerifyItem,
    WitnessItem,
)
from provery.core.types import Json, Stage, Unit, UnitStatus, Work, canonical_json
from provery.systems.queue.model import Submission
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.spec import Shape
from provery.systems.queue.stagework import (
    INPUT,
    PROOF,
    PUBLIC,
    WITNESS,
    Call,
    L,
    Outcome,
    about_itself,
    caught,
    input_of,
    isolating,
    json_object,
    keep_files,
    order_of,
    submission_of,
)
from provery.systems.queue.table import JobTable
from provery.systems.queue.witness import circuit_inputs


class QueueSystem:
    """Proves queue jobs.

    Args:
        settings: Of the queue system.
        table: Where results go.
        circuits: Where circuits are registered.
        provers: By name.
    """

    name = "queue"

    def __init__(
        self,
        settings: QueueSettings,
        table: JobTable,
        circuits: CircuitResolver,
        provers: Mapping[str, CircomProver],
    ) -> None:
        self._settings = settings
        self._table = table
        self._circuits = circuits
        self._provers = provers
        self._stages: dict[str, Callable[[Sequence[StageContext]], Awaitable[list[Outcome]]]] = {
            Stage.FETCH: self._fetch,
            Stage.WITNESS: self._witness,
            Stage.PROVE: self._prove,
            Stage.VERIFY: self._verify,
            Stage.SUBMIT: self._submit,
        }

    @classmethod
    def from_deps(cls, deps: Deps) -> QueueSystem:
        """The system, from what the workers inject."""
        settings = QueueSettings.load(deps.env, deps.home)
        return cls(settings, JobTable(settings.database_url), deps.circuits, deps.provers)

    async def run_stage(self, stage: str, contexts: Sequence[StageContext]) -> list[Outcome]:
        """Run one stage for one or many units; each gets its own output or error."""
        if stage not in self._stages:
            raise ConfigurationError(
                "a queue job has no such stage", value=stage, expected=", ".join(self._stages)
            )
        return await self._stages[stage](contexts)

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Mark a job as failed, unless it is done."""
        await self._table.prepare()
        request = unit.params.get("request")
        await self._table.fail({unit.key: (reason or f"the job was {status}", request)})

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """Jobs come through the ingress."""
        return []

    async def close(self) -> None:
        """Close the table. Provers belong to the worker."""
        await self._table.close()

    # ---- stages

    async def _fetch(self, contexts: Sequence[StageContext]) -> list[Outcome]:
        """The circuit's inputs, as canonical JSON."""

        async def one(context: StageContext) -> StageOutput:
            order = await order_of(context.unit, context.artifacts)
            version = str(context.unit.params.get("version", ""))
            shape = Shape.of(await self._circuits.manifest(order.circuit, version))
            body = canonical_json(circuit_inputs(order, shape))
            ref = await context.artifacts.put_bytes(body, name=INPUT)
            return StageOutput((ref,), {"circuit": order.circuit, "version": shape.version or version})

        return [await caught(one(context)) for context in contexts]

    async def _witness(self, contexts: Sequence[StageContext]) -> list[Outcome]:
        async def load(context: StageContext) -> dict[str, Json]:
            return json_object(await context.artifacts.read(input_of(context, INPUT)), INPUT)

        async def work(call: Call[dict[str, Json]]) -> list[Outcome]:
            async with call.artifacts.scratch() as folder:
                items = [WitnessItem(inputs, folder / f"{at}.wtns") for at, inputs in enumerate(call.loaded)]
                results = await call.prover.witness(call.circuit, items, call.progress)
                return await keep_files(call.artifacts, results, [((item.out, WITNESS),) for item in items])

        return await self._grouped(contexts, load, work)

    async def _prove(self, contexts: Sequence[StageContext]) -> list[Outcome]:
        async def load(context: StageContext) -> Path:
            return await context.artifacts.local(input_of(context, WITNESS))

        async def work(call: Call[Path]) -> list[Outcome]:
            async with call.artifacts.scratch() as folder:
                items = [
                    ProveItem(wtns, folder / f"{at}.proof.json", folder / f"{at}.public.json")
                    for at, wtns in enumerate(call.loaded)
                ]
                results = await call.prover.prove(call.circuit, items, call.progress)
                made = [((item.proof, PROOF), (item.public, PUBLIC)) for item in items]
                return await keep_files(call.artifacts, results, made)

        return await self._grouped(contexts, load, work)

    async def _verify(self, contexts: Sequence[StageContext]) -> list[Outcome]:
        """Nothing leaves before the pinned key accepts it, and before it is known to be about its own request."""

        async def load(context: StageContext) -> VerifyItem:
            proof, public = input_of(context, PROOF), input_of(context, PUBLIC)
            return VerifyItem(await context.artifacts.local(proof), await context.artifacts.local(public))

        async def work(call: Call[VerifyItem]) -> list[Outcome]:
            pinned = call.contexts[0].given.plan.verifying_key
            if pinned and pinned != call.circuit.vkey_sha256:
                raise InvalidKey(
                    f"verifying key of circuit {call.circuit.name} is not the one the job was planned with",
                    value=call.circuit.vkey_sha256,
                    expected=pinned,
                    action="register the circuit again under a new version",
                )
            shape = Shape.of(await self._circuits.manifest(call.circuit.name, call.circuit.version))
            outcomes: list[Outcome] = []
            results = await call.prover.verify(call.circuit, call.loaded)
            for context, result in zip(call.contexts, results, strict=True):
                error = result.error or await caught(about_itself(context, shape))
                if isinstance(error, ProofRejected):
                    for ref in context.inputs:
                        await context.artifacts.quarantine(ref, str(error))
                outcomes.append(error or StageOutput(context.inputs, usage=result.usage))
            return outcomes

        return await self._grouped(contexts, load, work)

    async def _submit(self, contexts: Sequence[StageContext]) -> list[Outcome]:
        """One transaction for all rows. A row that is done already stays as it is: the first result stands.

        A request by hand can meet a row that is done for another request under its id: it is refused.
        """
        await self._table.prepare()
        submissions: list[Submission] = []
        outcomes: list[Outcome] = []
        for context in contexts:
            made = await caught(submission_of(context))
            if isinstance(made, Submission):
                submissions.append(made)
                outcomes.append(StageOutput(context.inputs))
            else:
                outcomes.append(made)
        written = await self._table.submit(submissions)
        taken = await self._table.taken([s for s in submissions if s.id not in written])
        return [_taken(c.unit) if c.unit.key in taken else o for c, o in zip(contexts, outcomes, strict=True)]

    # ---- helpers

    async def _grouped(
        self,
        contexts: Sequence[StageContext],
        load: Callable[[StageContext], Awaitable[L]],
        work: Callable[[Call[L]], Awaitable[list[Outcome]]],
    ) -> list[Outcome]:
        """Load each unit's inputs, then call ``work`` once per circuit version and prover with those that loaded."""
        outcomes: dict[int, Outcome] = {}
        groups: dict[tuple[str, str, str], list[tuple[int, L]]] = {}
        for at, context in enumerate(contexts):
            loaded = await caught(load(context))
            if isinstance(loaded, ProveryError):
                outcomes[at] = loaded
                continue
            params = context.unit.params
            prover = context.prover or context.given.plan.prover or self._settings.prover
            groups.setdefault(
                (str(params.get("circuit", "")), str(params.get("version", "")), prover), []
            ).append((at, loaded))
        for (circuit, version, name), members in groups.items():
            places = [at for at, _ in members]
            try:
                if name not in self._provers:
                    known = ", ".join(sorted(self._provers))
                    raise ConfigurationError("this worker has no such prover", value=name, expected=known)
                files = await self._circuits.resolve(circuit, version)
                some = [contexts[at] for at in places]
                results = await isolating(
                    Call(files, self._provers[name], some, [value for _, value in members]), work
                )
            except ProveryError as error:
                results = [error] * len(places)
            outcomes.update(zip(places, results, strict=True))
        return [outcomes[at] for at in range(len(contexts))]


def _taken(unit: Unit) -> InvalidInput:
    return InvalidInput(
        "another request under this id is done",
        value=unit.key,
        expected="that same request, or a new id",
        action="choose another id",
    )
