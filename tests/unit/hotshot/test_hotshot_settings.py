"""Settings of hotshot streams: the upstream names, exact money, and no secret in sight."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provery.core.amounts import WEI_PER_ETHER, WEI_PER_GWEI, amount, seconds, wei
from provery.core.errors import ConfigurationError
from provery.systems.hotshot.settings import SECRET, UPSTREAM, HotShotSettings, variables

ADDRESS = "0x" + "Ab" * 20
MNEMONIC = "test test test test test test test test test test test junk"
UPSTREAM_ENV = {
    "ESPRESSO_STATE_RELAY_SERVER_URL": "http://relay:30011/",
    "ESPRESSO_STATE_PROVER_UPDATE_INTERVAL": "60s",
    "ESPRESSO_STATE_PROVER_RETRY_INTERVAL": "500ms",
    "ESPRESSO_STATE_PROVER_ONESHOT_RETRIES": "3",
    "ESPRESSO_SEQUENCER_L1_PROVIDER": "http://l1-a:8545,http://l1-b:8545",
    "ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS": ADDRESS,
    "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
    "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": "7",
    "ESPRESSO_SEQUENCER_URL": "http://sequencer:24000",
    "ESPRESSO_PROVER_SERVICE_PORT": "30050",
    "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": "10",
    "ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI": "1.8",
}


def test_every_upstream_variable_counts() -> None:
    assert set(UPSTREAM_ENV) == set(UPSTREAM.values())
    found = HotShotSettings.load("demo", UPSTREAM_ENV)
    assert found.relay_server == ("http://relay:30011/",)
    assert (found.update_interval, found.retry_interval, found.retries) == (60.0, 0.5, 3)
    assert found.l1_provider_url == ("http://l1-a:8545", "http://l1-b:8545")
    assert found.contract == ADDRESS.lower()
    assert (found.account.mnemonic, found.account.index) == (MNEMONIC, 7)
    assert found.sequencer_url == ("http://sequencer:24000",)
    assert (found.port, found.stake_table_capacity) == (30_050, 10)
    assert found.policy.max_fee_per_gas == 1_800_000_000
    assert found.policy.ordered


def test_the_defaults_are_the_upstream_ones() -> None:
    found = HotShotSettings.load("mainnet", {})
    assert found.relay_server == ("http://localhost:8083",)
    assert (found.update_interval, found.retry_interval, found.retries) == (600.0, 2.0, 10)
    assert found.l1_provider_url == ("http://localhost:8545",)
    assert found.sequencer_url == ("http://localhost:24000",)
    assert (found.port, found.stake_table_capacity, found.max_gas_price) == (None, 200, None)
    assert found.circuit == "hotshot-state-200-plonk"
    with pytest.raises(ConfigurationError, match="ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS"):
        _ = found.contract
    with pytest.raises(ConfigurationError, match="ESPRESSO_SEQUENCER_ETH_MNEMONIC"):
        _ = found.account


def test_with_several_streams_only_their_own_variables_count() -> None:
    env = {
        **UPSTREAM_ENV,
        "PROVERY_HOTSHOT_STREAMS": "mainnet, deca-f",
        "PROVERY_HOTSHOT_DECA_F_SCHEME": "groth16",
        "PROVERY_HOTSHOT_DECA_F_ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": "100",
        "PROVERY_HOTSHOT_SCHEME": "plonk",
    }
    assert HotShotSettings.load("deca-f", env).circuit == "hotshot-state-100"
    assert HotShotSettings.load("mainnet", env).max_gas_price is None
    with pytest.raises(ConfigurationError, match="no such stream"):
        HotShotSettings.load("other", env)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY", "20", "one of 10, 100, 200"),
        ("ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI", "1e3", "decimal number"),
        ("ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI", "-1", "decimal number"),
        ("ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI", "1.0000000001", "at most 9 digits"),
        ("ESPRESSO_STATE_PROVER_UPDATE_INTERVAL", "soon", "500ms, 2s, 10m"),
        ("ESPRESSO_STATE_PROVER_UPDATE_INTERVAL", "0s", "500ms, 2s, 10m"),
        ("ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS", "0x12", "40 hexadecimal digits"),
        ("ESPRESSO_PROVER_SERVICE_PORT", "70000", "65535"),
        ("PROVERY_HOTSHOT_SCHEME", "stark", "plonk, groth16"),
        ("PROVERY_HOTSHOT_BUMP_PERCENT", "9", "10"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(variable: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(variable)) as caught:
        HotShotSettings.load("demo", {variable: value})
    assert expected in str(caught.value)
    assert value in str(caught.value)


def test_no_secret_is_shown() -> None:
    secret = "0x" + "5e" * 31
    env = {"PROVERY_HOTSHOT_PRIVATE_KEY": secret}
    with pytest.raises(ConfigurationError) as caught:
        HotShotSettings.load("demo", env)
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert secret not in shown
    assert "5e5e" not in shown
    env = {**UPSTREAM_ENV, "ESPRESSO_SEQUENCER_L1_PROVIDER": "https://user:hidden@l1/v3/hidden-key"}
    found = HotShotSettings.load("demo", env)
    assert "hidden" not in repr(found)
    assert MNEMONIC not in repr(found)
    assert MNEMONIC not in repr(found.account)


def test_two_ways_to_sign_are_refused_without_showing_either() -> None:
    env = {**UPSTREAM_ENV, "PROVERY_HOTSHOT_PRIVATE_KEY": "0x" + "5e" * 32}
    with pytest.raises(ConfigurationError, match="several: eth_mnemonic, private_key") as caught:
        HotShotSettings.load("demo", env)
    assert "5e5e" not in str(caught.value)
    assert "junk" not in str(caught.value)


def test_every_field_that_signs_or_may_hold_a_key_is_secret() -> None:
    named = {
        f for f in HotShotSettings.model_fields if re.search("mnemonic|private|password|signer$|url|relay", f)
    }
    assert named == set(SECRET)
    assert variables("demo", "scheme", alone=True) == [
        "PROVERY_HOTSHOT_DEMO_SCHEME",
        "PROVERY_HOTSHOT_SCHEME",
    ]


@given(st.integers(0, 10**30), st.sampled_from([WEI_PER_GWEI, WEI_PER_ETHER]))
def test_money_is_exact(value: int, unit: int) -> None:
    assert wei(amount(value, unit), unit) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [("1.8", 1_800_000_000), ("0.1", 10**8), ("0.000000001", 1), ("36.000000001", 36_000_000_001)],
)
def test_gwei_that_floats_would_bend(text: str, found: int) -> None:
    assert wei(text, WEI_PER_GWEI) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("10m", 600.0), ("2s", 2.0), ("90", 90.0), ("1h30m", 5400.0), ("500ms", 0.5), ("1m 30s", 90.0)],
)
def test_times(text: str, found: float) -> None:
    assert seconds(text) == found
