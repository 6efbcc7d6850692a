"""What a proof says, compared with what sync.ssz demands; and proof files, taken apart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError, InvalidInput, ProofRejected
from provery.core.ports import Statement
from provery.core.redact import redact
from provery.provers.command import Command
from provery.provers.sp1 import bundle
from provery.provers.sp1.checking import Checker
from provery.provers.sp1.claims import Demand, PublicValues
from provery.provers.sp1.secret import private_key
from provery.systems.beacon import syncfile
from provery.systems.beacon.chains import CHAINS
from tests.support import sp1


def sync(period: int) -> bytes:
    return (sp1.VECTORS / f"mainnet/sync_{period}.ssz").read_bytes()


@pytest.mark.parametrize("period", [1599, 1600, 1601])
def test_demands_are_what_the_beacon_system_computes(period: int) -> None:
    chain = CHAINS["mainnet"]
    file = syncfile.read(sync(period), chain.preset)
    values = PublicValues.read(syncfile.check(chain, file, period))
    demand = Demand.of(sync(period))
    assert (values.anchor, values.next_keys) == (demand.current_keys, demand.next_keys)
    assert (values.header, values.domain, values.period) == (demand.header, demand.domain, period)


def test_a_file_of_another_form_has_no_demands() -> None:
    for data in (b"", sync(1600)[:-1], sync(1600) + b"\0", bytes(len(sync(1600)))):
        with pytest.raises(InvalidInput, match=r"sync\.ssz"):
            Demand.of(data)


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, 71, 72, 103, 104, 135])
def test_no_byte_of_the_public_values_may_differ(at: int) -> None:
    chain = CHAINS["mainnet"]
    values = bytearray(syncfile.check(chain, syncfile.read(sync(1600), chain.preset), 1600))
    demand = Demand.of(sync(1600))
    demand.check(bytes(values), 1600)
    values[at] ^= 1
    with pytest.raises(ProofRejected, match="differs"):
        demand.check(bytes(values), 1600)


def test_a_chain_of_proofs_keeps_its_anchor(tmp_path: Path) -> None:
    checker = Checker({"PROVERY_SP1_PROGRAM": sp1.PROGRAM})
    following = sp1.statement(tmp_path, 1601)
    said = checker.claims(following, sp1.public(1601))
    assert said.anchor == Demand.of(sync(1600)).current_keys != Demand.of(sync(1601)).current_keys
    with pytest.raises(ProofRejected, match="anchor"):  # as if the chain had begun with 1601
        checker.claims(following, Demand.of(sync(1601)).current_keys + sp1.public(1601)[32:])
    following.files["previous_zk_proof.bin"].write_bytes(sp1.compressed(1601))
    with pytest.raises(InvalidInput, match="does not lead to this period"):
        checker.claims(following, sp1.public(1601))
    following.files["previous_zk_proof.bin"].write_bytes(b"\1\0\0\0")
    with pytest.raises(InvalidInput, match="unusable"):
        checker.claims(following, sp1.public(1601))


class TestStored:
    """Proofs that somebody made earlier and a store holds."""

    OTHER = "00" * 31 + "07"

    def stored(self, folder: Path, period: int, *names: str, **params: str) -> Statement:
        made = sp1.statement(folder, period)
        files = {name: path for name, path in made.files.items() if name in names}
        return Statement(made.unit, made.circuit, files, {**made.params, **params}, made.request_key)

    def proof(self, folder: Path, period: int) -> dict[str, Path]:
        return {
            "zk_proof_g16.bin": sp1.VECTORS / f"sp1/proof_{period}.bin",
            "zk_pub.bin": sp1.VECTORS / f"mainnet/public_values_{period}.bin",
        }

    async def test_they_may_continue_a_chain_that_is_not_here(self, tmp_path: Path) -> None:
        prover = Command({"PROVERY_SP1_PROGRAM": sp1.PROGRAM})
        proof = self.proof(tmp_path, 1601)
        with pytest.raises(ProofRejected, match="anchor"):
            await prover.verify(self.stored(tmp_path, 1601, "sync.ssz"), proof)
        facts = await prover.verify(self.stored(tmp_path, 1601, "sync.ssz", anchor="any"), proof)
        assert facts["anchor"] == Demand.of(sync(1600)).current_keys.hex()
        assert await prover.verify(self.stored(tmp_path, 1601, anchor="any"), proof) == facts
        with pytest.raises(ProofRejected, match="another period"):
            await prover.verify(self.stored(tmp_path, 1600, anchor="any"), proof)
        with pytest.raises(ProofRejected, match="next keys"):
            await prover.verify(self.stored(tmp_path, 1600, "sync.ssz", anchor="any"), proof)

    async def test_an_older_programs_proofs_stay_valid(self, tmp_path: Path) -> None:
        statement, proof = self.stored(tmp_path, 1600, "sync.ssz"), self.proof(tmp_path, 1600)
        newer = {"PROVERY_SP1_PROGRAM": f"0x{self.OTHER}, 0x{sp1.PROGRAM}"}
        assert (await Command(newer).verify(statement, proof))["program"] == sp1.PROGRAM
        with pytest.raises(ProofRejected, match="pairing"):  # but nothing new is made of it
            await Checker(newer).final(statement, proof)
        with pytest.raises(ProofRejected, match="pairing"):
            await Command({"PROVERY_SP1_PROGRAM": self.OTHER}).verify(statement, proof)


@pytest.mark.parametrize("period", [1600, 1601])
def test_proof_files_are_taken_apart(period: int) -> None:
    full = bundle.read(sp1.groth16(period), bundle.GROTH16)
    assert (full.onchain, full.public, full.version) == (sp1.onchain(period), sp1.public(period), "v5.0.0")
    for ending in (b"", b"\0"):
        outside = bundle.read(sp1.compressed(period) + ending, bundle.COMPRESSED)
        assert (outside.public, outside.version, outside.onchain) == (sp1.public(period), "v5.0.0", b"")


@pytest.mark.parametrize("tag", [bundle.GROTH16, bundle.COMPRESSED])
def test_damaged_proof_files_are_rejected_and_nothing_else_happens(tag: int) -> None:
    whole = (sp1.groth16(1600) if tag == bundle.GROTH16 else sp1.compressed(1600)).rstrip(b"\0")
    for length in {0, 3, 4, 12, 90, len(whole) // 2, *range(len(whole) - 40, len(whole))}:
        with pytest.raises(ProofRejected):
            bundle.read(whole[:length], tag)
    with pytest.raises(ProofRejected):
        bundle.read(whole + b"\1", tag)
    with pytest.raises(ProofRejected, match="kind"):
        bundle.read(whole, 4 - tag)
    chance = random.Random(tag)
    for _ in range(500):
        at = chance.randrange(len(whole))
        hostile = whole[:at] + chance.randbytes(chance.choice((1, 2, 8))) + whole[at + 1 :]
        try:
            bundle.read(hostile, tag)
        except ProofRejected:
            continue


class TestKey:
    def test_places_in_their_order(self, tmp_path: Path) -> None:
        key, other = bytes.fromhex(sp1.KEY), "11" * 32
        (tmp_path / "file").write_text(f"0x{sp1.KEY}\n")
        (tmp_path / "sp1_private_key").write_text(other)
        file = {"SP1_PRIVATE_KEY_FILE": str(tmp_path / "file")}
        assert private_key({}, secrets=tmp_path / "none") is None
        assert private_key({}, secrets=tmp_path) == bytes.fromhex(other)
        assert private_key(file, secrets=tmp_path) == key
        assert private_key(file | {"NETWORK_PRIVATE_KEY": other}, secrets=tmp_path) == bytes.fromhex(other)
        assert private_key({"SP1_PRIVATE_KEY": f" {sp1.KEY} ", "NETWORK_PRIVATE_KEY": other}) == key
        assert private_key({"SP1_PRIVATE_KEY": ""}, secrets=tmp_path / "none") is None

    @pytest.mark.parametrize("text", ["0x12", "not-a-key-at-all", "00" * 32, "ff" * 33])
    def test_what_is_no_key_is_refused_without_being_shown(self, text: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            private_key({"SP1_PRIVATE_KEY": text})
        assert text not in str(caught.value)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="none"):
            private_key({"SP1_PRIVATE_KEY_FILE": str(tmp_path / "none")})

    def test_the_key_is_hidden_in_every_form(self) -> None:
        text = "0xAB" + "cd" * 31
        private_key({"SP1_PRIVATE_KEY": text})
        shown = redact(f"{text} {text[2:]} {text.lower()} {text[2:].upper()}")
        assert shown.lower().replace("0x", "").split() == ["***"] * 4
