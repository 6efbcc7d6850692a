"""Streams from the environment, plans from settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError, InvalidKey
from provery.core.proving import pin, pinned
from provery.core.types import Stage
from provery.systems.beacon import look_every_s
from provery.systems.beacon.plan import backfill_name, first_of, plan_for
from provery.systems.beacon.settings import BeaconSettings

HOME = Path("/home/provery")


def load(stream: str, **env: str) -> BeaconSettings:
    return BeaconSettings.load(stream, env, HOME)


def test_the_upstream_daemons_names_configure_one_stream() -> None:
    found = load(
        "mainnet",
        RPC_URL="http://a:1, http://b:2",
        CHAIN="gnosis",
        EPOCHS_PER_PERIOD="512",
        CHECK_INTERVAL_MS="60000",
        OUTPUT_DIR="/data/proofs",
        PROMETHEUS_FILE="/metrics/proof.prom",
        SP1_PRIVATE_KEY="not read here",
    )
    assert found.rpc_url == ("http://a:1", "http://b:2")
    assert (found.chain, found.epochs_per_period, found.check_interval_ms) == ("gnosis", 512, 60_000)
    assert (found.output_dir, found.prometheus_file) == (Path("/data/proofs"), Path("/metrics/proof.prom"))
    assert found.provers == ("native",), "a key alone chooses no network that costs money"


def test_defaults() -> None:
    found = load("sepolia")
    assert (found.chain, found.rpc_url, found.checkpoint) == ("sepolia", (), "")
    assert load("anything").chain == "mainnet"
    assert found.output_dir == HOME / "period_store/sepolia"
    assert found.prometheus_file == HOME / "metrics/beacon-sepolia.prom"
    assert look_every_s("sepolia", {}) == 600


def test_several_streams_have_variables_of_their_own() -> None:
    env = {
        "PROVERY_BEACON_STREAMS": "mainnet, my-net",
        "PROVERY_BEACON_MAINNET_RPC_URL": "http://a",
        "PROVERY_BEACON_MY_NET_RPC_URL": "http://b",
        "PROVERY_BEACON_MY_NET_CHAIN": "devnet",
        "PROVERY_BEACON_MY_NET_PROVERS": "native,sp1-network",
        "PROVERY_BEACON_MY_NET_SPENDING_CAP": "0.75",
        "RPC_URL": "http://whose",
        "OUTPUT_DIR": "/whose",
        "PROVERY_BEACON_PROVERS": "whose",
    }
    one, two = load("mainnet", **env), load("my-net", **env)
    assert (one.rpc_url, one.chain, one.provers) == (("http://a",), "mainnet", ("native",))
    assert (two.rpc_url, two.chain, two.provers) == (("http://b",), "devnet", ("native", "sp1-network"))
    assert two.spending_cap == "0.75"
    assert one.output_dir != two.output_dir
    with pytest.raises(ConfigurationError, match=r"PROVERY_BEACON_STREAMS has no such stream.*'sepolia'"):
        load("sepolia", **env)


def test_the_streams_own_name_goes_first() -> None:
    env = {"RPC_URL": "http://a", "PROVERY_BEACON_X_RPC_URL": "http://b", "PROVERY_BEACON_STREAMS": "x"}
    assert load("x", **env).rpc_url == ("http://b",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHAIN", "goerli"), ("EPOCHS_PER_PERIOD", "NaN"), ("CHECK_INTERVAL_MS", "10"),
        ("PROVERY_BEACON_PROVE_QUEUE", "fast"), ("PROVERY_BEACON_PROVERS", "a,a"),
        ("PROVERY_BEACON_CHECKPOINT", "0x12"),
        ("PROVERY_BEACON_SPENDING_CAP", "much"),
        ("PROVERY_BEACON_X_ATTEMPTS", "0"),
        ("PROVERY_BEACON_FIRST_PERIOD", "-1"),
        ("PROVERY_BEACON_TIMEOUT_S", "inf"), ("PROVERY_BEACON_EXPECTED_S", "nan"),
    ],
)  # fmt: skip
def test_a_malformed_value_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        load("x", **{variable: value})


def test_a_stream_needs_a_usable_name() -> None:
    with pytest.raises(Exception, match="not a usable stream"):
        load("../x")


# ---------------------------------------------------------------- plans


def test_a_prover_elsewhere_only_waits_here() -> None:
    assert load("x", PROVERY_BEACON_PROVERS="sp1-network,native").queue == "io"
    assert load("x", PROVERY_BEACON_PROVERS="native,sp1-network").queue == "cpu"


def test_where_the_stages_run() -> None:
    plan = plan_for(load("x", PROVERY_BEACON_PROVE_QUEUE="gpu"), {"native": "k"}, compresses=False)
    assert [(s.stage.value, s.queue) for s in plan.stages] == [
        ("fetch", "io"), ("witness", "cpu"), ("prove", "gpu"), ("verify", "cpu"), ("submit", "io"),
    ]  # fmt: skip
    assert [s.verifying_key for s in plan.stages] == ["", "", "k", "k", ""]
    assert [s.brief for s in plan.stages] == [True, True, False, False, True]


def test_out_of_memory_goes_to_the_larger_queue_and_then_to_the_next_prover() -> None:
    settings = load("x", PROVERY_BEACON_PROVERS="native,command", PROVERY_BEACON_MEMORY_MB="4096")
    prove = plan_for(settings, {"native": "a", "command": "b"}, compresses=True).of(Stage.PROVE)
    assert prove is not None
    assert (prove.queue, prove.fallback_queue) == ("cpu", "cpu-large")
    assert (prove.prover, prove.fallback_provers, prove.memory_mb) == ("native", ("command",), 4096)


def test_a_backfill_is_known_by_its_units() -> None:
    assert first_of(backfill_name("beacon/mainnet", 1600, 1700)) == 1600
    assert first_of(backfill_name("beacon/" + "x" * 63, 123456, 234567)) == 123456
    assert len(backfill_name("beacon/" + "x" * 63, 123456, 234567).encode()) == 64
    assert first_of("") is None
    assert first_of("beacon/my-net") is None
    assert first_of(backfill_name("beacon/my-net", None, 7)) is None


def test_each_provers_key_is_pinned() -> None:
    assert pinned(pin({"native": "a"}), "native", "native") == "a"
    both = pin({"native": "a", "other": "b"})
    assert (pinned(both, "native", "native"), pinned(both, "other", "native")) == ("a", "b")
    for text, prover in ((both, "third"), ("a", "other")):
        with pytest.raises(InvalidKey, match="pins no verifying key"):
            pinned(text, prover, "native")


def test_a_prover_that_continues_proofs_waits_for_them() -> None:
    native, recursive = load("x"), load("x", PROVERY_BEACON_PROVERS="sp1-network")
    assert not native.recursive
    assert recursive.recursive
    first = plan_for(native, {"native": "a"}, compresses=False).of(Stage.FETCH)
    second = plan_for(recursive, {"sp1-network": "a"}, compresses=True).of(Stage.FETCH)
    assert first is not None
    assert second is not None
    assert first.give_up_s < second.give_up_s
