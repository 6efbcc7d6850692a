"""Putting a light client on a chain: repeated, interrupted, stuck, too dear, and on chains that lack something."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provery.core import sending
from provery.core.errors import ConfigurationError, InvalidInput, SinkUnavailable
from provery.core.factory import FACTORY, address_of
from provery.core.lanes import Call, Chain, Policy, Unsigned
from provery.local import ROOT
from provery.systems.hotshot import abi, contracts, genesis, tagged
from provery.systems.hotshot.deploying import Deployment, creations, deploy
from provery.systems.hotshot.model import LightClientState
from tests.support.anvil import ETHER, GWEI, Anvil, address
from tests.support.light_client import POLICY, TABLE, compile_now, hash_code, setup

pytestmark = pytest.mark.e2e
HURRIED = Policy(stuck_after_s=0.5)


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as node:
        yield node


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    account = await anvil.open(0, abi.ERRORS)
    yield account
    await account.close()


async def put(chain: Chain, policy: Policy = POLICY, said: list[str] | None = None) -> Deployment:
    told = [] if said is None else said
    return await deploy(chain, hash_code(), setup(), policy=policy, say=told.append)


async def test_an_interrupted_deployment_goes_on(anvil: Anvil, chain: Chain) -> None:
    (_, verifier), (_, implementation), (_, proxy) = creations(hash_code(), setup(), bytes(32))
    for done in (verifier, implementation):
        call = Call(FACTORY, "0x" + (bytes(32) + done).hex(), method="create")
        await sending.send(chain, call, POLICY, lambda _: None)

    made = await put(chain)

    assert [c.found for c in made.contracts] == [True, True, False]
    assert made.proxy == address_of(proxy, bytes(32))
    assert await anvil.count(address(0)) == 3
    assert (await put(chain)).contracts[-1].found
    assert await anvil.count(address(0)) == 3
    assert not made.upgraded
    assert made.implementation == made.contracts[1].address


async def test_a_chain_without_the_deployment_proxy_is_told_how_to_get_it(tmp_path: Path) -> None:
    async with Anvil(tmp_path, options=["--disable-default-create2-deployer"]) as anvil:
        chain = await anvil.open(0, abi.ERRORS)
        with pytest.raises(
            ConfigurationError, match=r"no deterministic deployment proxy.*docs/contracts\.md"
        ):
            await put(chain)
        assert await anvil.count(address(0)) == 0
        page = (ROOT / "docs/contracts.md").read_text()
        (raw,) = re.findall(r"0xf8a5[0-9a-f]+", page.replace("\n    ", ""))
        (payer,) = re.findall(r"0x3f[0-9a-fA-F]{38}", page)
        await anvil.set_balance(payer, ETHER // 100)
        await anvil.call("eth_sendRawTransaction", raw)
        await anvil.mine()
        assert not (await put(chain)).contracts[0].found
        await chain.close()


async def test_nothing_is_sent_above_the_cap(anvil: Anvil, chain: Chain) -> None:
    with pytest.raises(ConfigurationError, match="gas costs more than is allowed"):
        await put(chain, replace(POLICY, max_fee_per_gas=100))
    assert await anvil.count(address(0)) == 0
    await anvil.next_base_fee(GWEI)
    made = await put(chain, replace(POLICY, max_fee_per_gas=3 * GWEI))
    assert all(0 < c.fee <= c.gas * 3 * GWEI for c in made.contracts)


async def test_an_account_without_money_is_named(anvil: Anvil, chain: Chain) -> None:
    await anvil.set_balance(address(0), 10**12)
    with pytest.raises(ConfigurationError, match=r"cannot pay|insufficient|funds"):
        await put(chain)
    assert await anvil.count(address(0)) == 0


async def test_a_stuck_transaction_is_replaced_at_its_nonce(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    said: list[str] = []
    task = asyncio.create_task(put(chain, HURRIED, said))
    seen: set[str] = set()
    for _ in range(1_000):
        pending = await anvil.pending()
        assert len(pending) <= 1, "one transaction at a time"
        seen |= set(pending)
        if len(seen) >= 3:
            break
        await asyncio.sleep(0.05)
    assert len(seen) >= 3, "it was replaced twice"
    while not task.done():
        await anvil.mine()
        await asyncio.sleep(0.1)

    made = await task
    assert await anvil.count(address(0)) == 3
    assert made.contracts[0].transaction in seen


async def test_a_nonce_that_somebody_else_used_is_left_to_them(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    said: list[str] = []
    task = asyncio.create_task(put(chain, HURRIED, said))
    while not await anvil.pending():
        await asyncio.sleep(0.02)
    await anvil.drop_all()
    fees = await chain.fees()
    other = await chain.sign(
        Unsigned(0, address(5), "0x", 1, 21_000, 20 * fees.base + GWEI, 10 * GWEI, dynamic=True)
    )
    await chain.send(other)
    while not task.done():
        await anvil.mine()
        await asyncio.sleep(0.1)

    assert not any(c.found for c in (await task).contracts)
    assert await anvil.count(address(0)) == 4
    assert any("was used by another transaction" in line for line in said)


async def test_what_never_lands_is_named_with_its_hashes(
    anvil: Anvil, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAIT_S", 1.0)
    await anvil.automine(False)
    with pytest.raises(SinkUnavailable, match=r"not confirmed within 1 s.*0x[0-9a-f]{60}"):
        await put(chain)


@pytest.mark.parametrize(
    "other",
    [
        {"blocks_per_epoch": 4},
        {"genesis": LightClientState(3, 18, 0)},
        {"stake_table": replace(TABLE, threshold=0)},
        {"stake_table": replace(TABLE, bls=abi.SCALAR_FIELD)},
        {"epoch_start_block": 2**64},
        {"owner": "nobody"},
    ],
)
def test_a_set_up_without_a_future_is_refused_before_anything_is_sent(other: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        creations(hash_code(), setup(**other), bytes(32))


async def test_a_genesis_is_read_from_what_is_given() -> None:
    state = LightClientState(9, 15, 77)
    given = {"stake_table": tagged.format_stake_state(TABLE), "blocks_per_epoch": 10, "epoch_start_block": 1}

    found = await genesis.genesis([], 10, state=tagged.format_state(state), **given)  # type: ignore[arg-type]
    assert found == genesis.Genesis(state, TABLE, 10, 1)
    assert (await genesis.genesis([], 10, **given)).state == genesis.BEGINNING  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="without the stake table"):
        await genesis.genesis([], 10, state=tagged.format_state(state))


def test_only_verifiers_of_eleven_inputs_have_a_light_client() -> None:
    head = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"
    groth16 = (
        "contract Verifier { function verifyProof(bytes calldata p, uint256[%d] calldata i) external {} }"
    )
    plonk = (
        "contract P { function Verify(bytes calldata p, uint256[] calldata i) external returns (bool) {} }"
    )

    def of(source: str) -> tuple[str, str]:
        built = compile_now({"v.sol": head + source}).contracts
        return contracts.client_for({name: one.abi for name, one in built.items()})

    assert of(groth16 % 11) == ("Verifier", contracts.GROTH16)
    assert of(plonk) == ("P", contracts.PLONK)
    with pytest.raises(InvalidInput, match="no verifier of light-client states"):
        of(groth16 % 12)
    with pytest.raises(InvalidInput, match="does not compile"):
        of("contract {")
