"""Checks of updates: real periods pass, and each rule refuses what breaks it, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provery.core.errors import InvalidInput
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.checks import Follower, check_bootstrap, check_chain, check_update
from provery.systems.beacon.containers import beacon_root, empty_header
from provery.systems.beacon.model import Fork, Update
from provery.systems.beacon.spec import Chain
from tests.support.beacon import (
    Signers,
    devnet,
    devnet_updates,
    mainnet_bootstrap,
    mainnet_updates,
    make_update,
    own_chain,
)

ONE, TWO = Signers.of(1), Signers.of(2)
CHAIN = own_chain(altair=0, bellatrix=0, capella=0, deneb=0, electra=0)
GOOD = make_update(CHAIN, ONE, TWO, attested=100, finalized=80)
NONE = (bytes(32),) * 7


def check(update: Update, chain: Chain = CHAIN, signers: Signers = ONE, **options: Any) -> None:
    check_update(chain, update, signers.committee, **{"period": 1, **options})


def test_three_real_periods_of_mainnet() -> None:
    bootstrap = mainnet_bootstrap(1600)
    trusted = check_bootstrap(MAINNET, bootstrap, beacon_root(bootstrap.header))
    checked = check_chain(MAINNET, trusted, mainnet_updates(), first=1600)
    assert [c.period for c in checked] == [1600, 1601, 1602]
    assert [c.update.participants for c in checked] == [510, 509, 506]
    assert checked[0].domain.hex().startswith("07000000ad532ceb")


def test_real_periods_of_a_devnet() -> None:
    first = devnet_updates()[0]
    assert len(check_chain(devnet(), first.next_committee, devnet_updates()[1:], first=1)) == 3


@pytest.mark.parametrize("fork", ["altair", "bellatrix", "capella", "deneb", "electra", "fulu"])
@pytest.mark.parametrize("finalized", [None, 0, 70])
def test_every_fork(fork: str, finalized: int | None) -> None:
    order = [f.label for f in Fork if Fork.ALTAIR <= f <= Fork[fork.upper()]]
    chain = own_chain(**dict.fromkeys(order, 0))
    check(make_update(chain, ONE, TWO, attested=100, finalized=finalized), chain)


@pytest.mark.parametrize("fork", ["bellatrix", "capella", "deneb", "electra", "fulu"])
@pytest.mark.parametrize(("attested", "signed"), [(95, 96), (95, 97), (96, 97), (94, 95)])
def test_around_a_fork_in_the_middle_of_a_period(fork: str, attested: int, signed: int) -> None:
    """Slot 96 is the fork's first; the finalised header is still of the fork before."""
    order = [f.label for f in Fork if Fork.ALTAIR <= f < Fork[fork.upper()]]
    chain = own_chain(**dict.fromkeys(order, 0), **{fork: 12})
    update = make_update(chain, ONE, TWO, attested=attested, finalized=80, signed=signed)
    check(update, chain)
    other = 97 if signed == 96 else 96
    if (signed <= 96) != (other <= 96):
        with pytest.raises(InvalidInput, match=r"does not verify|out of order"):
            check(replace(update, signature_slot=other), chain)


def test_two_thirds_are_enough() -> None:
    bits = (2**22 - 1).to_bytes(4, "little")
    check(make_update(CHAIN, ONE, TWO, attested=100, finalized=80, bits=bits))


