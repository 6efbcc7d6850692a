from __future__ import annotations

import logging
import time

import pytest

from provery.core.redact import RedactingFilter, Redactor, redact

KEY = "1f" * 32


@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        (
            "postgresql://prover:hunter22@db.example:5432/ledger refused",
            "hunter22",
            "prover:***@db.example:5432",
        ),
        ("redis://:s3cr3t-word@127.0.0.1:6379/0", "s3cr3t-word", "redis://***@127.0.0.1:6379/0"),
        ("https://sometoken@host/path", "sometoken", "https://***@host/path"),
        ("postgres://u:p@ss@host/db", "p@ss", "u:***@host"),
        (
            "https://mainnet.infura.io/v3/0123456789abcdef0123456789abcdef",
            "0123456789abcdef",
            "infura.io/v3/***",
        ),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI", "AWS_SECRET_ACCESS_KEY=***"),
        ('{"api_key": "abc def", "size": 3}', "abc def", '"size": 3'),
        ("password: hunter22, user: bob", "hunter22", "user: bob"),
        ("Authorization: Bearer abcdefghijk.lmnop", "abcdefghijk", "Bearer ***"),
        ("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE", "key *** used"),
        ("x?X-Amz-Signature=deadbeef&x=1", "deadbeef", "&x=1"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln next", "eyJhbGci", "next"),
        (f"private key of the sender is 0x{KEY}", KEY, "private key of the sender is"),
        (f"cast send --private-key {KEY} --rpc-url", KEY, "--rpc-url"),
        (f"PRIVATE_KEY=0x{KEY}", KEY, "PRIVATE_KEY="),
        (f"key pk_{'0a' * 8}_{'q2' * 26} used", "q2q2", f"key pk_{'0a' * 8}_*** used"),
        (f"X-Api-Key: pk_{'0a' * 8}_{'q2' * 26}", "q2q2", "X-Api-Key: ***"),
        (f"/v1/proofs?key=PK_{'0A' * 8}_{'Q2' * 20}&wait=5", "Q2Q2", "&wait=5"),
        (f"cut off: pk_{'0a' * 8}_q2q", "q2q", f"pk_{'0a' * 8}_***"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY----- after", "MHcCAQEE", "after"),
        ("-----BEGIN PRIVATE KEY-----\nMHcCAQEE cut off", "MHcCAQEE", "BEGIN PRIVATE KEY"),
    ],
)
def test_hides_what_looks_secret(text: str, secret: str, kept: str) -> None:
    clean = redact(text)
    assert secret not in clean
    assert kept in clean


@pytest.mark.parametrize(
    "text",
    [
        f"artifact sha256 {KEY} is 40000 bytes",
        "file:///srv/store/sha256/ab/cdef",
        "s3://bucket/prefix?cache_mb=100",
        "http://127.0.0.1:8233/namespaces/default",
        "expected 6 tokens per line",
        "verifying key 0x001af9e056e4b0ce9c96815b973a1df32bca6e83da49ef9a170d2dca9cd2eeea",
        "mailto bob@example.org",
    ],
)
def test_leaves_ordinary_text_alone(text: str) -> None:
    assert redact(text) == text


def test_learns_values_from_the_environment() -> None:
    redactor = Redactor()
    redactor.learn(
        {
            "ROOT_SECRET_KEY": "plainword",
            "DATABASE_URL": "postgres://me:pa%24%24word@h/db",
            "TEMPORAL_API_KEY": "tmprl-key-1",
            "API_KEY_PATH": "/etc/keys/api",
            "TOKEN": "k",
            "HOME": "/root/home",
        }
    )
    clean = redactor("plainword pa$$word pa%24%24word tmprl-key-1 /etc/keys/api k /root/home")
    assert clean == "*** *** *** *** /etc/keys/api k /root/home"


def test_longest_learned_value_wins() -> None:
    redactor = Redactor()
    redactor.learn_values({"secretive", "secretive-long"})
    assert redactor("x secretive-long y") == "x *** y"


@pytest.mark.parametrize(
    "unit",
    ["x", "x_", "password=", "password:'", "-----BEGIN A-----", "http://", "http://a:", "a:", "private key ",
     "-eyJaaaaaaaa", "https://h/v1/", "bearer ", "sk-", "0x" + KEY, "ghp_", "AKIA"],
)  # fmt: skip
def test_hostile_text_takes_time_in_proportion(unit: str) -> None:
    text = (unit * 300_000)[:200_000]
    started = time.perf_counter()
    redact(text)
    redact("http://" + text)
    assert time.perf_counter() - started < 2


def test_filter_cleans_message_arguments_traceback_and_extras() -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keep()
    handler.addFilter(RedactingFilter())
    handler.setFormatter(logging.Formatter("%(message)s %(endpoint)s"))
    log = logging.Logger("redact-test")
    log.addHandler(handler)
    try:
        raise RuntimeError("postgres://u:innermost@h/db is down")
    except RuntimeError:
        log.exception("token=%s n=%d", "abcdefgh", 3, extra={"endpoint": "redis://:pw1234@h"})
    log.warning("bad arguments %d", "token=zzzzzzzz", extra={"endpoint": ""})
    text = "\n".join(lines)
    assert "Traceback" in text
    for secret in ("innermost", "abcdefgh", "pw1234", "zzzzzzzz"):
        assert secret not in text
    assert "n=3" in text
