"""The demo's mainnet period: whom it asks, where it writes, and what it says in the end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from provery.core.exits import UNIT_FAILED
from provery.core.types import UnitOutcome, UnitStatus
from provery.local.config import DEFAULT_FILE, Stream, Topology, load_topology
from provery.local.period_demo import ID, NAME, in_turn, sum_up, with_recorded
from provery.local.progress import bar
from provery.local.recorded import CHECKPOINT
from provery.local.supervisor import Demo, Supervisor, stream_settings
from provery.systems.beacon.settings import BeaconSettings

SHELL = {
    "RPC_URL": "https://node.example",
    "CHAIN": "gnosis",
    "EPOCHS_PER_PERIOD": "512",
    "OUTPUT_DIR": "/data/proofs",
    "PROMETHEUS_FILE": "/metrics/proof.prom",
    "PROVERY_BEACON_STREAMS": "gnosis",
    "PROVERY_BEACON_PROVERS": "sp1-network",
    "PROVERY_BEACON_PROVE_QUEUE": "gpu",
    "PROVERY_BEACON_CHECKPOINT": "0x" + "11" * 32,
}
"""What an operator's shell may have set for a stream that is in use."""


def shipped(home: Path, *streams: Stream) -> Topology:
    made = load_topology(DEFAULT_FILE)
    return made.model_copy(update={"home": str(home), "streams": (*made.streams, *streams)})


def page() -> Console:
    return Console(file=io.StringIO(), width=200)


def text(console: Console) -> str:
    return cast("io.StringIO", console.file).getvalue()


def test_nothing_of_the_shell_leads_out_of_the_demo(tmp_path: Path) -> None:
    topology = with_recorded(shipped(tmp_path))
    (stream,) = [stream for stream in topology.streams if stream.id == ID]
    for env in (SHELL | stream_settings(topology.streams), SHELL | stream.env):
        settings = BeaconSettings.load(NAME, env, tmp_path)
        assert settings.rpc_url == (stream.env["RPC_URL"],)
        assert settings.rpc_url[0].startswith("http://127.0.0.1:")
        assert (settings.chain, settings.epochs_per_period, settings.checkpoint) == (
            "mainnet",
            256,
            CHECKPOINT,
        )
        assert settings.provers == ("native",)
        assert settings.queue == "cpu"
        assert settings.output_dir == tmp_path / "period_store" / NAME
        assert settings.prometheus_file.is_relative_to(tmp_path)


def test_a_stream_beside_it_keeps_its_own_settings(tmp_path: Path) -> None:
    mine = Stream(system="beacon", stream="mainnet", settings={"RPC_URL": "http://mine:5052"})
    topology = with_recorded(shipped(tmp_path, mine))
    env = stream_settings(topology.streams)
    assert BeaconSettings.load("mainnet", env, tmp_path).rpc_url == ("http://mine:5052",)
    assert BeaconSettings.load("mainnet", env, tmp_path).checkpoint == ""
    assert BeaconSettings.load(NAME, env, tmp_path).output_dir == tmp_path / "period_store" / NAME


def test_a_demo_stream_in_the_file_is_completed(tmp_path: Path) -> None:
    mine = Stream(
        system="beacon", stream=NAME, ingress_port=3999, settings={"RPC_URL": "http://127.0.0.1:5999"}
    )
    topology = with_recorded(shipped(tmp_path, mine))
    (stream,) = [stream for stream in topology.streams if stream.id == ID]
    assert (stream.ingress_port, stream.env["RPC_URL"]) == (3999, "http://127.0.0.1:5999")
    assert stream.env["PROVERY_BEACON_CHECKPOINT"] == CHECKPOINT


@pytest.mark.parametrize(("statuses", "ran", "ended"), [((0, 0), 2, 0), ((3, 0), 1, 3), ((0, 3), 2, 3)])
async def test_demos_run_one_after_the_other_until_one_fails(
    statuses: tuple[int, ...], ran: int, ended: int
) -> None:
    seen: list[int] = []

    def demo(status: int) -> Demo:
        async def run(supervisor: Supervisor) -> int:
            seen.append(status)
            return status

        return run

    nobody: Any = None
    assert await in_turn(*map(demo, statuses))(nobody) == ended
    assert len(seen) == ran


def test_the_end_is_said_with_where_the_proof_is(tmp_path: Path) -> None:
    console, env = page(), {"OUTPUT_DIR": str(tmp_path / "store")}
    facts = {"attested_header_root": "ab" * 32, "next_keys_root": "cd" * 32}
    assert sum_up(UnitOutcome("u", UnitStatus.DONE, facts=facts), console, env, 41.23) == 0
    assert f"published in 41.2 s: {tmp_path}/store/1601" in text(console)
    assert "ab" * 32 in text(console)
    console = page()
    failed = UnitOutcome("u", UnitStatus.FAILED, "[bold]no memory", "ResourceExhausted")
    assert sum_up(failed, console, env, 1.0) == UNIT_FAILED
    assert "ended failed: [bold]no memory" in text(console)


def test_progress_is_a_line_for_each_phase_where_there_is_no_terminal() -> None:
    console = page()
    with bar("keys", console) as move:
        for step, done in (
            ("compile", 0.0),
            ("compile", 0.5),
            ("", 0.6),
            ("generate", 0.7),
            ("generate", 1.0),
        ):
            move(step, done, 1.0)
    assert text(console).splitlines() == ["keys: compile", "keys: generate"]


def test_progress_is_a_bar_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with bar("keys", console) as move:
        move("generate", 250, 1000)
        move("waiting", 0, 0)
        move("generate", 500, 1000)
    assert "keys: generate" in text(console)
    assert "50 %" in text(console)
