"""From a checked update to the files that a prover gets, and back. Pure.

``update.json`` holds everything that the statement speaks of: ``{"preset", "pubkeys", "domain", "update"}``, where
``pubkeys`` are the signing committee's and ``update`` is the data of the Beacon API's ``light_client/updates``. For
committees of 512 there is ``sync.ssz`` too. The file of period N says who signs in period N: it is made from the update
of period N - 1.
"""

from __future__ import annotations

from provery.core.errors import InvalidInput
from provery.core.types import Json, canonical_json
from provery.systems.beacon import syncfile
from provery.systems.beacon.checks import check_update
from provery.systems.beacon.containers import keys_root
from provery.systems.beacon.jsonform import format_update, load, parse_update
from provery.systems.beacon.model import PUBKEY_BYTES, CheckedPeriod, SyncCommittee, Update
from provery.systems.beacon.spec import Chain, Preset, depth, indices

UPDATE = "update.json"
SYNC = "sync.ssz"
CHAIN = "chain.json"
"""What a development chain's node said of it; only where the chain is not one of those that are built in."""
PREVIOUS = {"previous_zk_proof.bin": "zk_proof.bin", "previous_zk_vk_raw.bin": "zk_vk_raw.bin"}
"""Statement file → file of the period before, for provers that continue its proof."""
STATEMENT_FILES = (UPDATE, SYNC, *PREVIOUS)
FULL_COMMITTEE = 512
SMALL_COMMITTEE = 32


def circuit_preset(preset: Preset) -> str:
    """The circuits' name of a preset: they know committees and periods, not epochs, so Gnosis has mainnet's."""
    return "mainnet" if preset.committee_size == FULL_COMMITTEE else "minimal"


def circuit_name(chain: Chain, period: int) -> str:
    """The native circuit of a period: by committee size and by the depth of the next committee in the state.

    Args:
        chain: The network.
        period: Period that is proved; its update is signed in the period before.
    """
    last_slot = period * chain.preset.slots_per_period - 1
    levels = depth(indices(chain.fork_of(last_slot)).next_committee)
    return f"beacon-step-{circuit_preset(chain.preset)}-{levels}"


def first_period(chain: Chain) -> int:
    """The first period that can be proved: the one after Altair's own."""
    altair = next((p.epoch for p in chain.forks if p.fork.label == "altair"), 0)
    return altair // chain.preset.epochs_per_period + 1


def document(chain: Chain, checked: CheckedPeriod) -> bytes:
    """The bytes of ``update.json``."""
    keys: list[Json] = ["0x" + checked.committee.key(seat).hex() for seat in range(checked.committee.size)]
    return canonical_json(
        {
            "preset": circuit_preset(chain.preset),
            "pubkeys": keys,
            "domain": "0x" + checked.domain.hex(),
            "update": format_update(checked.update),
        }
    )


def read_document(chain: Chain, body: bytes) -> tuple[Update, SyncCommittee, bytes]:
    """Update, signing committee and domain of an ``update.json``; the committee's aggregate key is not in it.

    Raises:
        InvalidInput: it is malformed, or of another preset.
    """
    value = load(body)
    if not isinstance(value, dict) or value.get("preset") != circuit_preset(chain.preset):
        raise InvalidInput(
            f"{UPDATE} is of another preset or malformed",
            value=value.get("preset") if isinstance(value, dict) else value,
            expected=circuit_preset(chain.preset),
        )
    keys = value.get("pubkeys")
    if not isinstance(keys, list) or len(keys) != chain.preset.committee_size:
        raise InvalidInput(f"{UPDATE} has another committee", expected=f"{chain.preset.committee_size} keys")
    pubkeys = b"".join(_bytes(key, PUBKEY_BYTES, f"pubkeys[{at}]") for at, key in enumerate(keys))
    inner = value.get("update")
    update = parse_update(chain.fork_of(_slot(inner)), chain.preset, inner)
    return update, SyncCommittee(pubkeys, bytes(PUBKEY_BYTES)), _bytes(value.get("domain"), 32, "domain")


def attested_period(chain: Chain, body: bytes) -> int:
    """Period of the attested header in an ``update.json``, without checking anything else.

    Raises:
        InvalidInput: it is malformed.
    """
    value = load(body)
    return chain.period_of(_slot(value.get("update") if isinstance(value, dict) else None))


def check_document(chain: Chain, body: bytes, period: int) -> CheckedPeriod:
    """Check an ``update.json`` from scratch, as if nobody had: the form, every branch, the signature.

    Args:
        chain: The network.
        body: The file.
        period: Period that it has to be of: one after that of its attested header.

    Raises:
        InvalidInput: it does not hold, or is of another period or chain.
    """
    update, committee, domain = read_document(chain, body)
    checked = check_update(chain, update, committee, period=period - 1)
    if checked.domain != domain:
        raise InvalidInput(f"{UPDATE} has another domain", value=domain.hex(), expected=checked.domain.hex())
    check_form(chain, update, period)
    return checked


def check_form(chain: Chain, update: Update, period: int) -> None:
    """See that the circuit of a period fits its update: where a fork lies within a period, the last form counts.

    Args:
        chain: The network.
        update: Of the period before.
        period: Period that is to be proved.

    Raises:
        InvalidInput: the update is from before the fork.
    """
    wanted, levels = circuit_name(chain, period), len(update.next_branch)
    if not wanted.endswith(f"-{levels}"):
        raise InvalidInput(
            f"the update of period {period - 1} is from before a fork within the period",
            value=f"{levels} levels",
            expected=wanted,
            action="ask another node, or wait until the nodes have an update from after the fork",
        )


def sync_file(chain: Chain, checked: CheckedPeriod) -> bytes | None:
    """The bytes of ``sync.ssz``; None for committees that the file is not defined for."""
    if chain.preset.committee_size != FULL_COMMITTEE:
        return None
    return syncfile.write(syncfile.from_checked(checked))


def facts(checked: CheckedPeriod) -> dict[str, str]:
    """What the proof will say, for people and for the manifest."""
    return {
        "current_keys_root": keys_root(checked.committee).hex(),
        "next_keys_root": keys_root(checked.update.next_committee).hex(),
        "attested_header_root": checked.attested_root.hex(),
        "domain": checked.domain.hex(),
        "attested_slot": str(checked.update.attested.slot),
        "participants": str(checked.update.participants),
    }


def _slot(update: Json) -> int:
    at: Json = update
    for name in ("attested_header", "beacon", "slot"):
        at = at.get(name) if isinstance(at, dict) else None
    if not (isinstance(at, str) and at.isascii() and at.isdigit() and len(at) <= 20):
        raise InvalidInput(f"{UPDATE} has no attested slot", value=at, expected="a decimal string")
    return int(at)


def _bytes(value: Json, size: int, what: str) -> bytes:
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else b""
    except ValueError:
        data = b""
    if len(data) != size:
        raise InvalidInput(
            f"{what} of {UPDATE} is malformed", value=value, expected=f"0x and {size} bytes in hex"
        )
    return data