def node(at: int, branch: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (*branch[:at], bytes(31) + b"\1", *branch[at + 1 :])


@pytest.mark.parametrize(
    ("update", "match"),
    [
        (
            make_update(CHAIN, ONE, TWO, attested=100, bits=(2**21 - 1).to_bytes(4, "little")),
            "'21 of 32'.*least 22",
        ),
        (make_update(CHAIN, ONE, TWO, attested=100, bits=b"\1\0\0\0"), "'1 of 32'"),
        (replace(GOOD, bits=b"\xff" * 5), "another committee.*'40'"),
        (replace(GOOD, bits=b"\xfe" + b"\xff" * 3), "does not verify"),
        (
            make_update(CHAIN, ONE, TWO, attested=130),
            "another period: attested slot 130; got '2'; expected 1",
        ),
        (make_update(CHAIN, ONE, TWO, attested=127), "another period: signature slot 128"),
        (replace(GOOD, signature_slot=100), "out of order"),
        (replace(GOOD, finalized=replace(GOOD.finalized, slot=101)), "out of order"),
        (replace(GOOD, fork=Fork.DENEB), "form of another fork; got 'deneb'; expected electra"),
        (replace(GOOD, attested=replace(GOOD.attested, proposer_index=9)), "does not verify"),
        (
            replace(GOOD, attested=replace(GOOD.attested, state_root=bytes(32))),
            "finalised header is not in the tree",
        ),
        (
            replace(GOOD, attested=replace(GOOD.attested, body_root=bytes(32))),
            "execution header of the attested",
        ),
        (
            replace(
                GOOD,
                attested=replace(GOOD.attested, execution_branch=node(1, GOOD.attested.execution_branch)),
            ),
            "execution header of the attested header",
        ),
        (
            replace(
                GOOD,
                finalized=replace(GOOD.finalized, execution_branch=node(3, GOOD.finalized.execution_branch)),
            ),
            "execution header of the finalised header",
        ),
        (
            replace(GOOD, finalized=replace(GOOD.finalized, parent_root=bytes(32))),
            "finalised header is not in",
        ),
        (replace(GOOD, finality_branch=node(6, GOOD.finality_branch)), "finalised header is not in"),
        (replace(GOOD, finality_branch=NONE), "finalised header without a branch"),
        (replace(GOOD, finality_branch=GOOD.finality_branch[:-1]), "wrong length.*'6'.*7 nodes"),
        (replace(GOOD, finalized=replace(GOOD.finalized, slot=0)), "slot 0 is not empty"),
        (replace(GOOD, finalized=empty_header(GOOD.fork)), "finalised header is not in"),
        (replace(GOOD, next_branch=node(0, GOOD.next_branch)), "next sync committee is not in"),
        (replace(GOOD, next_branch=(bytes(32),) * 6), "names no next sync committee"),
        (replace(GOOD, next_branch=GOOD.next_branch[:-1]), "wrong length.*'5'.*6 nodes"),
        (replace(GOOD, next_committee=ONE.committee), "next sync committee is not in"),
        (
            replace(GOOD, next_committee=replace(TWO.committee, aggregate_pubkey=ONE.committee.key(0))),
            "next sync committee is not in",
        ),
        (replace(GOOD, signature=TWO.sign(bytes(32), GOOD.bits)), "does not verify"),
        (replace(GOOD, signature=bytes(96)), "not compressed"),
    ],
)
def test_each_rule_names_what_is_wrong(update: Update, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        check(update)


def test_the_good_update_is_good() -> None:
    check(GOOD, now_slot=101, require_finality=True)


def test_the_clock() -> None:
    with pytest.raises(InvalidInput, match=r"in the future.*current slot, 100.*clock"):
        check(GOOD, now_slot=100)


def test_finality_on_demand() -> None:
    update = make_update(CHAIN, ONE, TWO, attested=100, finalized=None)
    check(update)
    with pytest.raises(InvalidInput, match="no finalised header"):
        check(update, require_finality=True)


def test_another_committee_did_not_sign() -> None:
    with pytest.raises(InvalidInput, match="does not verify"):
        check(GOOD, signers=TWO)


def test_an_update_of_another_chain_with_the_same_forks() -> None:
    other = replace(CHAIN, genesis_validators_root=bytes(32))
    with pytest.raises(InvalidInput, match="does not verify"):
        check(GOOD, other)


@pytest.mark.parametrize("form", ["capella", "deneb"])
def test_fields_that_a_headers_own_fork_does_not_have(form: str) -> None:
    """The finalised header may be of an earlier fork than the form that it is in."""
    earlier = [f.label for f in Fork if Fork.ALTAIR <= f < Fork[form.upper()]]
    chain = own_chain(**dict.fromkeys(earlier, 0), **{form: 12})
    good = make_update(chain, ONE, TWO, attested=100, finalized=80)
    check(good, chain)
    filled = bytearray(good.attested.execution if form == "capella" else good.finalized.execution)
    if form == "deneb":
        filled[-12] = 1  # excess_blob_gas ends before the four bytes of extra data
    with pytest.raises(InvalidInput, match=r"claims execution|has blob fields"):
        check(replace(good, finalized=replace(good.finalized, execution=bytes(filled))), chain)


def test_a_chain_of_periods_stops_at_a_gap() -> None:
    three = Signers.of(3)
    updates = [
        make_update(CHAIN, ONE, TWO, attested=100),
        make_update(CHAIN, TWO, three, attested=140),
        make_update(CHAIN, three, ONE, attested=200),
    ]
    assert [c.period for c in check_chain(CHAIN, ONE.committee, updates, first=1)] == [1, 2, 3]
    with pytest.raises(InvalidInput, match="another period"):
        check_chain(CHAIN, ONE.committee, [updates[0], updates[2]], first=1)
    follower = Follower(CHAIN, ONE.committee, 1)
    follower(updates[0])
    with pytest.raises(InvalidInput, match=r"committee of period 3 is not known.*1, 2"):
        follower(updates[2])
    follower(updates[1])
    follower(updates[2])
    assert list(follower.checked) == [1, 2, 3]


def test_bootstrap_of_another_block_or_with_another_committee() -> None:
    bootstrap = mainnet_bootstrap(1600)
    root = beacon_root(bootstrap.header)
    with pytest.raises(InvalidInput, match="another block"):
        check_bootstrap(MAINNET, bootstrap, bytes(32))
    with pytest.raises(InvalidInput, match="current sync committee is not in"):
        check_bootstrap(MAINNET, replace(bootstrap, committee=mainnet_bootstrap(1601).committee), root)
    with pytest.raises(InvalidInput, match="form of another fork"):
        check_bootstrap(MAINNET, replace(bootstrap, fork=Fork.DENEB), root)
