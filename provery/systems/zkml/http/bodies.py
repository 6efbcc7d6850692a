"""Request bodies: bounded, strict JSON before anything looks at them. Nothing here repairs a request."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any

from fastapi import Request

from provery.systems.zkml.http.problems import ApiError, shown

DEPTH = 32
"""Nesting; tensors have at most a handful of dimensions."""
BRACKETS = 200_000
DIGITS = 400
"""Of one number: no float has more before its point."""
LARGE = 64 * 1024
"""Bytes; a larger body is parsed in a thread, so that others are served meanwhile."""
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""May be half of a surrogate pair, which is no character and no text of ours can hold."""
_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")


async def read_json(request: Request, most_values: int) -> dict[str, Any]:
    """The body as a JSON object.

    Args:
        request: Whose body it is; its size is bounded by the server.
        most_values: Numbers, texts and the like in it at most.

    Raises:
        ApiError: it is something else; the code says what.
    """
    check_type(request.headers.get("content-type"))
    body = await request.body()
    if body.count(b",") > most_values + 64:
        raise ApiError("too_many_values", f"the request has more than {most_values} values")
    parse = asyncio.to_thread(parse_object, body) if len(body) > LARGE else None
    return await parse if parse is not None else parse_object(body)


def check_type(given: str | None) -> None:
    """Refuse bodies that say to be something other than JSON. One that says nothing is taken for JSON.

    ``curl -d`` without a header says ``application/x-www-form-urlencoded``, as a form on any web page may: refused,
    because a browser sends such a request to another origin without asking.
    """
    if given is None or not given.strip():
        return
    kind, _, parameters = given.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if not _JSON_TYPE.fullmatch(kind.strip().lower()) or (
        charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii")
    ):
        raise ApiError(
            "unsupported_media_type",
            f"the body is sent as {shown(given)}; expected Content-Type: application/json",
        )


def parse_object(body: bytes) -> dict[str, Any]:
    """Strict JSON: finite numbers, no name twice, no comments, bounded depth, UTF-8.

    Raises:
        ApiError: it is not.
    """
    _check_depth(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError("invalid_json", f"the body is not UTF-8 at byte {error.start}") from None
    try:
        found = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        raise ApiError(
            "invalid_json", f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ApiError("too_deep", f"the body is nested deeper than {DEPTH}") from None
    if _HALF.search(body):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ApiError("invalid_json", "a text holds half of a surrogate pair") from None
    if not isinstance(found, dict):
        raise ApiError("invalid_request", f"the body is {_kind(found)}; expected an object")
    return found


def number(value: object, where: str) -> float:
    """A finite number as float64.

    Raises:
        ApiError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError("invalid_input", f"{where} is {_kind(value)}; expected a finite number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ApiError("invalid_input", f"{where} is not finite as float64; expected a finite number")
    return found


def tensor(value: object, shape: tuple[int, ...], most: int) -> tuple[float, ...]:
    """Inputs, flat or nested exactly as the shape says, in row-major order. Never padded, never cut.

    Raises:
        ApiError: of another shape, or not finite numbers.
    """
    count = math.prod(shape)
    told = f"expected {count} numbers, shape {list(shape)}"
    if not isinstance(value, list):
        raise ApiError("invalid_request", f"inputs is {_kind(value)}; {told}")
    flat = value
    if value and isinstance(value[0], list):
        flat = _flat(value, shape, told)
    if len(flat) != count:
        raise ApiError("wrong_shape", f"inputs has {len(flat)} numbers; {told}")
    if count > most:
        raise ApiError("too_many_values", f"inputs has {count} numbers; at most {most} are taken")
    return tuple(number(one, f"inputs[{index}]") for index, one in enumerate(flat))


def _flat(value: list[Any], shape: tuple[int, ...], told: str) -> list[Any]:
    level: list[Any] = [value]
    for size in shape:
        if not all(isinstance(one, list) and len(one) == size for one in level):
            raise ApiError("wrong_shape", f"inputs are nested otherwise than the model's shape; {told}")
        level = [inner for one in level for inner in one]
    if any(isinstance(one, list) for one in level):
        raise ApiError("wrong_shape", f"inputs are nested deeper than the model's shape; {told}")
    return level


def _check_depth(body: bytes) -> None:
    # Brackets in texts count only where there are so many that it matters: looking for texts takes longer.
    if _deepest(body) > DEPTH and _deepest(_STRINGS.sub(b"", body)) > DEPTH:
        raise ApiError(
            "too_deep", f"the body is nested deeper than {DEPTH}, or has more than {BRACKETS} brackets"
        )


def _deepest(body: bytes) -> int:
    found = body.translate(None, _OTHERS)
    if len(found) > BRACKETS:
        return BRACKETS
    depth = deepest = 0
    for one in found:
        depth += 1 if one in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ApiError("invalid_json", f"the name {shown(twice)} is given twice")
    return found


def _constant(text: str) -> float:
    raise ApiError("invalid_json", f"{text} is not JSON; expected a finite number")


def _float(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ApiError("invalid_input", f"{shown(text)} is not finite as float64; expected a finite number")
    return found


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise ApiError("invalid_input", f"a number has {len(text)} digits; at most {DIGITS} are taken")
    return int(text)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
