"""A small run of the fuzzer; ``make fuzz-zkml`` sends 20,000 requests."""

from __future__ import annotations

from tests.zkml_fuzz import fuzz


def test_a_few_hundred_requests() -> None:
    report = fuzz(300, seed=1)
    assert report.failures == []
    assert report.statuses.total() >= 300
    assert report.statuses[200] + report.statuses[202] > 10
    assert sum(count for status, count in report.statuses.items() if 400 <= status < 500) > 100
