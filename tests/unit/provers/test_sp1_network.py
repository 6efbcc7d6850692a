"""The prover network's prover against a real server: what it asks for, fetches, checks, and what it may cost."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProofRejected,
    ProverCrashed,
    ProverTimeout,
    ProverUnavailable,
    ResourceExhausted,
    SpendingCapReached,
)
from provery.core.redact import redact, redactor
from provery.provers.process import Limits, limits
from provery.provers.sp1 import client as calls
from provery.provers.sp1.proto import types_pb2
from provery.provers.sp1.signing import Signer
from provery.provers.sp1_groth16 import SELECTORS
from provery.provers.sp1_network import Sp1Network
from provery.stores.ledger import open_ledger
from tests.support import sp1
from tests.support.sp1_network import VK_HASH, Network, running
from tests.support.sp1_rig import Rig, rig

KEY_OF_THE_PROGRAM = sha256(SELECTORS["v5.0.0"] + bytes.fromhex(sp1.PROGRAM)).hexdigest()
FULFILLED = (types_pb2.FULFILLED, types_pb2.EXECUTED)
ASSIGNED = (types_pb2.ASSIGNED, types_pb2.EXECUTED)
WAITING = (types_pb2.REQUESTED, types_pb2.UNEXECUTED)


@pytest_asyncio.fixture
async def net(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


@pytest.mark.parametrize("period", [1600, 1601])
async def test_a_period_is_proved_in_two_steps(net: Rig, period: int) -> None:
    first = await net.prove(period)
    assert set(first.files) == {"zk_proof.bin", "zk_vk.bin", "zk_vk_raw.bin"}
    assert first.files["zk_proof.bin"].read_bytes() == sp1.compressed(period)
    assert net.network.paid == 1
    second = await net.compress(period, first)
    assert set(second.files) == {
        "zk_groth16.bin",
        "zk_proof_g16.bin",
        "zk_pub.bin",
        "zk_vk.bin",
        "zk_vk_raw.bin",
    }
    assert second.files["zk_proof_g16.bin"].read_bytes() == sp1.onchain(period)
    assert second.files["zk_pub.bin"].read_bytes() == sp1.public(period)
    assert second.files["zk_vk_raw.bin"].read_bytes() == (sp1.VECTORS / "sp1/vk.bin").read_bytes()
    modes = [request.body.mode for request in net.network.accepted]
    assert modes == [types_pb2.COMPRESSED, types_pb2.GROTH16]
    assert net.network.programs[VK_HASH].vk == (sp1.VECTORS / "sp1/vk.bin").read_bytes()
    assert net.network.calls.count("CreateProgram") == 1
    facts = await net.prover.verify(net.statement(period), second.files)
    assert facts["program"] == sp1.PROGRAM
    # What was used of what was offered: base fee 0.3, 10^8 units at 1.2 times the quoted price.
    assert second.facts["sp1_cost"] == "0.36"
    rows = await net.submissions(period)
    assert [row["receipt"]["outcome"] for row in rows] == ["fulfilled", "fulfilled"]
    assert [row["cost"] for row in rows] == [pytest.approx(0.36)] * 2
    assert rows[0]["detail"]["requester"] == f"0x{Signer(bytes.fromhex(sp1.KEY)).address.hex()}"


async def test_a_groth16_proof_alone_is_one_request(tmp_path: Path) -> None:
    async with rig(tmp_path, PROVERY_SP1_PROOFS="groth16") as net:
        assert not net.prover.compresses
        made = await net.prove(1600)
        assert made.files["zk_proof_g16.bin"].read_bytes() == sp1.onchain(1600)
        assert (await net.compress(1600, made)).files == made.files
        assert net.network.paid == 1


async def test_reserved_provers_are_asked_without_an_auction(tmp_path: Path) -> None:
    async with rig(tmp_path, PROVERY_SP1_STRATEGY="reserved", PROVERY_SP1_AUCTION_S="0") as net:
        net.network.ends = lambda request, age: FULFILLED if age > 0.2 else WAITING
        made = await net.prove(1600)
        assert net.network.accepted[0].body.strategy == types_pb2.RESERVED
        assert not {"GetProofRequestParams", "GetProversByUptime", "CancelRequest"} & set(net.network.calls)
        assert (made.facts["sp1_cost"], net.network.paid) == ("0", 1)


async def test_uploads_may_be_left_as_they_are(tmp_path: Path) -> None:
    async with rig(tmp_path, PROVERY_SP1_UPLOADS="plain") as net:
        net.network.unpacks = bytes
        await net.prove(1600)
        assert net.network.paid == 1


async def test_the_input_may_come_with_the_statement(net: Rig) -> None:
    own = net.folder / "own-stdin"
    own.write_text("period 1600, by the system")
    given = net.statement(1600)
    files = {**given.files, "stdin.bin": own}
    await net.prover.prove(
        type(given)(given.unit, "", files, given.params, given.request_key), net.into(), net.told
    )
    assert net.network.paid == 1


async def test_a_long_enough_proof_is_a_repetition(net: Rig) -> None:
    """The same order again, as after a lost artifact: the proof is fetched again, nothing is requested."""
    await net.prove(1600)
    await net.prove(1600)
    assert (net.network.paid, len(net.network.bodies)) == (1, 1)


class TestMoney:
    async def test_a_price_above_the_cap_requests_nothing_and_one_below_it_once(self, net: Rig) -> None:
        net.network.price = 10**9 * 2
        for _ in range(2):
            with pytest.raises(SpendingCapReached, match=r"2\.3 PROVE.*at most 2 PROVE"):
                await net.prove(1600)
        assert (net.network.bodies, await net.submissions(1600)) == ([], [])
        net.network.price = 10**9
        await net.prove(1600)
        assert net.network.paid == 1

    async def test_the_offer_stays_within_the_cap(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_MAX_COST="0.85") as net:
            await net.prove(1600)
            body = net.network.accepted[0].body
            offered = int(body.base_fee) + int(body.max_price_per_pgu) * body.gas_limit
            assert Decimal(offered) / 10**18 <= Decimal("0.85")
            assert int(body.max_price_per_pgu) > net.network.price

    async def test_a_streams_own_cap_counts_where_it_is_lower(self, net: Rig) -> None:
        given = net.statement(1600)
        for cap, most in (("0.5", "0.5"), ("5", "2")):
            net.network.price = 10**9 * 2
            capped = replace(given, params={**given.params, "spending_cap": cap})
            with pytest.raises(SpendingCapReached, match=rf"at most {most} PROVE"):
                await net.prover.prove(capped, net.into(), net.told)
        bad = replace(given, params={**given.params, "spending_cap": "much"})
        with pytest.raises(InvalidInput, match="no amount"):
            await net.prover.prove(bad, net.into(), net.told)
        assert net.network.bodies == []

    async def test_a_streams_day_is_capped_too(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_MAX_COST_PER_DAY="1.1") as net:
            await net.prove(1600)  # at most 0.9, in the end 0.36
            first = await net.submissions(1600)
            assert first[0]["cost"] == pytest.approx(0.36)
            with pytest.raises(SpendingCapReached, match="in the last 24 h"):
                await net.prove(1601)
            assert net.network.paid == 1
            await net.prove(1600)  # what is paid already stays obtainable

    async def test_an_account_without_credit_is_told_so(self, net: Rig) -> None:
        net.network.denies = (grpc.StatusCode.FAILED_PRECONDITION, "insufficient balance")
        with pytest.raises(ResourceExhausted, match="fund the account"):
            await net.prove(1600)
        net.network.denies = None
        await net.prove(1600)
        assert net.network.paid == 1
        assert [bool(r["receipt"].get("unpaid")) for r in await net.submissions(1600)] == [True, False]

    async def test_an_unknown_account_is_a_setting(self, net: Rig) -> None:
        net.network.denies = (grpc.StatusCode.PERMISSION_DENIED, "not allowed")
        with pytest.raises(ConfigurationError, match="not allowed"):
            await net.prove(1600)


class TestEnds:
    async def test_unfulfillable_is_not_requested_again(self, net: Rig) -> None:
        net.network.ends = lambda request, age: (types_pb2.UNFULFILLABLE, types_pb2.EXECUTED)
        for _ in range(3):
            with pytest.raises(ProverCrashed, match="could not fulfil"):
                await net.prove(1600)
        assert (net.network.paid, len(net.network.bodies)) == (1, 1)
        assert (await net.submissions(1600))[0]["receipt"]["outcome"] == "UNFULFILLABLE"

    async def test_a_re_prove_order_requests_again(self, net: Rig) -> None:
        net.network.ends = lambda request, age: (types_pb2.UNFULFILLABLE, types_pb2.EXECUTED)
        with pytest.raises(ProverCrashed):
            await net.prove(1600)
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600, request_key="of-generation-1")
        assert net.network.paid == 2

    @pytest.mark.parametrize("how", [types_pb2.UNEXECUTABLE, types_pb2.VALIDATION_FAILED])
    async def test_a_program_that_fails_is_the_inputs_fault(
        self, net: Rig, how: types_pb2.ExecutionStatus
    ) -> None:
        net.network.ends = lambda request, age: (types_pb2.REQUESTED, how)
        with pytest.raises(InvalidInput, match="fails on this statement"):
            await net.prove(1600)
        assert net.network.paid == 1

    async def test_a_proof_after_the_deadline_is_taken(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_DEADLINE_S="1", PROVERY_SP1_GRACE_S="5") as net:
            net.network.ends = lambda request, age: FULFILLED if age > 2.2 else ASSIGNED
            made = await net.prove(1600)
            assert made.facts["sp1_outcome"] == "late"
            assert net.network.paid == 1

    async def test_a_proof_after_the_grace_is_taken_by_the_next_attempt(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_DEADLINE_S="1", PROVERY_SP1_GRACE_S="0") as net:
            net.network.ends = lambda request, age: ASSIGNED
            for _ in range(2):
                with pytest.raises(ProverTimeout, match="past its deadline"):
                    await net.prove(1600)
            net.network.ends = lambda request, age: FULFILLED
            assert (await net.prove(1600)).facts["sp1_outcome"] == "late"
            assert (net.network.paid, len(net.network.bodies)) == (1, 1)

    async def test_a_request_that_nobody_takes_is_cancelled_and_made_anew(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_AUCTION_S="0.5") as net:
            net.network.ends = lambda request, age: WAITING
            with pytest.raises(ProverTimeout, match="no prover took"):
                await net.prove(1600)
            assert (net.network.paid, len(net.network.accepted)) == (0, 1)
            net.network.ends = lambda request, age: FULFILLED
            await net.prove(1600)
            assert (net.network.paid, len(net.network.accepted)) == (1, 2)
            one, other = await net.submissions(1600)
            assert (one["receipt"]["unpaid"], one["cost"]) == ("no prover took it", 0)
            assert one["detail"]["stdin_uri"] == other["detail"]["stdin_uri"]

    async def test_a_prover_that_takes_it_in_the_last_moment_may_finish(self, tmp_path: Path) -> None:
        async with rig(tmp_path, PROVERY_SP1_AUCTION_S="0.3") as net:
            seen: list[float] = []

            def ends(request: Any, age: float) -> Any:
                seen.append(age)
                if "CancelRequest" in net.network.calls:  # it was assigned when the cancel arrived
                    return FULFILLED if age > 1 else ASSIGNED
                return WAITING

            net.network.ends = ends
            await net.prove(1600)
            assert (net.network.paid, len(net.network.accepted)) == (1, 1)

    async def test_a_request_that_expired_untaken_is_made_anew(self, tmp_path: Path) -> None:
        times = {"PROVERY_SP1_DEADLINE_S": "1", "PROVERY_SP1_GRACE_S": "0", "PROVERY_SP1_AUCTION_S": "100"}
        async with rig(tmp_path, None, **times) as net:
            net.network.ends = lambda request, age: WAITING
            with pytest.raises(ProverTimeout, match="before its deadline"):
                await net.prove(1600)
            net.network.ends = lambda request, age: FULFILLED if len(net.network.accepted) > 1 else WAITING
            await net.prove(1600)
            assert len(net.network.accepted) == 2


class TestProof:
    @pytest.mark.parametrize("mode", ["compressed,groth16", "groth16"])
    @pytest.mark.parametrize(
        "damage",
        [
            lambda proof: b"",
            lambda proof: proof[: len(proof) // 2],
            lambda proof: proof[:-90] + bytes([proof[-90] ^ 1]) + proof[-89:],
            lambda proof: sp1.compressed(1601) if len(proof) > 10_000 else sp1.groth16(1601),
            lambda proof: sp1.groth16(1600) if len(proof) > 10_000 else sp1.compressed(1600),
            lambda proof: b"<html>504 Gateway Time-out</html>",
        ],
        ids=["empty", "half", "one bit", "another period", "another kind", "html"],
    )
    async def test_a_corrupt_proof_is_fetched_again_and_not_paid_again(
        self, tmp_path: Path, mode: str, damage: Any
    ) -> None:
        async with rig(tmp_path, PROVERY_SP1_PROOFS=mode) as net:
            served: list[int] = []

            def once(proof: bytes) -> bytes:
                served.append(1)
                return cast(bytes, damage(proof)) if len(served) == 1 else proof

            net.network.serves = once
            await net.prove(1600)
            assert (len(served), net.network.paid) == (2, 1)

    async def test_one_that_stays_corrupt_fails_the_attempt_and_is_never_handed_on(
        self, tmp_path: Path
    ) -> None:
        async with rig(tmp_path, PROVERY_SP1_PROOFS="groth16") as net:
            net.network.serves = lambda proof: proof.replace(b"15f1630ffa", b"15f1630ffb")
            for _ in range(2):
                with pytest.raises(ProverCrashed, match=r"unusable \(SHA-256 .*does not verify"):
                    await net.prove(1600)
            net.network.serves = lambda proof: proof
            await net.prove(1600)
            assert (net.network.paid, len(net.network.bodies)) == (1, 1)

    async def test_an_endless_proof_is_cut_off(self, net: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provery.provers.sp1.bundle.LARGEST", 4 * 2**20)
        net.network.endless = True
        with pytest.raises(ProverCrashed, match="something else than a proof"):
            await net.prove(1600)
        net.network.endless = False
        await net.prove(1600)
        assert net.network.paid == 1

    async def test_the_final_check_is_of_this_statement(self, net: Rig) -> None:
        made = await net.compress(1600, await net.prove(1600))
        with pytest.raises((ProofRejected, InvalidInput)):
            await net.prover.verify(net.statement(1601), made.files)
        with pytest.raises(ProofRejected, match="missing"):
            await net.prover.verify(net.statement(1600), {})


async def test_the_key_is_nowhere_but_in_the_environment(net: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    net.network.denies = (grpc.StatusCode.PERMISSION_DENIED, f"you sent {sp1.KEY}")
    with pytest.raises(ConfigurationError) as caught:
        await net.prove(1600)
    net.network.denies = None
    await net.prove(1600)
    everything = [str(caught.value), caplog.text, str(await net.submissions(1600)), repr(net.prover)]
    everything += [(net.folder / "stdin-environment").read_text(), str(net.network.accepted)]
    assert [text for text in everything if sp1.KEY in text.lower()] == []
    assert redactor(f"0x{sp1.KEY}") in ("***", "0x***")
    assert [text for text in everything if "X-Amz-Signature=abcdef" in redact(text)] == []
    assert "X-Amz-Signature" in caplog.text  # httpx tells of it; the worker's handlers hide it


async def test_a_network_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE_S", 0.5)
    async with running(Network()) as gone:
        pass
    async with rig(tmp_path, None, PROVERY_SP1_RPC_URL=gone.url) as net:
        with pytest.raises(ProverUnavailable, match="does not answer GetProgram"):
            await net.prove(1600)


async def test_the_stages_time_ends_the_wait_and_leaves_the_request(net: Rig) -> None:
    net.network.ends = lambda request, age: ASSIGNED
    token = limits.set(Limits(timeout_s=1.0))
    began = time.monotonic()
    with pytest.raises(ProverTimeout, match="the request stands"):
        await net.prove(1600)
    assert time.monotonic() - began < 3
    limits.reset(token)
    net.network.ends = lambda request, age: FULFILLED
    await net.prove(1600)
    assert (net.network.paid, len(net.network.accepted)) == (1, 1)


async def test_an_unused_prover_opens_nothing(tmp_path: Path) -> None:
    await Sp1Network({}, tmp_path, cast(Any, None)).close()


async def test_a_program_that_changed_since_the_plan_is_not_paid_for(tmp_path: Path) -> None:
    async with rig(tmp_path, PROVERY_SP1_PROGRAM=f"{'01' * 32},{sp1.PROGRAM}") as net:
        given = net.statement(1600)
        planned = replace(given, params={**given.params, "verifying_key": KEY_OF_THE_PROGRAM})
        with pytest.raises(InvalidKey, match="another program first than when the period was planned"):
            await net.prover.prove(planned, net.into(), net.told)
        assert (net.network.paid, net.network.calls) == (0, [])


async def test_a_stored_proof_is_checked_with_the_program_of_its_manifest(tmp_path: Path) -> None:
    """A proof of a program that is configured no more cannot be checked; it is not one that does not hold."""
    proof = {"zk_proof_g16.bin": tmp_path / "proof", "zk_pub.bin": tmp_path / "public"}
    proof["zk_proof_g16.bin"].write_bytes(sp1.onchain(1600))
    proof["zk_pub.bin"].write_bytes(sp1.public(1600))
    given = sp1.statement(tmp_path)
    stored = replace(given, params={**given.params, "anchor": "any", "verifying_key": KEY_OF_THE_PROGRAM})
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:
        for programs in (sp1.PROGRAM, f"{'01' * 32},{sp1.PROGRAM}"):
            prover = Sp1Network({"PROVERY_SP1_PROGRAM": programs}, tmp_path, ledger)
            facts = await prover.verify(stored, proof)
            assert (facts["program"], facts["verifying_key"]) == (sp1.PROGRAM, KEY_OF_THE_PROGRAM)
        changed = Sp1Network({"PROVERY_SP1_PROGRAM": "01" * 32}, tmp_path, ledger)
        with pytest.raises(InvalidKey, match="does not name"):
            await changed.verify(stored, proof)
    finally:
        await ledger.close()
