"""What clients may send, as the OpenAPI document says it."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from provery.systems.zkml.http.problems import ApiError, shown

HASH = r"^0x[0-9a-fA-F]{64}$"
Body = TypeVar("Body", bound=BaseModel)
_NUMBERS: dict[str, JsonValue] = {
    "type": "array",
    "items": {"type": "number"},
    "description": "flat in row-major order, or nested as the shape",
}


class _Lenient(BaseModel):
    """A body of the upstream service's routes: clients send fields of their own, which mean nothing here."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class _Strict(BaseModel):
    """A body of our routes: a field that is not known is a mistake of its sender."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ProveBody(_Lenient):
    """POST /prove."""

    model_id: str
    inputs: Any = Field(json_schema_extra=_NUMBERS)
    tag: str = Field("inference", max_length=256)
    """Given back in the answer."""
    timeout_ms: int | None = Field(None, ge=1, le=3_600_000)
    """How long to wait, instead of the installation's PROOF_TIMEOUT_MS where that is longer."""


class VerifyBody(_Lenient):
    """POST /verify: the proof, and what of it is to be checked."""

    proof: str
    model_hash: str | None = None
    model_id: str | None = None
    input_hash: str | None = None
    expected_output: Any = Field(None, json_schema_extra=_NUMBERS)
    program_io: str | None = None
    """As /prove gave it: the proof's public values."""


class Webhook(_Strict):
    """Where the end of a proof is to be told."""

    url: str = Field(max_length=2_000)


class ProofBody(_Strict):
    """POST /v1/proofs."""

    model_id: str
    inputs: Any = Field(json_schema_extra=_NUMBERS)
    tag: str = Field("inference", max_length=256)
    attest: Literal["", "hash", "proof"] = ""
    """What goes on chain: nothing, the proof's hash, or the proof itself, for the verifier contract to check."""
    webhook: Webhook | None = None


def read(kind: type[Body], said: dict[str, Any]) -> Body:
    """A body of a kind.

    Raises:
        ApiError: it is none; the message names the field.
    """
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiError("invalid_request", f"{shown(where)}: {first['msg']}") from None


def schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Of a route's body, for the OpenAPI document: bodies are read by hand, within bounds."""
    made = kind.model_json_schema()
    found = made.pop("$defs", {})
    for value in made["properties"].values():
        for choice in value.get("anyOf", [value]):
            if ref := choice.pop("$ref", ""):
                choice.update(found[ref.rsplit("/", 1)[-1]])
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": made}}}}


def from_hex(text: str, what: str, *, most: int = 2**24) -> bytes:
    """Bytes of 0x and hexadecimal digits.

    Raises:
        ApiError: it is something else.
    """
    try:
        if not text.startswith("0x") or len(text) > 2 * most + 2 or not text.isascii() or " " in text:
            raise ValueError(what)
        found = bytes.fromhex(text[2:])
    except ValueError:
        raise ApiError(
            "invalid_hex", f"{what} is {shown(text)}; expected 0x and an even number of hexadecimal digits"
        ) from None
    if not found:
        raise ApiError("invalid_hex", f"{what} is empty; expected 0x and hexadecimal digits")
    return found


def hash_of(text: str | None, what: str) -> str:
    """A hash in lower case; empty for none.

    Raises:
        ApiError: it is no 32-byte hash.
    """
    if text is None:
        return ""
    if len(from_hex(text, what)) != 32:
        raise ApiError("invalid_hex", f"{what} is {shown(text)}; expected 0x and 64 hexadecimal digits")
    return text.lower()
