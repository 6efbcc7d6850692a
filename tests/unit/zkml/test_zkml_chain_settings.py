"""Settings of the chain that inferences are attested on: a stream's own, everybody's, exact money, secrets hidden."""

from __future__ import annotations

import re

import pytest

from provery.core.errors import ConfigurationError
from provery.systems.zkml.onchain.lane import Chains
from provery.systems.zkml.onchain.settings import SECRET, ChainSettings, variables

REGISTRY = "0x" + "Ab" * 20
KEY = "0x" + "12" * 32
MNEMONIC = "test test test test test test test test test test test junk"


def test_a_stream_s_own_variable_counts_before_everybody_s() -> None:
    env = {
        "PROVERY_ZKML_CHAIN_RPC": "http://a:8545, http://b:8545",
        "PROVERY_ZKML_FAST_LANE_CHAIN_RPC": "http://c:8545",
        "PROVERY_ZKML_REGISTRY": REGISTRY,
        "PROVERY_ZKML_PRIVATE_KEY": KEY,
        "PROVERY_ZKML_MAX_GAS_PRICE": "1.8",
        "PROVERY_ZKML_MAX_PRIORITY_FEE": "0.1",
        "PROVERY_ZKML_SPEND_PER_DAY": "0.05",
        "PROVERY_ZKML_FAST_LANE_CONFIRMATIONS": "3",
    }
    every, own = ChainSettings.load("default", env), ChainSettings.load("fast-lane", env)
    assert every.endpoints == ("http://a:8545", "http://b:8545")
    assert own.endpoints == ("http://c:8545",)
    assert (every.contract, own.contract) == (REGISTRY.lower(), REGISTRY.lower())
    assert (every.policy.confirmations, own.policy.confirmations) == (12, 3)
    assert every.policy.max_fee_per_gas == 1_800_000_000
    assert every.policy.max_priority_fee_per_gas == 100_000_000
    assert every.policy.spend_per_day == 5 * 10**16
    assert not every.policy.ordered
    assert every.account.private_key == KEY
    assert every.attests


def test_without_a_chain_nothing_is_attested_and_it_is_said_what_is_missing() -> None:
    found = ChainSettings.load("default", {})
    assert not found.attests
    with pytest.raises(ConfigurationError, match="PROVERY_ZKML_CHAIN_RPC"):
        _ = found.endpoints
    with pytest.raises(ConfigurationError, match="provery zkml deploy"):
        _ = found.contract
    with pytest.raises(ConfigurationError, match="PROVERY_ZKML_ETH_MNEMONIC"):
        _ = found.account
    assert Chains({}, None).verifier("default", b"code") == ""


async def test_a_process_that_opens_no_chains_says_so() -> None:
    with pytest.raises(ConfigurationError, match="opens no chains"):
        await Chains({}, None).chain("default")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGISTRY", "0x12"),
        ("REGISTRY", "vitalik.eth"),
        ("PRIVATE_KEY", "0x" + "zz" * 32),
        ("SIGNER_ADDRESS", "0x"),
        ("MAX_GAS_PRICE", "-1"),
        ("MAX_GAS_PRICE", "1e9"),
        ("SPEND_PER_DAY", "0.0000000000000000001"),
        ("CONFIRMATIONS", "0"),
        ("STUCK_AFTER_S", "nan"),
        ("WATCH_S", "-1"),
        ("BUMP_PERCENT", "9"),
        ("ETH_ACCOUNT_INDEX", "-1"),
    ],
)
def test_what_is_malformed_is_named_by_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PROVERY_ZKML_{name}") as raised:
        ChainSettings.load("default", {f"PROVERY_ZKML_{name}": value})
    assert (name.lower() in SECRET) == (re.escape(value) not in re.escape(str(raised.value)))


def test_one_way_to_sign_and_no_secret_in_sight() -> None:
    env = {"PROVERY_ZKML_PRIVATE_KEY": KEY, "PROVERY_ZKML_ETH_MNEMONIC": MNEMONIC}
    with pytest.raises(ConfigurationError, match="several: eth_mnemonic, private_key") as raised:
        ChainSettings.load("default", env)
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None
    secret = {
        "PROVERY_ZKML_CHAIN_RPC": "https://rpc.example/v3/0123456789abcdef",
        "PROVERY_ZKML_REMOTE_SIGNER": "https://user:word@signer.example",
    }
    shown = repr(ChainSettings.load("default", secret))
    assert "0123456789abcdef" not in shown
    assert "word" not in shown


def test_a_variable_has_two_names() -> None:
    assert variables("fast-lane", "chain_rpc") == (
        "PROVERY_ZKML_FAST_LANE_CHAIN_RPC",
        "PROVERY_ZKML_CHAIN_RPC",
    )
