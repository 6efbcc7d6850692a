"""Whether the next period may begin before its proof is there. Pure: the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass

from provery.systems.beacon.spec import Chain


@dataclass(frozen=True)
class Risk:
    """The next period boundary by the clock, and what stands before it."""

    period: int
    """The period that begins next."""
    left_s: float
    """Seconds until it does."""
    expected_s: float
    """Seconds that proving a period is expected to take."""
    proved: bool
    """Whether the period has its proof."""

    @property
    def at_risk(self) -> bool:
        """Whether there is less time than proving takes."""
        return not self.proved and self.left_s < self.expected_s

    def __str__(self) -> str:
        """One line for an alarm."""
        return (
            f"period {self.period} begins in {self.left_s:.0f} s without its proof, which is expected to take "
            f"{self.expected_s:.0f} s"
        )


def next_boundary(chain: Chain, unix_s: float) -> tuple[int, float]:
    """The period that begins next, and the seconds until then."""
    period = chain.period_of(chain.slot_at(int(unix_s * 1000))) + 1
    begins = chain.genesis_time + period * chain.preset.slots_per_period * chain.slot_ms / 1000
    return period, begins - unix_s


def assess(chain: Chain, unix_s: float, expected_s: float, *, proved: bool) -> Risk:
    """What is at risk at a moment.

    Args:
        chain: The network.
        unix_s: The moment, seconds since the epoch.
        expected_s: How long proving takes.
        proved: Whether the period that begins next has its proof.
    """
    period, left = next_boundary(chain, unix_s)
    return Risk(period, left, expected_s, proved)
