"""The local Ethereum node: it keeps its chain, and ends with its starter."""

import asyncio
from pathlib import Path

import pytest

from provery.core.errors import TransientError
from provery.local import doctor
from provery.local.anvil import AnvilServer
from provery.local.config import L1, Queue, check, load_topology
from provery.local.doctor import run_doctor
from provery.local.process import free_port, port_taken
from provery.local.supervisor import Supervisor
from tests.support.anvil import ETHER, Anvil, address
from tests.unit.local.test_supervisor import topology

pytestmark = pytest.mark.e2e


async def test_it_has_rich_accounts_and_stops(tmp_path: Path) -> None:
    async with AnvilServer(tmp_path, chain_id=4_242) as server:
        assert await server.call("eth_chainId") == hex(4_242)
        assert int(await server.call("eth_getBalance", address(9), "latest"), 16) == 10_000 * ETHER
        with pytest.raises(TransientError, match="anvil refuses eth_nonsense"):
            await server.call("eth_nonsense")
    assert not port_taken(server.host, server.port)
    with pytest.raises(TransientError, match="does not answer"):
        await server.call("eth_chainId")


async def test_blocks_by_the_clock(tmp_path: Path) -> None:
    async with Anvil(tmp_path, block_time_s=1) as server:
        before = await server.height()
        for _ in range(100):
            if await server.height() > before + 1:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("no blocks")


async def test_its_chain_survives_a_stop_and_a_kill(tmp_path: Path) -> None:
    async with Anvil(tmp_path) as server:
        await server.mine(3)
        await server.stop()
        await server.start()
        assert await server.height() == 3
        await server.mine(2)
        block = await server.call("eth_getBlockByNumber", "0x4", False)
        await server.kill_saved()
        await server.start()
        assert await server.height() == 5
        assert await server.call("eth_getBlockByNumber", "0x4", False) == block


async def test_a_torn_state_goes_back_to_a_good_one(tmp_path: Path) -> None:
    async with Anvil(tmp_path) as server:
        await server.mine(3)
        await server.kill_saved()
        await server.start()  # keeps a copy of what it starts from
        await server.mine(4)
        await server.kill_saved()
        text = server.state.read_text()
        server.state.write_text(text[: len(text) // 2])
        await server.start()
        assert await server.height() == 3
    (server.data / "state.good.json").unlink()
    server.state.write_text("{")
    async with server:
        assert await server.height() == 0


async def test_provery_up_runs_one(tmp_path: Path) -> None:
    l1 = L1(engine="anvil", port=free_port(), chain_id=77)
    supervisor = Supervisor(topology(tmp_path, l1=l1))
    assert ("l1", "port") in dict(supervisor.topology.ports())
    assert supervisor.l1 is not None
    assert supervisor.env["PROVERY_L1_URL"] == supervisor.l1.url == f"http://127.0.0.1:{l1.port}"
    async with supervisor.l1:
        assert await supervisor.l1.call("eth_chainId") == hex(77)
    assert supervisor.l1 in supervisor.servers


def test_without_one_there_is_none(tmp_path: Path) -> None:
    supervisor = Supervisor(topology(tmp_path))
    assert supervisor.l1 is None
    assert "PROVERY_L1_URL" not in supervisor.env
    external = Supervisor(topology(tmp_path, l1=L1(engine="external", url="http://node:8545")))
    assert external.l1 is None
    assert external.env["PROVERY_L1_URL"] == "http://node:8545"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("l1: { engine: external }", "expected a url with engine external only"),
        ("l1: { url: 'http://x' }", "expected a url with engine external only"),
        ("l1: { engine: geth }", "expected 'none', 'anvil' or 'external'"),
        ("l1: { engine: anvil, block_time: 500ms }", "expected whole seconds"),
        ("l1: { engine: anvil, port: 7233 }", "is also used by"),
        ("l1: { engin: anvil }", "did you mean engine?"),
    ],
)
def test_mistakes_in_the_topology_are_named(tmp_path: Path, section: str, said: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"queues: {{ orchestrate: {{}} }}\n{section}\n")
    problems = check(path)
    assert len(problems) == 1, problems
    assert said in str(problems[0])


async def test_the_doctor_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = load_topology().model_copy(update={"home": str(tmp_path), "queues": {"orchestrate": Queue()}})
    monkeypatch.setattr(doctor, "_programs", list)
    base = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}

    async def found(**env: str) -> doctor.Check:
        return next(c for c in await run_doctor(nothing, {**base, **env}) if c.name == "l1")

    assert (await found()).status == "ok"
    async with Anvil(tmp_path) as server:
        await server.mine(2)
        url = server.url.replace("http://", "http://user:s3cretword@")
        row = await found(PROVERY_L1_URL=url)
        assert (row.status, row.found) == ("ok", f"{server.url}: chain 31337, block 2")
    row = await found(PROVERY_L1_URL=url)
    assert row.status == "fail"
    assert row.fix
    assert "s3cretword" not in f"{row}"
