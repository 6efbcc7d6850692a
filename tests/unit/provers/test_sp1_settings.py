"""Settings and signatures of the prover network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from provery.core.errors import ConfigurationError, InvalidKey, ProverCrashed
from provery.provers.sp1.settings import Settings
from provery.provers.sp1.signing import Signer, recovered
from provery.provers.sp1_network import Sp1Network
from tests.support.sp1_rig import rig


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "error", "says"),
        [
            ({"SP1_PRIVATE_KEY": ""}, ConfigurationError, "SP1_PRIVATE_KEY"),
            ({"SP1_PRIVATE_KEY": "ff" * 32}, ConfigurationError, "secp256k1"),
            ({"PROVERY_SP1_VK_HASH": "12"}, InvalidKey, "PROVERY_SP1_VK_HASH"),
            ({"PROVERY_SP1_VK": "/none"}, InvalidKey, "PROVERY_SP1_VK"),
            ({"PROVERY_SP1_ELF": ""}, InvalidKey, "PROVERY_SP1_ELF"),
            ({"PROVERY_SP1_PROGRAM": ""}, InvalidKey, "PROVERY_SP1_PROGRAM"),
            ({"PROVERY_SP1_STDIN_COMMAND": ""}, ConfigurationError, "PROVERY_SP1_STDIN_COMMAND"),
            ({"PROVERY_SP1_STDIN_COMMAND": "'open"}, ConfigurationError, "PROVERY_SP1_STDIN_COMMAND"),
            ({"PROVERY_SP1_STDIN_COMMAND": "/bin/false"}, ProverCrashed, "stdin command"),
            ({"PROVERY_SP1_STDIN_COMMAND": "/bin/true"}, ProverCrashed, "wrote no input"),
        ],
    )
    async def test_what_is_missing_is_named_and_nothing_is_requested(
        self, tmp_path: Path, change: dict[str, str], error: type[Exception], says: str
    ) -> None:
        async with rig(tmp_path, None, **change) as net:
            with pytest.raises(error, match=says):
                await net.prove(1600)
            assert net.network.bodies == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PROVERY_SP1_STRATEGY", "barter"),
            ("PROVERY_SP1_PROOFS", "plonk"),
            ("PROVERY_SP1_UPLOADS", "gzip"),
            ("PROVERY_SP1_MAX_COST", "-1"),
            ("PROVERY_SP1_MAX_COST", "NaN"),
            ("PROVERY_SP1_DEADLINE_S", "soon"),
            ("PROVERY_SP1_RPC_URL", "ftp://host"),
            ("PROVERY_SP1_RPC_URL", "https://host/path"),
            ("PROVERY_SP1_RPC_URL", "https://user:hunter22@host"),
            ("PROVERY_SP1_RPC_URL", "https://host:port"),
        ],
    )
    def test_nonsense_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(ConfigurationError, match=name) as caught:
            Settings.read({name: value})
        assert "hunter22" not in str(caught.value)

    def test_defaults_are_those_of_the_network(self) -> None:
        assert Settings.read({}).rpc_url == "https://rpc.mainnet.succinct.xyz:443"
        assert (
            Settings.read({"PROVERY_SP1_STRATEGY": "reserved"}).rpc_url
            == "https://rpc.production.succinct.xyz:443"
        )
        assert Settings.read({"NETWORK_RPC_URL": "http://127.0.0.1:9"}).rpc_url == "http://127.0.0.1:9"


class TestSigning:
    def test_a_known_signature(self) -> None:
        """From the documentation of web3.js, ``eth.accounts.sign``."""
        signer = Signer(bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"))
        assert signer.address.hex() == "2c7536e3605d9c16a7a3d7b1898e529396a65c23"
        signature = signer.sign(b"Some data")
        assert signature.hex() == (
            "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
            "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029"
            "1c"
        )
        assert recovered(b"Some data", signature) == signer.address
        assert signer.sign(b"Some data", v_offset=54)[64] == signature[64] + 27
        assert repr(signer) == "Signer(0x2c7536e3605d9c16a7a3d7b1898e529396a65c23)"

    @pytest.mark.parametrize("wrong", [b"", bytes(64), bytes(64) + b"\x1d", bytes(64) + b"\x1b"])
    def test_what_is_no_signature(self, wrong: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - coincurve has messages of its own
            recovered(b"Some data", wrong)


def test_a_settings_mistake_shows_when_the_worker_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PROVERY_SP1_STRATEGY"):
        Sp1Network({"PROVERY_SP1_STRATEGY": "?"}, tmp_path, cast(Any, None))
