"""Every check of a light-client update before it may be proved. Pure.

Source: ``validate_light_client_update`` of ethereum/consensus-specs, ``specs/<fork>/light-client/sync-protocol.md``,
for a store that stands in the update's own period and does not know the next committee yet. Two demands are stricter:
the supermajority that the specification asks for before it applies an update, and a next committee.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provery.core.errors import InvalidInput
from provery.systems.beacon import bls
from provery.systems.beacon.containers import beacon_root, committee_root, empty_header, execution_root
from provery.systems.beacon.model import Bootstrap, CheckedPeriod, Fork, Header, SyncCommittee, Update
from provery.systems.beacon.spec import EXECUTION_GINDEX, Chain, depth, fold, indices, signing_root

_ELSEWHERE = "ask another node"


def check_update(
    chain: Chain,
    update: Update,
    committee: SyncCommittee,
    *,
    period: int,
    now_slot: int | None = None,
    require_finality: bool = False,
) -> CheckedPeriod:
    """Check one period's update against the committee that must have signed it.

    Args:
        chain: The network.
        update: The claimed update.
        committee: Committee of ``period``, already trusted.
        period: Sync-committee period that the update has to be of.
        now_slot: The current slot; a later signature is refused. None leaves the clock out.
        require_finality: Whether an update without a finalised header is refused.

    Raises:
        InvalidInput: any check fails; the message names the value, what was expected, and what to do.
    """
    check_period(chain, update, period, now_slot)
    check_participation(update, committee)
    check_header(chain, update.fork, update.attested, "attested header")
    check_finality(chain, update, required=require_finality)
    check_next_committee(update)
    return check_signature(chain, update, committee)


def check_chain(
    chain: Chain,
    trusted: SyncCommittee,
    updates: Iterable[Update],
    *,
    first: int,
    now_slot: int | None = None,
) -> list[CheckedPeriod]:
    """Check consecutive periods, each signed by the committee that the one before names.

    Args:
        chain: The network.
        trusted: Committee of period ``first``.
        updates: Updates of the periods ``first``, ``first + 1`` and so on.
        first: Period of the first update.
        now_slot: The current slot, or None.

    Raises:
        InvalidInput: an update fails, is missing or is out of order.
    """
    checked: list[CheckedPeriod] = []
    for period, update in enumerate(updates, first):
        checked.append(check_update(chain, update, trusted, period=period, now_slot=now_slot))
        trusted = update.next_committee
    return checked


class Follower:
    """Checks updates in the order of their periods, each against the committee that the one before named.

    Args:
        chain: The network.
        trusted: Committee of period ``first``.
        first: Period to begin with.
        now_slot: The current slot, or None.
    """

    def __init__(self, chain: Chain, trusted: SyncCommittee, first: int, now_slot: int | None = None) -> None:
        self._chain, self._now_slot = chain, now_slot
        self._committees = {first: trusted}
        self.checked: dict[int, CheckedPeriod] = {}
        """Period → what has passed so far."""

    def __call__(self, update: Update) -> None:
        """Check one update.

        Raises:
            InvalidInput: it fails, or its committee is not known because the period before has not passed.
        """
        period = self._chain.period_of(update.attested.slot)
        committee = self._committees.get(period)
        if committee is None:
            raise InvalidInput(
                f"the sync committee of period {period} is not known",
                value=period,
                expected=f"one of {', '.join(map(str, sorted(self._committees)))}",
                action="check the periods before first",
            )
        self.checked[period] = check_update(
            self._chain, update, committee, period=period, now_slot=self._now_slot
        )
        self._committees[period + 1] = update.next_committee


def check_bootstrap(chain: Chain, bootstrap: Bootstrap, root: bytes) -> SyncCommittee:
    """The committee of a trusted block's period (``initialize_light_client_store``).

    Args:
        chain: The network.
        bootstrap: What a node gave.
        root: Root of the trusted block, 32 bytes.

    Raises:
        InvalidInput: the bootstrap is of another block, or a branch does not lead to it.
    """
    header = bootstrap.header
    _check_form(chain, bootstrap.fork, header.slot)
    check_header(chain, bootstrap.fork, header, "bootstrap header")
    if beacon_root(header) != root:
        raise InvalidInput(
            "the bootstrap is of another block",
            value=beacon_root(header).hex(),
            expected=root.hex(),
            action=_ELSEWHERE,
        )
    gindex = indices(bootstrap.fork).current_committee
    _check_branch(
        "current sync committee",
        committee_root(bootstrap.committee),
        bootstrap.branch,
        gindex,
        header.state_root,
    )
    return bootstrap.committee


# ---------------------------------------------------------------- one check each


def check_period(chain: Chain, update: Update, period: int, now_slot: int | None) -> None:
    """Period, fork and order of the slots."""
    attested, finalized, signed = update.attested.slot, update.finalized.slot, update.signature_slot
    for name, slot in (("attested", attested), ("signature", signed)):
        if chain.period_of(slot) != period:
            raise InvalidInput(
                f"the update is of another period: {name} slot {slot}",
                value=chain.period_of(slot),
                expected=str(period),
                action=_ELSEWHERE,
            )
    _check_form(chain, update.fork, attested)
    if not signed > attested >= finalized:
        raise InvalidInput(
            "the update's slots are out of order",
            value=f"signature {signed}, attested {attested}, finalised {finalized}",
            expected="signature > attested >= finalised",
            action=_ELSEWHERE,
        )
    if now_slot is not None and signed > now_slot:
        raise InvalidInput(
            "the update was signed in the future",
            value=f"slot {signed}",
            expected=f"at most the current slot, {now_slot}",
            action="check this machine's clock, or ask another node",
        )


def check_participation(update: Update, committee: SyncCommittee) -> None:
    """At least two thirds of the seats signed (``process_light_client_update``)."""
    size = committee.size
    if len(update.bits) * 8 != size:
        raise InvalidInput(
            "the participation bits fit another committee",
            value=len(update.bits) * 8,
            expected=f"{size} bits",
        )
    if update.participants * 3 < size * 2:
        raise InvalidInput(
            "too few of the sync committee signed",
            value=f"{update.participants} of {size}",
            expected=f"at least {-(-size * 2 // 3)}",
            action="ask another node, or wait for a better update of the period",
        )


def check_header(chain: Chain, form: Fork, header: Header, name: str) -> None:
    """What a header says about execution is in its block body (``is_valid_light_client_header``)."""
    own = chain.point_at(chain.epoch_of(header.slot)).fork
    if own > form:
        raise InvalidInput(
            f"the {name} is of a later fork than its form", value=own.label, expected=form.label
        )
    if form < Fork.CAPELLA:
        return
    if own < Fork.CAPELLA:
        empty = empty_header(form)
        if (header.execution, header.execution_branch) != (empty.execution, empty.execution_branch):
            raise InvalidInput(
                f"the {name} of slot {header.slot} claims execution", expected="nothing before Capella"
            )
        return
    root = execution_root(form, own, header.execution)
    if root is None:
        raise InvalidInput(f"the {name} of slot {header.slot} has blob fields", expected="zero before Deneb")
    _check_branch(
        f"execution header of the {name}", root, header.execution_branch, EXECUTION_GINDEX, header.body_root
    )


def check_finality(chain: Chain, update: Update, *, required: bool = False) -> None:
    """The finalised header is the checkpoint in the attested state, or nothing is claimed."""
    empty = empty_header(update.fork)
    if not any(any(node) for node in update.finality_branch):
        if required:
            raise InvalidInput(
                "the update has no finalised header", expected="a finality branch", action="wait for finality"
            )
        if update.finalized != empty:
            raise InvalidInput(
                "the update has a finalised header without a branch", value=f"slot {update.finalized.slot}"
            )
        return
    if update.finalized.slot == 0:
        if update.finalized != empty:
            raise InvalidInput(
                "the finalised header of slot 0 is not empty", expected="the empty header for genesis"
            )
        root = bytes(32)
    else:
        check_header(chain, update.fork, update.finalized, "finalised header")
        root = beacon_root(update.finalized)
    gindex = indices(update.fork).finalized_root
    _check_branch("finalised header", root, update.finality_branch, gindex, update.attested.state_root)


def check_next_committee(update: Update) -> None:
    """The next committee is the one in the attested state."""
    if not any(any(node) for node in update.next_branch):
        raise InvalidInput("the update names no next sync committee", expected="a branch", action=_ELSEWHERE)
    gindex = indices(update.fork).next_committee
    root = committee_root(update.next_committee)
    _check_branch("next sync committee", root, update.next_branch, gindex, update.attested.state_root)


def check_signature(chain: Chain, update: Update, committee: SyncCommittee) -> CheckedPeriod:
    """The aggregate signature is that of the seats that claim to have signed."""
    root, domain = beacon_root(update.attested), chain.domain(update.signature_slot)
    message = signing_root(root, domain)
    bls.verify(signers(update, committee), message, update.signature)
    return CheckedPeriod(
        period=chain.period_of(update.attested.slot),
        update=update,
        committee=committee,
        attested_root=root,
        domain=domain,
        signing_root=message,
    )


def signers(update: Update, committee: SyncCommittee) -> list[bytes]:
    """Compressed keys of the seats that signed."""
    return [committee.key(seat) for seat in range(committee.size) if update.signed(seat)]


def _check_form(chain: Chain, form: Fork, slot: int) -> None:
    own = chain.fork_of(slot)
    if own is not form:
        raise InvalidInput(f"slot {slot} has the form of another fork", value=form.label, expected=own.label)


def _check_branch(what: str, leaf: bytes, branch: Sequence[bytes], gindex: int, root: bytes) -> None:
    if len(branch) != depth(gindex):
        raise InvalidInput(
            f"the branch of the {what} has the wrong length",
            value=len(branch),
            expected=f"{depth(gindex)} nodes",
        )
    folded = fold(leaf, branch, gindex)
    if folded != root:
        raise InvalidInput(
            f"the {what} is not in the tree that it is claimed to be in",
            value=folded.hex(),
            expected=f"root {root.hex()}",
            action=_ELSEWHERE,
        )
