"""Rescue, Schnorr, commitments and certificates: against real data, by their properties, and what is rejected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.core.errors import InvalidInput
from provery.systems.hotshot import bls, rescue, rescue_constants, roots, schnorr, spec
from provery.systems.hotshot.errors import InvalidState, StakeTableMismatch
from provery.systems.hotshot.model import Bundle, SchnorrKey, Signature, StakeTableState, StateCertificate
from provery.systems.hotshot.roots import FIELD
from tests.support.hotshot import (
    CAPACITY,
    certificate,
    older_certificates,
    older_table,
    recorded,
    recorded_certificates,
    recorded_config,
    recorded_tables,
    secrets,
    signed,
    state,
    table,
)

field_elements = st.integers(0, FIELD - 1)
scalars = st.integers(1, schnorr.ORDER - 1)


# ------------------------------------------------------------ Rescue


def test_constants_are_the_recorded_ones() -> None:
    given_ones = recorded("rescue_bn254_constants.json")
    assert int(given_ones["modulus"]) == FIELD
    assert int(given_ones["alpha_inv"]) == roots.FIFTH_ROOT
    assert [[int(x) for x in row] for row in given_ones["mds"]] == [
        [x % FIELD for x in row] for row in rescue_constants.MATRIX
    ]
    assert [[int(x) for x in row] for row in given_ones["permutation_round_keys"]] == [
        list(row) for row in rescue_constants.KEYS
    ]


def test_rescue_gives_the_recorded_digests() -> None:
    vectors = recorded("rescue_bn254_vectors.json")
    assert len(vectors["crhf"]) == 6
    for vector in vectors["crhf"]:
        assert rescue.crhf(map(int, vector["in"])) == int(vector["out"])
    assert rescue.permutation(rescue.EMPTY) == tuple(map(int, vectors["permutation_of_zero"]))


@settings(deadline=None)
@given(field_elements)
def test_the_fast_root_is_the_plain_one_and_a_root(element: int) -> None:
    assert roots.fifth_root(element) == roots.python_root(element)
    assert pow(roots.fifth_root(element), 5, FIELD) == element


@settings(max_examples=20, deadline=None)
@given(st.lists(field_elements, max_size=9), st.integers(0, 2))
def test_padding_tells_lengths_apart(elements: list[int], zeros: int) -> None:
    assert (rescue.crhf(elements) == rescue.crhf([*elements, *[0] * zeros])) == (zeros == 0)


@settings(max_examples=20, deadline=None)
@given(st.lists(field_elements, min_size=3, max_size=9))
def test_a_state_can_be_kept_between_blocks(elements: list[int]) -> None:
    kept = rescue.absorb(rescue.EMPTY, elements[:3])
    assert rescue.finish(kept, elements[3:]) == rescue.crhf(elements)


# ------------------------------------------------------------ Schnorr


def test_the_generator_is_of_the_subgroup_and_generates_it() -> None:
    assert schnorr.is_key(schnorr.GENERATOR)
    assert schnorr.public_key(1) == schnorr.GENERATOR


@settings(max_examples=10, deadline=None)
@given(scalars, st.lists(field_elements, max_size=7))
def test_what_is_signed_verifies_and_nothing_else_does(secret: int, message: list[int]) -> None:
    key, signature = schnorr.public_key(secret), schnorr.sign(secret, message)
    assert schnorr.verify(key, message, signature)
    assert schnorr.sign(secret, message) == signature
    assert not schnorr.verify(key, [*message, 0], signature)
    assert not schnorr.verify(schnorr.public_key(secret % (schnorr.ORDER - 1) + 1), message, signature)


@settings(max_examples=20, deadline=None)
@given(scalars, scalars)
def test_multiples_of_the_generator_add_up(a: int, b: int) -> None:
    """The table of windows, the ladder for any point and the addition agree."""
    x, y = schnorr.public_key(a)
    product = schnorr._affine(schnorr._times((x, y, 1, x * y % FIELD), b))
    assert product == schnorr._affine(schnorr._times_generator(a * b % schnorr.ORDER))
    total = schnorr._affine(schnorr._add(schnorr._times_generator(a), schnorr._times_generator(b)))
    assert total == schnorr._affine(schnorr._times_generator((a + b) % schnorr.ORDER))


def swap(signature: Signature) -> Signature:
    return Signature(signature.s, signature.ry, signature.rx)


@pytest.mark.parametrize(
    "change",
    [
        lambda sig: replace(sig, s=(sig.s + 1) % schnorr.ORDER),
        lambda sig: replace(sig, s=sig.s + schnorr.ORDER),
        lambda sig: replace(sig, s=sig.s - schnorr.ORDER),
        lambda sig: replace(sig, s=-sig.s % schnorr.ORDER),
        lambda sig: replace(sig, rx=-sig.rx % FIELD),
        lambda sig: replace(sig, rx=sig.rx + FIELD),
        lambda sig: replace(sig, rx=sig.rx - FIELD),
        lambda sig: replace(sig, ry=sig.ry + FIELD),
        lambda sig: replace(sig, rx=0, ry=1),
        swap,
    ],
)
def test_changed_signatures_are_rejected(change: Callable[[Signature], Signature]) -> None:
    message = [1, 2, 3]
    signature = schnorr.sign(5, message)
    assert schnorr.verify(schnorr.public_key(5), message, signature)
    assert not schnorr.verify(schnorr.public_key(5), message, change(signature))


def test_both_coordinates_of_the_commitment_are_compared() -> None:
    """Whoever has the key can make either one fit: (x, y) and (-x, y) are a point and its negative."""
    secret, nonce, message = 5, 11, [1, 2, 3]
    key, (x, y) = schnorr.public_key(secret), schnorr.public_key(nonce)
    for commitment, valid in (((x, y), True), ((-x % FIELD, y), False), ((x, -y % FIELD), False)):
        challenge = schnorr._challenge(key, commitment, message)
        signature = Signature((nonce + challenge * secret) % schnorr.ORDER, *commitment)
        assert schnorr.verify(key, message, signature) == valid


def test_the_identity_as_commitment_does_not_count() -> None:
    """Nonce zero: the equation holds, the circuit cannot show it. One such signature must not keep out the others."""
    secret, message = 7, [1, 2, 3]
    key = schnorr.public_key(secret)
    challenge = schnorr._challenge(key, schnorr.IDENTITY, message)
    signature = Signature(challenge * secret % schnorr.ORDER, *schnorr.IDENTITY)
    x, y, z, _ = schnorr._add(
        schnorr._times_generator(signature.s), schnorr._times(schnorr._negated(key), challenge)
    )
    assert (x, y) == (0, z)
    assert not schnorr.verify(key, message, signature)


def small_order_points() -> list[SchnorrKey]:
    """(0, -1), of order two, and (±1, 0), of order four, as a = 1."""
    return [(0, FIELD - 1), (1, 0), (FIELD - 1, 0)]


def test_keys_that_anybody_could_sign_for_sign_nothing() -> None:
    """With the identity as key, s·G = R is a signature of any message."""
    nonce = schnorr.public_key(7)
    forged = Signature(7, *nonce)
    assert not schnorr.verify(schnorr.IDENTITY, [1], forged)
    for point in small_order_points():
        assert schnorr.on_curve(point)
        assert not schnorr.is_key(point)
        assert not any(schnorr.verify(point, [message], forged) for message in range(8))


def test_keys_outside_the_subgroup_or_off_the_curve_are_none() -> None:
    x, y = schnorr.public_key(9)
    assert schnorr.on_curve((-x % FIELD, -y % FIELD))  # the sum with the point of order two
    assert not schnorr.is_key((-x % FIELD, -y % FIELD))
    assert not schnorr.is_key((x + FIELD, y))
    assert not schnorr.is_key((x, y + 1))
    assert not schnorr.is_key((0, 0))


@pytest.mark.parametrize("secret", [0, -1, schnorr.ORDER])
def test_secrets_out_of_range_are_refused_and_not_shown(secret: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        schnorr.sign(secret, [])
    assert str(schnorr.ORDER) not in str(caught.value)


# ------------------------------------------------------------ commitments


def test_the_genesis_table_has_the_commitment_that_the_chain_has() -> None:
    genesis = recorded_config().nodes
    assert spec.commitment(genesis, CAPACITY) == recorded_certificates()[1].next_stake
    spec.check_table(genesis, CAPACITY, recorded_certificates()[1].next_stake)


def test_another_capacity_gives_other_commitments_and_the_same_threshold() -> None:
    genesis = recorded_config().nodes
    with pytest.raises(StakeTableMismatch) as caught:
        spec.check_table(genesis, 10, recorded_certificates()[1].next_stake)
    assert caught.value.columns == ("bls", "schnorr", "amount")
    assert "capacity" in str(caught.value)


def test_a_mismatch_names_the_columns_that_differ() -> None:
    genesis = recorded_config().nodes
    with pytest.raises(StakeTableMismatch, match="in amount, threshold;") as caught:
        spec.check_table(genesis, CAPACITY, recorded_certificates()[2].next_stake)
    assert caught.value.columns == ("amount", "threshold")


@pytest.mark.parametrize("column", ["bls", "schnorr", "amount", "threshold"])
def test_every_column_is_compared(column: str) -> None:
    good = spec.commitment(table(3), 4)
    changed = replace(good, **{column: getattr(good, column) + 1})
    with pytest.raises(StakeTableMismatch) as caught:
        spec.compare(good, changed)
    assert caught.value.columns == (column,)


def test_every_part_of_an_entry_is_committed_to() -> None:
    rows = table(3)
    good = spec.commitment(rows, 4)
    x0, x1, y0, y1 = bls.GENERATOR
    minus: tuple[int, int, int, int] = (x0, x1, -y0 % bls.BASE_FIELD, -y1 % bls.BASE_FIELD)
    assert spec.commitment((replace(rows[0], bls=minus), *rows[1:]), 4).bls != good.bls
    assert spec.commitment((replace(rows[0], schnorr=rows[1].schnorr), *rows[1:]), 4).schnorr != good.schnorr
    assert spec.commitment((replace(rows[0], stake=rows[0].stake + 1), *rows[1:]), 4).amount != good.amount
    assert spec.commitment((rows[1], rows[0], rows[2]), 4).schnorr != good.schnorr


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidState, match=r"more validators than its capacity; got '3'; expected at most 2"):
        spec.commitment(table(3), 2)
    with pytest.raises(InvalidState, match="absurd"):
        spec.commitment((replace(table(1)[0], stake=spec.STAKE_LIMIT),), 2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**30), max_size=20))
def test_less_than_a_third_is_below_the_threshold(stakes: list[int]) -> None:
    rows = tuple(replace(table(1)[0], stake=stake) for stake in stakes)
    found = spec.threshold(rows)
    assert 3 * found > sum(stakes) >= 3 * (found - 1)


# ------------------------------------------------------------ certificates


@pytest.mark.parametrize(("epoch", "weight", "threshold"), [
    (1, 4, 2), (2, 4, 2), (3, (5701 - 1489) * 10**18, 1_900_333_333_333_333_333_334),
])  # fmt: skip
def test_every_recorded_certificate_is_valid_and_names_the_next_stake_table(
    epoch: int, weight: int, threshold: int
) -> None:
    found = recorded_certificates()[epoch]
    counted = spec.check_certificate(found, recorded_tables()[epoch], 10)
    assert (counted.weight, counted.threshold, counted.signers, counted.dropped) == (weight, threshold, 4, 0)
    spec.check_table(recorded_tables()[epoch + 1], CAPACITY, found.next_stake)
    message = spec.message_v2(found.state, found.next_stake)
    for row, signature in zip(recorded_tables()[epoch], counted.signatures, strict=True):
        assert signature is None or schnorr.verify(row.schnorr, message, signature)


@pytest.mark.parametrize("epoch", [2, 3, 4, 5])
def test_the_certificates_of_an_older_network_are_valid_too(epoch: int) -> None:
    found = older_certificates()[epoch]
    assert found.state.height == 200 * epoch - 5
    assert spec.check_certificate(found, older_table(epoch), 200).signers == 1
    spec.check_table(older_table(epoch + 1), CAPACITY, found.next_stake)


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize(
    "part", ["view", "height", "block_comm_root", "bls", "schnorr", "amount", "threshold"]
)
def test_a_recorded_certificate_with_one_number_changed_has_no_weight(epoch: int, part: str) -> None:
    found = recorded_certificates()[epoch]
    if hasattr(found.state, part):
        state_, after = replace(found.state, **{part: getattr(found.state, part) + 1}), found.next_stake
    else:
        state_, after = found.state, replace(found.next_stake, **{part: getattr(found.next_stake, part) + 1})
    counted = spec.tally(spec.message_v2(state_, after), found.signatures, recorded_config().nodes)
    assert counted.weight == 0
    assert len(counted.invalid) == 4


def test_signatures_of_other_forms_of_the_message_do_not_count() -> None:
    found = recorded_certificates()[1]
    for message in (spec.message_v1(found.state), spec.message_v3(1)):
        assert spec.tally(message, found.signatures, recorded_config().nodes).weight == 0


def test_invalid_and_unknown_signers_are_dropped_and_counted() -> None:
    rows, capacity = table(6), 8
    good = certificate(2, rows, secrets(9)[:6], capacity)
    stranger = signed(spec.message_v2(good.state, good.next_stake), secrets(9)[6:7])
    stranger += signed([1], secrets(9)[7:8])
    (key, signature), *rest = good.signatures
    broken = ((key, replace(signature, s=signature.s ^ 1)), *rest, *stranger)
    counted = spec.check_certificate(replace(good, signatures=broken), rows, 10)
    assert counted.signatures[0] is None
    assert [s for s in counted.signatures[1:] if s is None] == []
    assert counted.invalid == (rows[0].schnorr,)
    assert counted.unknown == (stranger[0][0], stranger[1][0])
    assert counted.weight == sum(row.stake for row in rows[1:])
    assert counted.dropped == 3


def test_a_repeated_signer_counts_once() -> None:
    rows = table(4)
    good = certificate(1, rows, secrets(4)[:1], 4)
    counted = spec.tally(spec.message_v2(good.state, good.next_stake), good.signatures * 4, rows)
    assert counted.weight == rows[0].stake


def test_weight_decides_not_the_number_of_signers() -> None:
    rows = tuple(replace(row, stake=stake) for row, stake in zip(table(4), [70, 10, 10, 10], strict=True))
    heavy = certificate(1, rows, secrets(4)[:1], 4)
    assert spec.check_certificate(heavy, rows, 10).weight == 70
    light = certificate(1, rows, secrets(4)[1:], 4)
    with pytest.raises(InvalidState, match=r"got '30 of 3 validators, 0 invalid .*expected at least 34"):
        spec.check_certificate(light, rows, 10)


def test_the_threshold_itself_is_enough_and_one_less_is_not() -> None:
    for stakes, enough in (([34, 33, 33], True), ([33, 34, 33], False)):
        rows = tuple(replace(row, stake=stake) for row, stake in zip(table(3), stakes, strict=True))
        found = certificate(1, rows, secrets(3)[:1], 4)
        if enough:
            assert spec.check_certificate(found, rows, 10).weight == 34 == spec.threshold(rows)
        else:
            with pytest.raises(InvalidState):
                spec.check_certificate(found, rows, 10)


@pytest.mark.parametrize("height", [5, 14, 16, 25, 0])
def test_a_certificate_of_another_height_than_its_epochs_root_is_refused(height: int) -> None:
    good = certificate(2, table(3), secrets(3), 4)
    assert spec.check_certificate(good, table(3), 10).signers == 3
    after = good.next_stake
    signatures = signed(spec.message_v2(state(height), after), secrets(3))
    with pytest.raises(InvalidState, match="not of that epoch's root"):
        spec.check_certificate(StateCertificate(2, state(height), after, signatures), table(3), 10)


@pytest.mark.parametrize("column", ["threshold", "schnorr", "amount"])
def test_a_next_table_without_a_quorum_is_refused_whoever_has_signed_it(column: str) -> None:
    good, rows = certificate(2, table(3), secrets(3), 4), table(3)
    after = replace(good.next_stake, **{column: 0})
    signatures = signed(spec.message_v2(good.state, after), secrets(3))
    with pytest.raises(InvalidState, match=f"without a quorum; got '{column} 0'"):
        spec.check_certificate(StateCertificate(2, good.state, after, signatures), rows, 10)
    with pytest.raises(InvalidState, match="relay server's state at height 15 names a next stake table"):
        spec.check_bundle(Bundle(good.state, after, signatures, weight=10**30), rows)


def test_a_bundle_counts_by_its_signatures_whatever_weight_it_claims() -> None:
    rows = table(5)
    after, at = spec.commitment(rows, 8), state(123)
    bundle = Bundle(at, after, signed(spec.message_v2(at, after), secrets(5)), weight=0)
    assert spec.check_bundle(bundle, rows).signers == 5
    weak = replace(bundle, signatures=bundle.signatures[:0], weight=10**30)
    with pytest.raises(InvalidState, match="relay server's state at height 123; got '0 of 0"):
        spec.check_bundle(weak, rows)


def test_a_table_with_one_key_twice_counts_both_rows() -> None:
    """As the reference does: the circuit has a bit per row."""
    row = table(1)[0]
    found = certificate(1, (row, row), secrets(1), 4)
    assert spec.check_certificate(found, (row, row), 10).signers == 2


def test_elements_are_in_the_order_of_the_public_inputs() -> None:
    assert list(spec.elements(StakeTableState(1, 2, 3, 4))) == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_certificate_of_200_validators_takes_less_than_five_seconds() -> None:
    """CPU time, with nothing remembered: commitment to the table and 200 signatures. Without GMP it takes longer."""
    rows = table(200)
    found = certificate(1, rows, secrets(200), 200)
    for remembered in (spec._column, schnorr._key_block, schnorr.is_key):
        remembered.cache_clear()
    began = time.process_time()
    spec.check_table(rows, 200, found.next_stake)
    assert spec.check_certificate(found, rows, 10).signers == 200
    took = time.process_time() - began
    assert took < (5 if roots.fifth_root is not roots.python_root else 15), took
