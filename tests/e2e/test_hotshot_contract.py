"""The light client on a real node: every read, rule, event and error, by selector and by name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi.abi import encode

from provery.core.abi import Function
from provery.core.errors import Reverted
from provery.core.lanes import Chain
from provery.local import ROOT
from provery.systems.hotshot import abi, contracts
from provery.systems.hotshot.deploying import Code
from provery.systems.hotshot.model import LightClientState
from tests.support.anvil import Anvil, address
from tests.support.light_client import NEXT, TABLE, Client, compile_now, fresh_build, hash_code, setup

pytestmark = pytest.mark.e2e
ABI = ROOT / "provery/systems/hotshot/vectors/LightClientV2.abi.json"
TRANSFER = Function("transferOwnership", ("address",))
RENOUNCE = Function("renounceOwnership")
APPOINT = Function("setPermissionedProver", ("address",))
DISMISS = Function("disablePermissionedProverMode")
KEEP = Function("setStateHistoryRetentionPeriod", ("uint32",))
UPGRADE = Function("upgradeToAndCall", ("address", "bytes"))
DAY = 86_400


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as node:
        yield node


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    account = await anvil.open(0, abi.ERRORS)
    yield account
    await account.close()


@pytest.fixture
async def stranger(anvil: Anvil) -> AsyncIterator[Chain]:
    account = await anvil.open(1, abi.ERRORS)
    yield account
    await account.close()


@pytest.fixture
async def client(anvil: Anvil, chain: Chain) -> Client:
    return await Client.deploy(anvil, chain, setup())


def refuses(error: str) -> Any:
    return pytest.raises(Reverted, match=rf"refuses the call: {error}\(")


def test_the_committed_code_is_what_the_sources_give() -> None:
    build = fresh_build()
    committed = json.loads(contracts.COMPILED.read_text())

    assert build.warnings == ()
    assert committed["compiler"] == build.compiler
    for name in contracts.DEPLOYED:
        assert committed["contracts"][name]["bytecode"] == "0x" + build.contracts[name].creation.hex()
        assert committed["contracts"][name]["abi"] == build.contracts[name].abi
        assert build.contracts[name].size < 24_576


def test_its_functions_events_and_errors_are_the_deployed_ones_in_every_type() -> None:
    deployed = {_spelled(e): e for e in json.loads(ABI.read_text())}
    for name in (contracts.GROTH16, contracts.PLONK):
        entries: list[Any] = list(fresh_build().contracts[name].abi)
        ours = {_spelled(e): e for e in entries}
        reads = {s for s, e in deployed.items() if e.get("stateMutability") in ("view", "pure")}
        # The verifying key of another circuit, and version 1's call, which the fallback answers.
        assert {s for s in reads - set(ours)} == {s for s in reads if "_getVk" in s or "newFinalized" in s}
        for shared in set(ours) & set(deployed):
            for side in ("inputs", "outputs"):
                assert [_type(p) for p in ours[shared].get(side, [])] == [
                    _type(p) for p in deployed[shared].get(side, [])
                ], shared
        for kind in ("event", "error"):
            # The other way round some are not needed: "Upgrade" is a leftover beside ERC-1967's "Upgraded".
            assert {s for s, e in ours.items() if e["type"] == kind} <= set(deployed)


def _spelled(entry: dict[str, Any]) -> str:
    return f"{entry['type']} {entry.get('name')}({','.join(map(_type, entry.get('inputs', [])))})"


def _type(parameter: dict[str, Any]) -> str:
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    return f"({','.join(map(_type, parameter['components']))}){parameter['type'][5:]}"


async def test_every_read_answers_by_its_selector(client: Client) -> None:
    await client.submit(3, 7)

    async def ask(selector: str, *words: int) -> list[int]:
        data = "0x" + selector + "".join(f"{w:064x}" for w in words)
        answer = bytes.fromhex(
            (await client.anvil.call("eth_call", {"to": client.address, "data": data}, "latest"))[2:]
        )
        return [int.from_bytes(answer[i : i + 32]) for i in range(0, len(answer), 32)]

    table = [TABLE.threshold, TABLE.bls, TABLE.schnorr, TABLE.amount]
    assert await ask("9fdb54a7") == [3, 7, 1007]
    assert await ask("d24d933d") == [0, 0, 0]
    assert await ask("0625e19b") == await ask("426d3194") == table
    assert await ask("f0682054") == [10]
    assert await ask("3ed55b7b") == [11]
    assert await ask("76671808") == [1]
    assert await ask("826e41fc") == await ask("313df7b1") == [0]
    assert await ask("0d8e6e2c") == [2, 0, 0]
    assert await client.read(abi.IS_EPOCH_ROOT, 15) == (True,)
    assert await client.read(abi.IS_EPOCH_ROOT, 16) == (False,)
    assert await client.read(abi.IS_PAST_EPOCH_ROOT, 15) == (False,)
    assert await client.read(abi.IS_PAST_EPOCH_ROOT, 16) == (True,)
    assert [await client.read(abi.EPOCH_OF, h, 10) for h in (0, 1, 10, 11)] == [(1,), (1,), (1,), (2,)]
    assert await client.read(abi.EPOCH_OF, 11, 0) == (0,)
    assert await client.read(abi.OWNER) == (address(0).lower(),)
    assert await client.read(abi.HISTORY_COUNT) == (1,)
    assert await client.read(abi.HISTORY_FIRST) == (0,)
    assert await client.read(abi.HISTORY_RETENTION) == (8 * DAY,)
    entry = await client.read(abi.HISTORY_ENTRY, 0)
    assert (entry[0], entry[2:]) == (await client.anvil.height(), (7, 1007))
    assert await client.read(abi.L1_BLOCK) == (await client.anvil.height(),)
    assert await client.read(abi.UPGRADE_INTERFACE) == ("5.0.0",)
    assert await client.read(abi.COMMITMENT_OF, 6) == (1007, 7)


async def test_it_is_a_proxy(client: Client) -> None:
    implementation = client.deployment.contracts[1].address
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    word = await client.anvil.call("eth_getStorageAt", client.address, slot, "latest")

    assert word[-40:] == implementation[2:].lower()
    assert await client.chain.storage(implementation, int(slot, 16)) == 0
    own = await client.chain.read(implementation, abi.PROXIABLE.call())
    assert own.hex() == slot[2:]
    with refuses("UUPSUnauthorizedCallContext"):
        await client.do(abi.PROXIABLE.call())


async def test_epochs_go_by_and_tables_change_at_their_roots(client: Client) -> None:
    await client.submit(4, 4)
    receipt = await client.submit(12, 12)  # into the first epoch that counts, over no root
    assert await client.logs(receipt) == [
        (
            [abi.NEW_STATE.topic, (12).to_bytes(32), (12).to_bytes(32)],
            (1012).to_bytes(32),
        )
    ]
    receipt = await client.submit(15, 15, NEXT)
    logs = [abi.NEW_EPOCH.read(*log) or abi.NEW_STATE.read(*log) for log in await client.logs(receipt)]
    assert logs == [(3,), (15, 15, 1015)]
    assert await client.read(abi.CURRENT_EPOCH) == (2,)
    assert abi.stake_table_of(await client.read(abi.VOTING_STAKE_TABLE)) == NEXT
    assert abi.stake_table_of(await client.read(abi.GENESIS_STAKE_TABLE)) == TABLE
    await client.submit(21, 21)
    await client.submit(25, 25, TABLE)
    await client.submit(35, 35, NEXT)
    assert abi.state_of(await client.read(abi.FINALIZED_STATE)) == client.model.finalized
    assert abi.stake_table_of(await client.read(abi.VOTING_STAKE_TABLE)) == client.model.voting == NEXT


async def test_every_rule_by_its_error(client: Client, stranger: Chain) -> None:
    await client.submit(12, 12)
    cases = [
        ("OutdatedState", client.data(12, 13)),
        ("OutdatedState", client.data(13, 12)),
        ("OutdatedState", client.data(11, 11)),
        ("InvalidArgs", client.data(16, 16)),
        ("InvalidArgs", client.data(20, 20)),
        ("MissingEpochRootUpdate", client.data(21, 21)),
        ("MissingEpochRootUpdate", client.data(25, 25, NEXT)),
        ("MissingEpochRootUpdate", client.data(31, 31)),
        ("WrongStakeTableUsed", client.data(13, 13, NEXT)),
        ("InvalidProof", client.data(13, 13, proof=bytes(32))),
        ("InvalidProof", client.data(13, 13, proof=b"")),
        ("DeprecatedApi", abi.SUBMIT_V1.call((1, 2, 3), ([(0, 0)] * 13 + [0] * 10))),
    ]
    for error, data in cases:
        with refuses(error):
            await client.do(data)
    for unknown in ("0x", "0x12345678", abi.SUBMIT_PLONK.selector.hex()):
        with pytest.raises(Reverted, match="no reason given"):
            await client.do(unknown if unknown.startswith("0x") else "0x" + unknown)
    for column in ("threshold", "schnorr", "amount"):
        with refuses("InvalidArgs"):
            await client.do(client.data(15, 15, replace(NEXT, **{column: 0})))
    await client.submit(15, 15, NEXT)
    with refuses("MissingEpochRootUpdate"):
        await client.do(client.data(31, 31))
    await client.do(APPOINT.call(stranger.sender))
    with refuses("ProverNotPermissioned"):
        await client.do(client.data(21, 21))
    await client.do(client.data(21, 21), chain=stranger)
    assert await client.read(abi.PERMISSIONED) == (True,)
    assert await client.read(abi.PERMISSIONED_PROVER) == (stranger.sender.lower(),)


async def test_a_proof_is_of_these_eleven_inputs(client: Client) -> None:
    """A right proof with any one input changed, of those that the sender chooses."""
    await client.submit(12, 12)
    right = abi.read_submission(client.data(15, 15, NEXT))
    state, table = right.state, right.next_stake
    changed = [
        (LightClientState(16, 15, state.block_comm_root), table),
        (LightClientState(15, 14, state.block_comm_root), TABLE),
        (LightClientState(15, 15, 1), table),
        *((state, type(table)(**{**vars(table), name: 99})) for name in vars(table)),
    ]
    for new_state, new_table in changed:
        with refuses("InvalidProof"):
            await client.do(abi.submit_call(new_state, new_table, right.proof))
    await client.do(abi.submit_call(state, table, right.proof))


@pytest.mark.parametrize(
    ("error", "start"),
    [
        ("InvalidArgs", {"blocks_per_epoch": 5}),
        ("InvalidArgs", {"genesis": LightClientState(1, 16, 0)}),
        ("InvalidArgs", {"genesis": LightClientState(1, 20, 0)}),
        ("InvalidArgs", {"stake_table": type(TABLE)(1, 2, 3, 0)}),
        ("InvalidArgs", {"stake_table": type(TABLE)(1, 0, 3, 4)}),
        ("InvalidArgs", {"stake_table": type(TABLE)(abi.SCALAR_FIELD, 2, 3, 4)}),
        ("InvalidArgs", {"genesis": LightClientState(0, 0, abi.SCALAR_FIELD)}),
        ("OwnableInvalidOwner", {"owner": "0x" + 40 * "0"}),
        ("InvalidMaxStateHistory", {"retention_s": 3_599}),
        ("InvalidMaxStateHistory", {"retention_s": 366 * DAY}),
    ],
)
async def test_set_ups_without_a_future_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: str, start: dict[str, Any]
) -> None:
    # What the operator's program refuses by itself goes to the chain here.
    monkeypatch.setattr(
        "provery.systems.hotshot.contract_rules.LightClientContract.check_setup", lambda _: None
    )
    monkeypatch.setattr(abi, "SCALAR_FIELD", 2**256)
    implementation, call = client.deployment.contracts[1].address, bytes.fromhex(setup(**start).call()[2:])
    arguments = encode(["address", "bytes"], [implementation, call])
    creation = contracts.creation_code(contracts.PROXY) + arguments
    assert await _refusal_of_creation(client.anvil, creation) == error


async def test_a_proxy_is_never_left_without_a_start(client: Client) -> None:
    implementation = client.deployment.contracts[1].address
    for error, arguments in (
        ("InvalidInitialization", [implementation, b""]),
        ("ERC1967InvalidImplementation", [address(5), b"1"]),
    ):
        creation = contracts.creation_code(contracts.PROXY) + encode(["address", "bytes"], arguments)
        assert await _refusal_of_creation(client.anvil, creation) == error


async def _refusal_of_creation(anvil: Anvil, creation: bytes) -> str:
    """Name of the error that a constructor reverts with; the deployment proxy would hide it."""
    request = {"from": address(0), "data": "0x" + creation.hex()}
    order = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [request, "latest"]}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = (await http.post(anvil.url, json=order)).json()
    return abi.error_name(bytes.fromhex(answer["error"]["data"][2:]))


async def test_history_is_kept_and_cleared(client: Client) -> None:
    for height in (3, 5, 12):
        await client.submit(height, height)
        await client.anvil.mine(10)

    assert await client.read(abi.HISTORY_COUNT) == (3,)
    for block, covering in ((0, 3), (2, 3), (3, 5), (4, 5), (5, 12), (11, 12)):
        assert await client.read(abi.COMMITMENT_OF, block) == (1000 + covering, covering)
    with pytest.raises(Reverted, match="InvalidHotShotBlockForCommitmentCheck"):
        await client.read(abi.COMMITMENT_OF, 12)

    seen = [int(str((await client.read(abi.HISTORY_ENTRY, i))[0])) for i in range(3)]
    assert await client.read(abi.LAGS, seen[2] - 1, seen[2] - 1 - seen[1]) == (False,)
    assert await client.read(abi.LAGS, seen[2] - 1, seen[2] - 2 - seen[1]) == (True,)
    assert await client.read(abi.LAGS, seen[2], 0) == (False,)
    for unknown in (seen[0] - 1, 10**6):
        with pytest.raises(Reverted, match="InsufficientSnapshotHistory"):
            await client.read(abi.LAGS, unknown, 1)

    await client.anvil.call("evm_increaseTime", 8 * DAY)
    await client.submit(15, 15, NEXT)
    assert await client.read(abi.HISTORY_FIRST) == (1,)
    assert await client.read(abi.HISTORY_ENTRY, 0) == (0, 0, 0, 0)
    assert await client.read(abi.COMMITMENT_OF, 0) == (1005, 5)
    await client.submit(22, 22)
    assert await client.read(abi.HISTORY_FIRST) == (2,)

    with refuses("InvalidMaxStateHistory"):
        await client.do(KEEP.call(8 * DAY))
    with refuses("InvalidMaxStateHistory"):
        await client.do(KEEP.call(366 * DAY))
    await client.do(KEEP.call(9 * DAY))


async def test_the_owner_and_nobody_else_appoints_upgrades_and_leaves(
    client: Client, stranger: Chain
) -> None:
    implementation = client.deployment.contracts[1].address
    owned = [
        APPOINT.call(stranger.sender),
        DISMISS.call(),
        KEEP.call(10**6),
        TRANSFER.call(stranger.sender),
        RENOUNCE.call(),
        UPGRADE.call(implementation, b""),
    ]
    for data in owned:
        with refuses("OwnableUnauthorizedAccount"):
            await client.do(data, chain=stranger)
    nobody = "0x" + 40 * "0"
    with refuses("InvalidAddress"):
        await client.do(APPOINT.call(nobody))
    with refuses("NoChangeRequired"):
        await client.do(DISMISS.call())
    appointed = await client.logs(await client.do(APPOINT.call(stranger.sender)))
    assert abi.PROVER_REQUIRED.read(*appointed[0]) == (stranger.sender.lower(),)
    with refuses("NoChangeRequired"):
        await client.do(APPOINT.call(stranger.sender))
    dismissed = await client.logs(await client.do(DISMISS.call()))
    assert abi.PROVER_NOT_REQUIRED.read(*dismissed[0]) == ()
    with refuses("OwnableInvalidOwner"):
        await client.do(TRANSFER.call(nobody))
    handed = await client.logs(await client.do(TRANSFER.call(stranger.sender)))
    assert abi.OWNERSHIP_TRANSFERRED.read(*handed[0]) == (
        client.chain.sender.lower(),
        stranger.sender.lower(),
    )
    with refuses("OwnableUnauthorizedAccount"):
        await client.do(RENOUNCE.call())
    await client.do(RENOUNCE.call(), chain=stranger)
    assert await client.read(abi.OWNER) == (nobody,)


async def test_it_starts_once_and_its_code_never(client: Client) -> None:
    again = setup().call()
    implementation = client.deployment.contracts[1].address
    for where in (client.address, implementation):
        with refuses("InvalidInitialization"):
            await client.do(again, to=where)


async def test_another_verifier_takes_another_implementation(
    client: Client, anvil: Anvil, chain: Chain
) -> None:
    await client.submit(12, 12)
    other = await Client.deploy(anvil, chain, setup(), code=hash_code(), salt=1)
    implementation = other.deployment.contracts[1].address
    for wrong, error in (
        (address(5), "ERC1967InvalidImplementation"),
        (client.deployment.contracts[0].address, "ERC1967InvalidImplementation"),
        (client.address, "ERC1967InvalidImplementation"),
    ):
        with refuses(error):
            await client.do(UPGRADE.call(wrong, b""))
    with refuses("UUPSUnauthorizedCallContext"):
        await _as_owner_of_nothing(client, implementation)
    logs = await client.logs(await client.do(UPGRADE.call(implementation, b"")))

    assert abi.UPGRADED.read(*logs[0]) == (implementation.lower(),)
    await client.submit(13, 13)  # state and rules go on
    found = await Client.deploy(anvil, chain, setup())
    assert found.deployment.upgraded
    assert found.deployment.implementation == implementation
    assert found.deployment.finalized.height == 13


async def _as_owner_of_nothing(client: Client, implementation: str) -> None:
    """Call the implementation itself as its owner, which storage is made to say."""
    await client.anvil.call(
        "anvil_setStorageAt", implementation, "0x" + 64 * "0", "0x" + address(0)[2:].lower().rjust(64, "0")
    )
    await client.do(UPGRADE.call(implementation, b""), to=implementation)


async def test_reads_and_submissions_survive_a_verifier_that_lies(
    client: Client, anvil: Anvil, chain: Chain
) -> None:
    """PLONK's verifier answers false and does not revert; no answer at all must not count as one."""
    source = """// SPDX-License-Identifier: Apache-2.0
    pragma solidity ^0.8.28;
    contract Says { function Verify(bytes calldata p, uint256[] calldata i) external pure returns (bool) {
        if (p.length == 3) revert("malformed");
        return p.length == 1 && i.length == 11; } }"""
    build = compile_now({"Says.sol": source})
    code = Code(
        build.contracts["Says"].creation,
        contracts.creation_code(contracts.PLONK),
        contracts.creation_code(contracts.PROXY),
    )
    plonk = await Client.deploy(anvil, chain, setup(), code=code)
    for proof in (b"", b"ab", b"abc"):
        with refuses("InvalidProof"):
            await plonk.do(plonk.data(1, 1, proof=proof))
    await plonk.do(plonk.data(1, 1, proof=b"a"))
    creation = contracts.creation_code(contracts.PLONK) + encode(["address"], [address(7)])
    assert await _refusal_of_creation(anvil, creation) == "InvalidAddress"
