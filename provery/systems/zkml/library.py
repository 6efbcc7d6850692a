"""Where models are found: a folder of ONNX files, or a prefix of a bucket.

``<name>.onnx`` is a model. Beside it may be ``<name>.json``, its settings (see ``units.read_settings``), and
``<name>.calibration.json``, ``{"rows": [[…]]}``: inputs that the quantised model is compared to the float model on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from provery.core.errors import ConfigurationError, InvalidInput, SourceUnavailable
from provery.core.models import ModelSettings
from provery.core.ports import ArtifactStore
from provery.core.types import ArtifactRef
from provery.systems.zkml.units import check_model_name, read_settings

T = TypeVar("T")
ONNX, SETTINGS, CALIBRATION = ".onnx", ".json", ".calibration.json"
_SMALL = 64 * 2**20
"""Bytes of a settings or calibration file at most."""


@dataclass(frozen=True)
class Found:
    """A model as it lies there now."""

    name: str
    onnx: ArtifactRef
    settings: ModelSettings
    calibration: ArtifactRef | None = None


@dataclass(frozen=True)
class Wrong:
    """A model that cannot be used as it lies there, and why."""

    name: str
    reason: str


class Place(Protocol):
    """A flat place with files."""

    async def names(self) -> dict[str, str]:
        """Name of each file → a mark that changes with its bytes."""
        ...

    async def take(self, name: str, artifacts: ArtifactStore, limit: int) -> ArtifactRef:
        """Bring a file into the artifact store."""
        ...


class Library:
    """The models of an installation.

    Args:
        place: Where they are.
        artifacts: Where their bytes are kept: a file that is changed or removed later takes nothing away.
        defaults: Settings of models that have none of their own.
        limit: Bytes of an ONNX file at most.
    """

    def __init__(self, place: Place, artifacts: ArtifactStore, defaults: ModelSettings, limit: int) -> None:
        self._place, self._artifacts, self._defaults, self._limit = place, artifacts, defaults, limit
        self._taken: dict[str, tuple[str, ArtifactRef]] = {}

    async def look(self) -> list[Found | Wrong]:
        """Every model, by name. Only files that have changed are read.

        Raises:
            SourceUnavailable: the place does not answer.
        """
        there = await self._place.names()
        self._taken = {name: held for name, held in self._taken.items() if name in there}
        names = sorted(name.removesuffix(ONNX) for name in there if name.endswith(ONNX))
        return [await self._one(name, there) for name in names]

    async def _one(self, name: str, there: Mapping[str, str]) -> Found | Wrong:
        try:
            onnx = await self._held(check_model_name(name) + ONNX, there, self._limit, "model.onnx")
            settings, calibration = self._defaults, None
            if name + SETTINGS in there:
                ref = await self._held(name + SETTINGS, there, _SMALL, "settings.json")
                settings = self._settings(await self._artifacts.read(ref))
            if name + CALIBRATION in there:
                calibration = await self._held(name + CALIBRATION, there, _SMALL, "calibration.json")
            return Found(name, onnx, settings, calibration)
        except InvalidInput as error:
            return Wrong(name, str(error))

    def _settings(self, text: bytes) -> ModelSettings:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInput("a model's settings are no JSON", value=text[:80]) from None
        if not isinstance(said, dict):
            raise InvalidInput("a model's settings are no object", value=text[:80])
        return read_settings({**self._defaults.document(), **said})

    async def _held(self, name: str, there: Mapping[str, str], limit: int, label: str) -> ArtifactRef:
        mark, held = there[name], self._taken.get(name)
        if held is None or held[0] != mark:
            held = (mark, await self._place.take(name, self._artifacts, limit))
            self._taken[name] = held
        return replace(held[1], name=label)


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def names(self) -> dict[str, str]:
        """See :class:`Place`. A folder that is not there has no models."""

        def listed() -> dict[str, str]:
            if not self._path.is_dir():
                return {}
            found = {}
            for one in self._path.iterdir():
                if one.name.endswith((ONNX, SETTINGS)) and one.is_file():
                    seen = one.stat()
                    found[one.name] = f"{seen.st_mtime_ns}-{seen.st_size}-{seen.st_ino}"
            return found

        try:
            return await asyncio.to_thread(listed)
        except OSError as error:
            raise SourceUnavailable(
                "the folder of models cannot be read", value=str(self._path), expected=str(error)
            ) from None

    async def take(self, name: str, artifacts: ArtifactStore, limit: int) -> ArtifactRef:
        """See :class:`Place`."""
        path = self._path / name
        try:
            size = path.stat().st_size
            if size > limit:
                raise _too_large(name, size, limit)
            return await artifacts.put_file(path, name=name)
        except OSError as error:
            raise SourceUnavailable("a model cannot be read", value=name, expected=str(error)) from None


class Bucket:
    """A prefix of an S3 bucket. Address and credentials come from the usual AWS_… variables."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._made: Any = None

    async def names(self) -> dict[str, str]:
        """See :class:`Place`."""

        def listed() -> dict[str, str]:
            found = {}
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"):
                for one in page.get("Contents", []):
                    name = one["Key"].removeprefix(self._prefix)
                    if name.endswith((ONNX, SETTINGS)):
                        found[name] = f"{one['ETag']}-{one['Size']}"
            return found

        return await asyncio.to_thread(lambda: self._told(listed))

    async def take(self, name: str, artifacts: ArtifactStore, limit: int) -> ArtifactRef:
        """See :class:`Place`."""

        def read() -> bytes:
            answer = self._client().get_object(Bucket=self._bucket, Key=self._prefix + name)
            if answer["ContentLength"] > limit:
                raise _too_large(name, answer["ContentLength"], limit)
            body: bytes = answer["Body"].read()
            return body

        return await artifacts.put_bytes(await asyncio.to_thread(lambda: self._told(read)), name=name)

    def _client(self) -> Any:
        if self._made is None:
            import boto3

            self._made = boto3.client("s3")
        return self._made

    def _told(self, work: Callable[[], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return work()
        except (BotoCoreError, ClientError) as error:
            place = f"s3://{self._bucket}/{self._prefix}"
            raise SourceUnavailable("the bucket of models does not answer", value=place) from error


def open_place(url: str) -> Place:
    """The place of an address.

    Raises:
        ConfigurationError: it is neither a folder nor a bucket.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        prefix = parts.path.strip("/")
        return Bucket(parts.netloc, prefix + "/" if prefix else "")
    raise ConfigurationError("MODELS_DIR is no place", value=url, expected="a folder, or s3://bucket/prefix")


def _too_large(name: str, size: int, limit: int) -> InvalidInput:
    return InvalidInput(f"{name} is too large", value=f"{size} bytes", expected=f"at most {limit}")
