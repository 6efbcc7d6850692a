"""The committed messages are what the ``.proto`` files say, and these say what the network speaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provery.provers.sp1.client import ARTIFACTS, NETWORK
from provery.provers.sp1.proto import artifact_pb2, network_pb2, types_pb2
from provery.provers.sp1.signing import Signer

ROOT = Path(__file__).parents[3]
PROTO = Path("provery/provers/sp1/proto")


def test_the_modules_are_generated_from_these_files(tmp_path: Path) -> None:
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / PROTO).glob("*.proto"))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            "-I.",
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            *sources,
        ],
        cwd=ROOT,
        check=True,
    )
    made = {path.name: path.read_text() for path in (tmp_path / PROTO).iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / PROTO).glob("*_pb2.py*")}
    assert made == kept, "run `make protos`"


@pytest.mark.parametrize(
    ("module", "service", "path"),
    [(network_pb2, "ProverNetwork", NETWORK), (artifact_pb2, "ArtifactStore", ARTIFACTS)],
)
def test_calls_go_where_the_services_are(module: object, service: str, path: str) -> None:
    described = module.DESCRIPTOR.services_by_name[service]  # type: ignore[attr-defined]
    assert f"/{described.full_name}/" == path


def test_a_request_encodes_as_the_protocol_numbers_its_fields() -> None:
    """Tags of a body in which every field of the auction is set, by hand from the protocol."""
    body = types_pb2.RequestProofRequestBody(
        nonce=1, vk_hash=b"v", version="s", mode=types_pb2.GROTH16, strategy=types_pb2.AUCTION, stdin_uri="u",
        deadline=2, cycle_limit=3, gas_limit=4, min_auction_period=5, whitelist=[b"w"], domain=b"d", auctioneer=b"a",
        executor=b"e", verifier=b"f", public_values_hash=b"h", base_fee="6", max_price_per_pgu="7", treasury=b"t",
    )  # fmt: skip
    expected = (
        "0801" "120176" "1a0173" "2004" "2803" "320175" "3802" "4003" "4804" "5005" "5a0177" "620164" "6a0161"
        "720165" "7a0166" "82010168" "8a010136" "92010137" "a2010174"
    )  # fmt: skip
    assert body.SerializeToString(deterministic=True).hex() == expected


def test_a_reserved_request_has_nothing_of_the_auction() -> None:
    """There field 12 means something else: it must stay away."""
    body = types_pb2.RequestProofRequestBody(nonce=1, strategy=types_pb2.RESERVED, gas_limit=4)
    assert body.SerializeToString(deterministic=True).hex() == "080128024804"


def test_signers_sign_what_is_sent() -> None:
    signer = Signer(b"\x01" * 32)
    body = types_pb2.RequestProofRequestBody(nonce=1, whitelist=[b"w" * 20] * 3)
    sent = types_pb2.RequestProofRequest(body=body).SerializeToString(deterministic=True)
    again = types_pb2.RequestProofRequest.FromString(sent).body.SerializeToString(deterministic=True)
    assert signer.sign(again) == signer.sign(body.SerializeToString(deterministic=True))
