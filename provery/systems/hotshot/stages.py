"""The stages: signatures and stake table brought in and checked, then the circuit's input, the proof, and the call."""

from __future__ import annotations

import asyncio
import logging
import time

from provery.core.errors import InvalidInput, ProofRejected, Superseded
from provery.core.lanes import Call
from provery.core.ports import StageContext, StageOutput
from provery.core.proving import check_key, input_named, keep, maker_of, short, workplace
from provery.core.types import canonical_json
from provery.systems.hotshot import abi, wire
from provery.systems.hotshot.discovery import check_state
from provery.systems.hotshot.errors import SequencerCommunicationError
from provery.systems.hotshot.model import LightClientState, StakeTable, StakeTableState, StateCertificate
from provery.systems.hotshot.spec import Tally, check_certificate, check_quorum, commitment, message_v2, tally
from provery.systems.hotshot.streams import Stream
from provery.systems.hotshot.tables import Electorate, electorate
from provery.systems.hotshot.units import Told, told
from provery.systems.hotshot.witness import document

log = logging.getLogger(__name__)
CERTIFICATE, TABLE, DOCUMENT = "certificate.json", "stake-table.json", "state.json"
"""The signed state, who may sign it, and the circuit's input made of them."""
STATEMENT_FILES = (CERTIFICATE, TABLE, DOCUMENT)
PROOF = "native_proof.bin"
"""A proof as our light client takes it."""
PLONK_PROOF = "plonk_proof.bin"
"""A PlonkProof of the circuit that the deployed light client knows: its 36 words, from an external command."""
_WORD = 32


async def fetch(stream: Stream, context: StageContext) -> StageOutput:
    """Signatures and stake table, checked against what the contract knows or will know by then.

    Raises:
        Superseded: the contract has this state or a later one.
        StakeTableMismatch: the sequencers' stake table is another than the contract's.
        InvalidState: too little stake has signed.
        SequencerCommunicationError: no sequencer has what is needed.
        InvalidInput: the unit was made for another contract.
    """
    unit = told(context.unit, await stream.place())
    held = await (await stream.contract()).held()
    if held.finalized.height >= unit.height:
        raise Superseded(f"the contract has height {held.finalized.height} already", value=context.unit.key)
    voters = await electorate(stream, held, unit.epoch)
    if unit.advances:
        certificate = await _certificate(stream, unit, voters, held.blocks_per_epoch)
    else:
        certificate = await _of_bundle(context, unit, voters)
    counted = await asyncio.to_thread(_tally, certificate, voters.table)
    if counted.dropped:
        stream.figures.dropped(len(counted.invalid), len(counted.unknown))
        log.warning(
            "%s: %s: %d invalid signatures and %d of unknown validators are left out",
            stream.id, context.unit.key, len(counted.invalid), len(counted.unknown),
        )  # fmt: skip
    outputs = [
        await context.artifacts.put_bytes(
            canonical_json(wire.write_certificate(certificate)), name=CERTIFICATE
        ),
        await context.artifacts.put_bytes(canonical_json(wire.write_stake_table(voters.table)), name=TABLE),
    ]
    said = {
        "signers": f"{counted.signers} of {len(voters.table)}",
        "dropped": str(counted.dropped),
        "weight": f"{counted.weight} of {counted.threshold}",
    }
    return StageOutput(tuple(outputs), short(said))


async def _certificate(
    stream: Stream, unit: Told, voters: Electorate, blocks_per_epoch: int
) -> StateCertificate:
    epoch = unit.epoch or 0
    found = await stream.sequencer.state_certificate(
        epoch, lambda one: check_certificate(one, voters.table, blocks_per_epoch)
    )
    if found is None:
        raise SequencerCommunicationError(
            f"no sequencer has the state certificate of epoch {epoch} yet",
            action="the network has to sign its root first; it is tried again",
        )
    return found


async def _of_bundle(context: StageContext, unit: Told, voters: Electorate) -> StateCertificate:
    """A relay server's signatures in the form of a certificate: from here on all states are alike."""
    if unit.bundle is None:
        raise InvalidInput("the unit names no signatures", value=context.unit.key)
    bundle = wire.read_bundle(await context.artifacts.read(unit.bundle))
    if bundle.state.height != unit.height:
        raise InvalidInput(
            "the unit's signatures are of another state", value=bundle.state.height, expected=str(unit.height)
        )
    await asyncio.to_thread(check_state, bundle, voters)
    return StateCertificate(unit.epoch or 0, bundle.state, bundle.next_stake, bundle.signatures)


async def witness(stream: Stream, context: StageContext) -> StageOutput:
    """Check and count once more, from the stored bytes alone, and write the circuit's input."""
    told(context.unit, await stream.place())
    certificate, table = await _signed(context), await _table(context)
    check_quorum(certificate.next_stake, "the stored certificate")
    capacity = stream.settings.stake_table_capacity

    def make() -> tuple[bytes, Tally]:
        counted = _tally(certificate, table)
        voting = commitment(table, capacity)
        return (
            document(certificate.state, voting, certificate.next_stake, table, counted.signatures),
            counted,
        )

    body, counted = await asyncio.to_thread(make)
    if counted.weight < counted.threshold:
        raise InvalidInput(
            "the stored signatures are too light",
            value=str(counted.weight),
            expected=f"at least {counted.threshold}",
        )
    ref = await context.artifacts.put_bytes(body, name=DOCUMENT)
    state = certificate.state
    said = {"circuit": stream.settings.circuit, "view": str(state.view), "height": str(state.height)}
    return StageOutput((input_named(context, CERTIFICATE), ref), said)


