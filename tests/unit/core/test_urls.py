"""What may be shown of a server's address."""

import pytest

from provery.core.errors import ConfigurationError
from provery.core.urls import address_of


def test_a_plain_address() -> None:
    address = address_of(" http://node:8545 ", "a node")
    assert (address.name, address.path, address.query) == ("http://node:8545", "", ())
    assert address.user is None
    assert not address.secrets


def test_what_may_be_secret_is_kept_apart() -> None:
    url = "https://bob:s%40cret@[::1]:99/v3/0123456789abcdef0123/x?key=abc&empty="
    address = address_of(url, "a node")
    assert address.name == "https://[::1]:99"
    assert (address.user, address.password) == ("bob", "s@cret")
    assert address.path == "/v3/0123456789abcdef0123/x"
    assert address.query == (("key", "abc"),)
    assert address.secrets == {"s%40cret", "s@cret", "abc", "0123456789abcdef0123"}
    assert not [secret for secret in address.secrets if secret in repr(address)]


def test_a_lone_user_is_a_token() -> None:
    assert address_of("https://token@host", "a node").secrets == {"token"}


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "http://", "host:8545", "http://host:99999", "http://[::1"]
)
def test_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="a node's URL is malformed"):
        address_of(url, "a node")


def test_an_error_does_not_hold_the_address() -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of("ws://bob:hunter2hunter2@host", "a node")
    assert "hunter2" not in str(caught.value)
