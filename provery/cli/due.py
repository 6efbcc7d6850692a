"""Proving what is due now, once, with failures tried again: what a schedule's look does, for a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from provery.cli.output import say
from provery.client import Started
from provery.core.controls import Again
from provery.core.errors import ConfigurationError, ProveryError
from provery.core.types import UnitOutcome, UnitStatus


@dataclass(frozen=True)
class Look:
    """What was found and started, and how it ended where that was waited for."""

    started: list[Started]
    outcomes: list[UnitOutcome]


async def repeated(look: Callable[[], Awaitable[Look]], again: Again) -> Look:
    """What a look came to, repeated while it fails or one of its units does.

    Args:
        look: Finds what is due and has it proved.
        again: How often at most, and how long to wait before.

    Raises:
        ProveryError: the last look failed, or a setting is wrong, which waiting does not change.
    """
    for left in range(again.retries, 0, -1):
        try:
            found = await look()
        except ConfigurationError:
            raise
        except ProveryError as error:
            reason = str(error)
        else:
            failed = [o for o in found.outcomes if o.status is UnitStatus.FAILED]
            if not failed:
                return found
            reason = f"{failed[0].unit.removeprefix('prove/')} failed: {failed[0].reason}"
        say(f"{reason}; again in {again.wait_s:g} s, at most {left} more", style="yellow", stderr=True)
        await asyncio.sleep(again.wait_s)
    return await look()