async def prove(stream: Stream, context: StageContext) -> StageOutput:
    """The proof by the plan's prover, beside what it is a proof of."""
    began = time.time()
    async with workplace(context, STATEMENT_FILES, _circuit(context), _params(context)) as place:
        proof = await stream.prover(context.prover).prove(place.statement, place.into, context.progress)
        refs = await keep(context, proof, place.into, STATEMENT_FILES)
    check_key(context, context.prover, proof.facts.get("verifying_key", ""))
    found = {**short(proof.facts), "prover": context.prover, "prove_s": f"{time.time() - began:.3f}"}
    given = tuple(ref for ref in context.inputs if ref.name in STATEMENT_FILES)
    return StageOutput((*given, *refs), found, proof.usage)


async def compress(stream: Stream, context: StageContext) -> StageOutput:
    """Wrap the proof, where the prover that made it does that; another one's is final already."""
    maker = maker_of(context)
    prover = stream.prover(maker)
    if not prover.compresses:
        return StageOutput(context.inputs)
    async with workplace(context, STATEMENT_FILES, _circuit(context), _params(context)) as place:
        proof = await prover.compress(place.statement, place.proof, place.into, context.progress)
        refs = await keep(context, proof, place.into, STATEMENT_FILES)
    check_key(context, maker, proof.facts.get("verifying_key", ""))
    replaced = {ref.name for ref in refs}
    kept = tuple(ref for ref in context.inputs if ref.name not in replaced)
    return StageOutput((*kept, *refs), short(proof.facts), proof.usage)


async def verify(stream: Stream, context: StageContext) -> StageOutput:
    """Nothing leaves before the pinned key accepts it. What does not verify is kept aside."""
    maker = maker_of(context)
    prover = stream.prover(maker)
    async with workplace(context, STATEMENT_FILES, _circuit(context), _params(context)) as place:
        try:
            found = await prover.verify(place.statement, place.proof)
        except ProofRejected as error:
            for ref in context.inputs:
                if ref.name not in STATEMENT_FILES:
                    await context.artifacts.quarantine(ref, str(error))
            raise
        used = found.get("verifying_key") or await prover.verifying_key(place.statement.circuit)
    check_key(context, maker, used)
    return StageOutput(context.inputs, {"verifying_key": used, "prover": maker})


async def call(stream: Stream, context: StageContext) -> Call:
    """The call that submits a verified proof; made of the stage's inputs alone."""
    unit = told(context.unit, await stream.place())
    certificate = await _signed(context)
    if certificate.state.height != unit.height:
        raise InvalidInput("the proof is of another state", value=certificate.state.height)
    names = [ref.name for ref in context.inputs]
    if PLONK_PROOF in names:
        body = await context.artifacts.read(input_named(context, PLONK_PROOF))
        words = [int.from_bytes(body[at : at + _WORD], "big") for at in range(0, len(body), _WORD)]
        data = abi.submit_plonk_call(certificate.state, certificate.next_stake, words)
    else:
        body = await context.artifacts.read(input_named(context, PROOF))
        data = abi.submit_call(certificate.state, certificate.next_stake, body)
    return Call(stream.settings.contract, data, method=abi.SUBMIT.name)


def submitted(data: str) -> tuple[LightClientState, StakeTableState]:
    """State and next stake table of a call that :func:`call` made.

    Raises:
        InvalidInput: it is none.
    """
    plonk = data.startswith("0x" + abi.SUBMIT_PLONK.selector.hex())
    state, table, _ = (abi.SUBMIT_PLONK if plonk else abi.SUBMIT).arguments(data)
    if not (isinstance(state, tuple) and isinstance(table, tuple)):
        raise InvalidInput("not a submission", value=data)
    return abi.state_of(state), abi.stake_table_of(table)


# ------------------------------------------------------------ parts


def _tally(certificate: StateCertificate, table: StakeTable) -> Tally:
    message = message_v2(certificate.state, certificate.next_stake)
    return tally(message, certificate.signatures, table)


async def _signed(context: StageContext) -> StateCertificate:
    return wire.read_certificate(await context.artifacts.read(input_named(context, CERTIFICATE)))


async def _table(context: StageContext) -> StakeTable:
    return wire.read_stake_table(await context.artifacts.read(input_named(context, TABLE)))


def _circuit(context: StageContext) -> str:
    return context.given.facts.get("circuit", "")


def _params(context: StageContext) -> dict[str, str]:
    return {
        name: str(context.unit.params.get(name, "")) for name in ("chain_id", "contract", "epoch", "height")
    }
