"""A job's content, checked where it enters. Whatever a producer may send, the answer is an order or a clear refusal."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from provery.core.errors import InvalidInput
from provery.core.types import Json, check_key, check_name
from provery.systems.queue.model import DEPTH, MEMBERSHIP, Order, Refusal
from provery.systems.queue.spec import element, elements

STORED_BYTES = 65_536
"""A refused request is kept in the table up to this size."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON text: an escape whose backslash is not itself escaped."""
_AGAIN = "correct the request and send it again"


def _field(info: ValidationInfo) -> str:
    """A field as its sender spells it."""
    first, *rest = str(info.field_name).split("_")
    return "request." + first + "".join(part.capitalize() for part in rest)


def _element(value: object, info: ValidationInfo) -> str:
    return element(value, _field(info))


def _elements(value: object, info: ValidationInfo) -> Json:
    field = _field(info)
    if not isinstance(value, list) or len(value) != DEPTH:
        got = f"{len(value)} elements" if isinstance(value, list) else value
        raise InvalidInput(f"{field} is not a path", value=got, expected=f"a list of {DEPTH}", action=_AGAIN)
    return elements(value, field)


def _bits(value: object, info: ValidationInfo) -> Json:
    bits = _elements(value, info)
    for at, bit in enumerate(bits if isinstance(bits, list) else []):
        if bit not in ("0", "1"):
            raise InvalidInput(
                f"{_field(info)}[{at}] is not a side",
                value=bit,
                expected="0 (left) or 1 (right)",
                action=_AGAIN,
            )
    return bits


Element = Annotated[str, BeforeValidator(_element)]


class MembershipRequest(BaseModel):
    """``root``, ``user``, ``epoch`` and ``leaf`` as upstream, and what it takes to prove them."""

    model_config = ConfigDict(extra="ignore")

    root: Element
    user: Element
    """An address fits."""
    epoch: Element
    leaf: Element
    nonce: Element
    path_elements: Annotated[list[str], BeforeValidator(_elements)] = Field(alias="pathElements")
    path_indices: Annotated[list[str], BeforeValidator(_bits)] = Field(alias="pathIndices")


def parse(
    data: bytes | None, size: int, *, default_circuit: str = MEMBERSHIP, max_bytes: int = 2**20
) -> Order | Refusal:
    """Check a job's content.

    Args:
        data: The stored JSON; None where it was left in Redis for its size.
        size: Its length in bytes.
        default_circuit: Circuit of requests that name none.
        max_bytes: What ``size`` may be.
    """
    id, request = "", None
    try:
        content = _load(data, size, max_bytes)
        id = _job_id(content)
        request = content.get("request")
        return check(id, request, default_circuit=default_circuit)
    except InvalidInput as error:
        return Refusal(error, id, storable(request))


def check(id: str, request: object, *, default_circuit: str = MEMBERSHIP) -> Order:
    """Check a request under its id.

    Raises:
        InvalidInput: naming the field, its value and what was expected.
    """
    if not isinstance(request, dict):
        raise InvalidInput(
            "request is not an object", value=_kind(request), expected="an object", action=_AGAIN
        )
    flaw = _flaw(request)
    if flaw and not flaw.endswith("bytes"):
        raise InvalidInput(f"request cannot be stored: {flaw}", expected="plain JSON", action=_AGAIN)
    circuit = request.get("circuit", default_circuit)
    if not isinstance(circuit, str):
        raise InvalidInput(
            "request.circuit is not a name", value=_kind(circuit), expected="text", action=_AGAIN
        )
    check_name(circuit, "circuit name (request.circuit)")
    if "inputs" in request:
        given = request["inputs"]
        if not isinstance(given, dict):
            raise InvalidInput(
                "request.inputs is not an object",
                value=_kind(given),
                expected="signal → value",
                action=_AGAIN,
            )
        inputs = {
            str(name): elements(value, f"request.inputs.{_signal(name)}") for name, value in given.items()
        }
        return Order(id, request, circuit, inputs, {})
    if circuit != MEMBERSHIP:
        raise InvalidInput(
            f"request.inputs is missing: circuit {circuit} takes its inputs there",
            expected="signal → value",
            action=_AGAIN,
        )
    try:
        valid = MembershipRequest.model_validate(request)
    except ValidationError as error:
        _refuse(error)
    public: dict[str, Json] = {name: request[name] for name in ("root", "user", "epoch")}
    return Order(id, request, circuit, valid.model_dump(by_alias=True), public)


def storable(request: Any) -> Json:
    """A refused request as the table keeps it: itself, or a note where a JSONB column could not hold it."""
    if request is None:
        return None
    flaw = _flaw(request)
    if flaw:
        return {"unreadable": flaw}
    value: Json = request
    return value


def _flaw(request: Any) -> str:
    try:
        text = json.dumps(request, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):  # lone surrogates, endless integers
        return "not valid Unicode or not JSON"
    if _NUL.search(text):
        return "holds NUL characters"
    return f"{size} bytes" if size > STORED_BYTES else ""


def _load(data: bytes | None, size: int, max_bytes: int) -> dict[str, Any]:
    if data is None and size > max_bytes:
        raise InvalidInput(
            "job content is too large",
            value=f"{size} bytes",
            expected=f"at most {max_bytes} bytes",
            action="send less, or raise PROVERY_QUEUE_MAX_JOB_BYTES",
        )
    try:
        content = json.loads((data or b"").decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and over-long integers are ValueErrors
        raise InvalidInput(
            "job content is not JSON", value=str(error), expected='{"jobId": …, "request": {…}}'
        ) from error
    if not isinstance(content, dict):
        raise InvalidInput(
            "job content is not an object", value=_kind(content), expected='{"jobId": …, "request": {…}}'
        )
    return content


def _job_id(content: dict[str, Any]) -> str:
    if content.get("jobId") in (None, ""):
        raise InvalidInput(
            "jobId is missing",
            expected='{"jobId": "<unique id>", "request": {…}}',
            action="add the job again with one",
        )
    if not isinstance(content["jobId"], str):
        raise InvalidInput("jobId is not text", value=_kind(content["jobId"]), expected="a string")
    try:
        return check_key(content["jobId"])
    except InvalidInput as error:
        raise InvalidInput(f"jobId: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse(error: ValidationError) -> NoReturn:
    """Turn pydantic's first finding into ours. Our own InvalidInput passes through pydantic by itself."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        raise InvalidInput(
            f"request.{field} is missing",
            expected="root, user, epoch, leaf, nonce, pathElements and pathIndices",
            action=_AGAIN,
        ) from None
    raise InvalidInput(f"request.{field}: {first['msg']}", value=first["input"], action=_AGAIN) from None


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}.get(
        type(value), "nothing" if value is None else "a number"
    )


def _signal(name: str) -> str:
    """A signal's name in an error, bounded: it may be megabytes long."""
    return name if len(name) <= 60 else name[:60] + "…"
