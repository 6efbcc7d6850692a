import pytest

from activities.errors import to_application_error
from provery.core.errors import MESSAGE_LIMIT, ProveryError, Retry, error_classes, shorten


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_every_error_says_whether_temporal_may_retry(name: str) -> None:
    cls = error_classes()[name]
    made = to_application_error(cls("what", value=7, expected="8", action="do"))
    assert made.type == cls.__name__
    assert made.non_retryable == (cls.retry not in (Retry.FOREVER, Retry.BOUNDED))
    assert to_application_error(cls("what"), exhausted=True).non_retryable == (cls.retry is not Retry.FOREVER)
    assert "got '7'; expected 8; do" in made.message


def test_a_message_is_bounded_and_holds_no_secret() -> None:
    made = to_application_error(ProveryError("x" * 10_000 + " postgresql://u:hunter2secret@db/x"))
    assert len(made.message) <= MESSAGE_LIMIT
    assert "hunter2secret" not in made.message


def test_a_hostile_value_is_printable_and_short() -> None:
    shown = shorten("a\x1b[31m\n" + "b" * 10_000)
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert len(shown) < 200
    assert "10007 characters" in shown or "characters" in shown
