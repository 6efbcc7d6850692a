"""The upstream service's document: its requests, and whether an answer has the shape that it shows."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from provery.local import ROOT

DOCUMENT = json.loads((ROOT / "tests/unit/zkml/vectors/documented.json").read_text())


def same_shape(documented: Any, found: Any, where: str = "") -> None:
    """Every documented field is there, and of the documented kind."""
    if isinstance(documented, dict):
        assert isinstance(found, dict), where
        for name, value in documented.items():
            assert name in found, f"{where}.{name}"
            same_shape(value, found[name], f"{where}.{name}")
    elif isinstance(documented, list):
        assert isinstance(found, list), where
        assert found, where
        for value in found:
            same_shape(documented[0], value, f"{where}[]")
    elif isinstance(documented, bool):
        assert found is documented, where
    elif isinstance(documented, int):
        assert isinstance(found, int | float), where
        assert not isinstance(found, bool), where
    else:
        assert isinstance(found, str), where
        assert documented.startswith("0x") == found.startswith("0x"), where


Send = Callable[[str, str, dict[str, str], str], Awaitable[Any]]
"""Method, path, headers and body → the JSON of an answer with status 200."""


async def ask_all(send: Send) -> dict[str, Any]:
    """Make the document's requests as they stand there, compare each answer's shape; what ``POST /prove`` answered."""
    proved: dict[str, Any] = {}
    for one in DOCUMENT["requests"]:
        head, _, body = one["request"].partition("\n\n")
        first, *headers = head.split("\n")
        method, path = first.split(" ")
        if path == "/verify":
            body = _filled(body, proved)
        answer = await send(method, path, dict(line.split(": ", 1) for line in headers), body)
        same_shape(one["answer"], answer)
        if path == "/prove":
            proved = answer
    return proved


def _filled(body: str, proved: dict[str, Any]) -> str:
    """The document abbreviates what /prove gave."""
    proof, said = proved["proof"]["proof"], proved["proof"]["metadata"]
    for short, whole in (
        ('"0x..."', proof),
        ('"0xabcdef..."', said["model_hash"]),
        ('"0x123456..."', said["input_hash"]),
    ):
        body = body.replace(short, f'"{whole}"')
    return body.replace("[1, 87, 12]", json.dumps(proved["inference"]["raw_output"]))
