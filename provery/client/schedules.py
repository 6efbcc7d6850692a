"""Schedules that follow streams, and backfills of ordinals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import (
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from provery.client.connection import NotFound, translated
from provery.client.links import schedule_link
from provery.core.controls import FOLLOW_STREAM, NEVER_AGAIN, Again, FollowInput
from provery.core.errors import InvalidInput
from provery.core.queues import ORCHESTRATE, task_queue
from provery.core.visibility import stream_attributes

CATCHUP_WINDOW = timedelta(minutes=10)
"""Looks missed for longer are dropped: one look finds everything that is due, and the default of a year floods."""
_LIST_LIMIT = 1_000


@dataclass(frozen=True)
class ScheduleView:
    """A stream's schedule."""

    id: str
    """``follow/<system>/<stream>``."""
    stream: str
    paused: bool
    note: str
    next_at: str
    """ISO 8601, empty when it has no next look."""
    last_at: str
    looks: int | None
    """How often it looked; None where a list does not say."""
    skipped: int | None
    """Looks skipped because the one before still ran."""
    ui: str


def schedule_id(system: str, stream: str) -> str:
    """Id of a stream's schedule."""
    return f"follow/{system}/{stream}"


class Schedules:
    """The schedules of one namespace."""

    def __init__(self, client: Client, env: Mapping[str, str]) -> None:
        self._client, self._env = client, env

    async def create(
        self,
        system: str,
        stream: str,
        *,
        every: timedelta | None = None,
        cron: str = "",
        parallel: int = 8,
        jitter: timedelta | None = None,
        paused: bool = False,
        note: str = "",
        replace: bool = False,
        again: Again = NEVER_AGAIN,
    ) -> str:
        """Follow a stream; returns the schedule's id.

        Args:
            system: The stream's system.
            stream: The stream.
            every: Interval between looks; exclusive with ``cron``.
            cron: Cron expression in UTC.
            parallel: Units in progress at a time.
            jitter: Random delay of each look, so that many streams do not look at once.
            paused: Create it paused.
            note: Why it is as it is, for people.
            replace: Change the schedule that is there; whether it is paused, and why, stays as an operator left it.
            again: How a look that failed is repeated.

        Raises:
            InvalidInput: neither or both of interval and cron, or the stream is followed already.
        """
        if (every is None) == (not cron):
            raise InvalidInput("a schedule needs an interval or a cron expression", expected="one of the two")
        if every is not None and every < timedelta(seconds=1):
            raise InvalidInput("a schedule's interval is too short", value=every, expected="at least 1 s")
        name = schedule_id(system, stream)
        schedule = Schedule(
            action=self._action(system, stream, parallel, again),
            spec=ScheduleSpec(
                intervals=[ScheduleIntervalSpec(every=every)] if every is not None else [],
                cron_expressions=[cron] if cron else [],
                jitter=jitter,
            ),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
            state=ScheduleState(paused=paused, note=note),
        )
        attributes = TypedSearchAttributes(stream_attributes(system, stream))
        try:
            with translated("creating a schedule"):
                await self._client.create_schedule(name, schedule, search_attributes=attributes)
        except ScheduleAlreadyRunningError as err:
            if replace:
                await self._replace(system, stream, schedule)
                return name
            raise InvalidInput(
                "the stream is followed already",
                value=name,
                action=f"`provery schedule delete {system}/{stream}` first",
            ) from err
        return name

    async def _replace(self, system: str, stream: str, schedule: Schedule) -> None:
        def changed(seen: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = seen.description.schedule.state
            return ScheduleUpdate(schedule)

        with _of(system, stream):
            await self._handle(system, stream).update(changed)

    def _action(self, system: str, stream: str, parallel: int, again: Again) -> ScheduleActionStartWorkflow:
        return ScheduleActionStartWorkflow(
            FOLLOW_STREAM,
            FollowInput(system, stream, parallel=parallel, retries=again.retries, retry_s=again.wait_s),
            id=schedule_id(system, stream),
            task_queue=task_queue(ORCHESTRATE, self._env),
            static_summary=f"look for due units of {system}/{stream}",
            typed_search_attributes=TypedSearchAttributes(stream_attributes(system, stream)),
        )

    async def list(self) -> list[ScheduleView]:
        """Every schedule of ours, by id."""
        found: list[ScheduleView] = []
        with translated("listing schedules"):
            async for entry in await self._client.list_schedules():
                if not entry.id.startswith("follow/") or entry.schedule is None or entry.info is None:
                    continue
                found.append(
                    self._view(
                        entry.id,
                        entry.schedule.state.paused,
                        entry.schedule.state.note or "",
                        entry.info.next_action_times,
                        [a.started_at for a in entry.info.recent_actions],
                    )
                )
                if len(found) >= _LIST_LIMIT:
                    break
        return sorted(found, key=lambda s: s.id)

    async def show(self, system: str, stream: str) -> ScheduleView:
        """One schedule with its counts.

        Raises:
            NotFound: the stream is not followed.
        """
        with _of(system, stream):
            seen = await self._handle(system, stream).describe()
        return self._view(
            seen.id,
            seen.schedule.state.paused,
            seen.schedule.state.note or "",
            seen.info.next_action_times,
            [a.started_at for a in seen.info.recent_actions],
            seen.info.num_actions,
            seen.info.num_actions_skipped_overlap,
        )

    async def pause(self, system: str, stream: str, note: str = "") -> None:
        """Stop looking."""
        with _of(system, stream):
            await self._handle(system, stream).pause(note=note or None)

    async def resume(self, system: str, stream: str, note: str = "") -> None:
        """Look again."""
        with _of(system, stream):
            await self._handle(system, stream).unpause(note=note or None)

    async def trigger(self, system: str, stream: str) -> None:
        """Look now."""
        with _of(system, stream):
            await self._handle(system, stream).trigger()

    async def backfill(self, system: str, stream: str, start: datetime, end: datetime) -> None:
        """Make the looks that a time range should have had, one after the other."""
        if end <= start:
            raise InvalidInput(
                "a backfill ends after it starts", value=end.isoformat(), expected=f"> {start.isoformat()}"
            )
        past = ScheduleBackfill(start_at=start, end_at=end, overlap=ScheduleOverlapPolicy.BUFFER_ALL)
        with _of(system, stream):
            await self._handle(system, stream).backfill(past)

    async def delete(self, system: str, stream: str) -> None:
        """Follow the stream no more; running units go on."""
        with _of(system, stream):
            await self._handle(system, stream).delete()

    async def backfill_units(
        self, system: str, stream: str, first: int, last: int, parallel: int = 8
    ) -> tuple[str, str]:
        """Prove the units with these ordinals, both included; returns workflow id and run id.

        The id names the range, so the same backfill given twice is one.
        """
        if last < first or first < 0:
            raise InvalidInput(
                "not a range of ordinals", value=f"{first}..{last}", expected="0 <= first <= last"
            )
        if not 1 <= parallel <= 1_000:
            raise InvalidInput("not a number of units at a time", value=parallel, expected="1 to 1,000")
        with translated("starting a backfill"):
            handle = await self._client.start_workflow(
                FOLLOW_STREAM,
                FollowInput(system, stream, first=first, last=last, parallel=parallel),
                id=f"backfill/{system}/{stream}/{first}-{last}",
                task_queue=task_queue(ORCHESTRATE, self._env),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=TypedSearchAttributes(stream_attributes(system, stream)),
                static_summary=f"backfill {system}/{stream} from {first} to {last}",
            )
        return handle.id, handle.result_run_id or ""

    def _handle(self, system: str, stream: str) -> ScheduleHandle:
        return self._client.get_schedule_handle(schedule_id(system, stream))

    def _view(
        self,
        name: str,
        paused: bool,
        note: str,
        upcoming: Sequence[datetime],
        recent: Sequence[datetime],
        looks: int | None = None,
        skipped: int | None = None,
    ) -> ScheduleView:
        return ScheduleView(
            id=name,
            stream=name.removeprefix("follow/"),
            paused=paused,
            note=note,
            next_at="" if paused else _iso(min(upcoming, default=None)),
            last_at=_iso(max(recent, default=None)),
            looks=looks,
            skipped=skipped,
            ui=schedule_link(self._env, name),
        )


def _iso(when: datetime | None) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds") if when is not None else ""


@contextmanager
def _of(system: str, stream: str) -> Iterator[None]:
    """Translate errors; a missing schedule says how to make one."""
    try:
        with translated("asking for a schedule"):
            yield
    except NotFound as err:
        raise NotFound(
            "the stream has no schedule",
            value=f"{system}/{stream}",
            action=f"`provery schedule create {system}/{stream} --every 10m` makes one",
        ) from err
