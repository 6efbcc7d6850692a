"""What a stream's metrics are made of: a small record in the period store, shared by every process of the stream.

Looks, publications and failures happen on different workers, so each of them changes the record under a lock; the
textfile and ``/metrics`` are both made from it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from math import nan

from provery.systems.beacon.files import write_atomically
from provery.systems.beacon.store import PeriodStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """Times are seconds since the epoch; 0 and NaN: not yet."""

    last_check: float = 0.0
    current_period: int = 0
    last_run: float = 0.0
    last_run_s: float = nan
    last_run_status: float = nan
    """0 success, 1 error."""
    first_period: int = 0
    """The first period that was ever looked at."""
    due: int = 0
    """Periods without a valid proof at the last look."""
    invalid: tuple[int, ...] = ()
    """Periods whose stored proof did not hold at the last look."""
    published: int = 0
    replaced: int = 0
    """Invalid proofs in the store that were found."""
    disagreements: int = 0
    rejected: int = 0
    """Proofs that did not verify."""
    failed: int = 0
    """Units that ended without a proof."""
    failed_checks: int = 0
    """Looks that found no usable beacon node."""


class Status:
    """The record of one stream.

    Args:
        store: Whose directory it is in.
    """

    def __init__(self, store: PeriodStore) -> None:
        self._store = store
        self._path = store.inner / "status.json"

    def read(self) -> Record:
        """The record; a fresh one where there is none, or where it is damaged."""
        try:
            value = json.loads(self._path.read_bytes())
            known = {field.name for field in fields(Record)}
            given = {name: item for name, item in value.items() if name in known and item is not None}
            given["invalid"] = tuple(given.get("invalid", ()))
            return Record(**given)
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("the stream's status is unreadable and starts anew: %s", error)
            return Record()

    def change(self, change: Callable[[Record], Record]) -> Record:
        """Change the record under the store's lock. Blocks.

        Figures are no reason to fail a stage: where the disk refuses, the change is lost and logged.
        """
        try:
            with self._store.locked():
                record = change(self.read())
                values = {name: None if value != value else value for name, value in asdict(record).items()}
                write_atomically(self._path, json.dumps(values))
                return record
        except OSError as error:
            log.error("the stream's status could not be written: %s", error)
            return change(self.read())

    def count(self, **by: int) -> Record:
        """Add to counters."""

        def add(record: Record) -> Record:
            return replace(record, **{name: getattr(record, name) + more for name, more in by.items()})

        return self.change(add)
