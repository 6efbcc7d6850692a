"""temporal-dev.yaml: the development topology, read and checked.

Every mistake is reported with file, line, key, the value found, what was expected and what to do, all of them at
once. Unknown keys are refused at every level, dynamic-config keys and SQLite pragmas included, because the Temporal
server takes a misspelt one in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from provery.core.errors import ConfigurationError, shorten
from provery.core.types import Json
from provery.local import ROOT

DEFAULT_FILE = ROOT / "temporal-dev.yaml"
SIZE_LIMIT = 1_000_000
"""Bytes. A topology has a few thousand; anything else given by mistake is refused before it is parsed."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PRAGMAS = (
    "journal_mode",
    "synchronous",
    "busy_timeout",
    "cache_size",
    "mmap_size",
    "temp_store",
    "wal_autocheckpoint",
)


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    if isinstance(value, timedelta):
        return value
    raise ValueError("a duration such as 500ms, 30s, 5m, 2h or 1d")


Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Count = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Slots = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Address = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+$")]
Scalar = Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True)] | float | str


class Section(BaseModel):
    """A mapping of the file: closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """The Temporal development server."""

    ip: Address = "127.0.0.1"
    port: Port = 7233
    ui_port: Port = 8233
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$")] = "default"
    db_file: FileName = "temporal.db"
    log_level: Literal["debug", "info", "warn", "error", "never"] = "warn"
    search_attributes: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")],
        Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"],
    ] = {}
    dynamic_config: dict[str, Any] = {}
    sqlite_pragmas: dict[str, str | int] = {}

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC frontend."""
        return f"{self.ip}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Address of the web UI."""
        return f"http://{self.ip}:{self.ui_port}"


class Redis(Section):
    """The Redis that BullMQ queues live in; ``url`` uses one that is already there."""

    port: Port = 6380
    appendonly: bool = True
    url: str = ""


class Ledger(Section):
    """The ledger database."""

    engine: Literal["sqlite", "postgres", "external"] = "sqlite"
    postgres_port: Port = 5433
    url: str = ""
    """Only with ``external``."""


class Artifacts(Section):
    """The artifact store."""

    engine: Literal["file", "s3", "external"] = "file"
    s3_port: Port = 7070
    url: str = ""
    """Only with ``external``: ``s3://bucket/prefix`` or ``file:///folder``."""


class L1(Section):
    """The Ethereum node that lanes submit to."""

    engine: Literal["none", "anvil", "external"] = "none"
    port: Port = 8545
    chain_id: Annotated[int, Field(strict=True, ge=1, lt=2**53)] = 31_337
    block_time: Duration = timedelta(0)
    """Between blocks, whole seconds; 0s makes a block of each transaction."""
    url: str = ""
    """Only with ``external``."""


class Queue(Section):
    """Workers of one queue."""

    workers: Count = 1
    """Processes."""
    slots: Slots = 1
    """Activities (or, for ``orchestrate``, workflow tasks) at a time in each process."""


class Stream(Section):
    """One configured instance of a system."""

    system: Name
    stream: Name
    ingress_port: Port | None = None
    """Where work arrives by itself (a queue, HTTP): port of the listener process and its HTTP API."""
    settings: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")], Scalar] = {}

    @property
    def id(self) -> str:
        """``<system>/<stream>``."""
        return f"{self.system}/{self.stream}"

    @property
    def env(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in self.settings.items()}


class Schedule(Section):
    """Periodic discovery of one stream. A look that falls due while the one before still runs is skipped."""

    stream: Annotated[str, Field(pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$")]
    interval: Duration | None = None
    cron: str = ""
    parallel: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 8
    """Units in progress at a time."""
    paused: bool = False


class Topology(Section):
    """The whole file."""

    home: Annotated[str, Field(min_length=1)] = ".provery"
    server: Server = Server()
    redis: Redis = Redis()
    ledger: Ledger = Ledger()
    artifacts: Artifacts = Artifacts()
    l1: L1 = L1()
    task_queue_prefix: Annotated[str, Field(pattern=r"^[!-~]{0,100}$")] = "provery-"
    queues: dict[Name, Queue]
    metrics_port: Port = 9101
    streams: tuple[Stream, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    base: Path = Field(default=ROOT, exclude=True)
    """Directory of the file; set by the loader."""

    @property
    def home_path(self) -> Path:
        """Absolute directory for data, logs and build results."""
        return (self.base / self.home).absolute()

    @property
    def worker_count(self) -> int:
        """Worker processes in all."""
        return sum(queue.workers for queue in self.queues.values())

    def ports(self) -> Iterator[tuple[tuple[str | int, ...], int]]:
        """Every port that will be listened on, with the key it comes from."""
        yield ("server", "port"), self.server.port
        yield ("server", "ui_port"), self.server.ui_port
        if not self.redis.url:
            yield ("redis", "port"), self.redis.port
        if self.ledger.engine == "postgres":
            yield ("ledger", "postgres_port"), self.ledger.postgres_port
        if self.artifacts.engine == "s3":
            yield ("artifacts", "s3_port"), self.artifacts.s3_port
        if self.l1.engine == "anvil":
            yield ("l1", "port"), self.l1.port
        for index, stream in enumerate(self.streams):
            if stream.ingress_port is not None:
                yield ("streams", index, "ingress_port"), stream.ingress_port
        for offset in range(self.worker_count):
            yield ("metrics_port",), self.metrics_port + offset


@dataclass(frozen=True)
class Problem:
    """One mistake in the file."""

    file: str
    line: int
    """From 1."""
    key: str
    message: str

    def __str__(self) -> str:
        """``temporal-dev.yaml:12: server.port: got 'x'; expected …; do …``."""
        return f"{self.file}:{self.line}: {self.key + ': ' if self.key else ''}{self.message}"


@dataclass(frozen=True)
class _Finding:
    at: tuple[str | int, ...]
    message: str
    on_key: bool = False


def load_topology(path: Path | str = DEFAULT_FILE) -> Topology:
    """Read and check a topology.

    Raises:
        ConfigurationError: with every problem of the file, one a line.
    """
    topology, problems = _read(Path(path))
    if topology is None or problems:
        raise ConfigurationError("\n".join(map(str, problems)))
    return topology


def check(path: Path | str = DEFAULT_FILE) -> list[Problem]:
    """Every problem of a topology file, in the order of its lines."""
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[Topology | None, list[Problem]]:
    name = path.name
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None, [
                Problem(name, 1, "", f"larger than {SIZE_LIMIT} bytes; expected a topology; give its path")
            ]
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return None, [
            Problem(name, 1, "", f"cannot be read ({error.strerror}); give the path of a topology file")
        ]
    except UnicodeDecodeError:
        return None, [Problem(name, 1, "", "is not UTF-8 text; give the path of a topology file")]
    try:
        document = YAML(typ="rt").load(StringIO(text))
    except YAMLError as error:
        return None, [_syntax(name, error)]
    if not isinstance(document, CommentedMap):
        return None, [
            Problem(
                name, 1, "", "expected a mapping with server:, queues: and so on; see docs/temporal-dev.md"
            )
        ]

    topology: Topology | None = None
    try:
        if "base" in document:
            raise ValidationError.from_exception_data("Topology", [_unknown_base(document["base"])])
        topology = Topology.model_validate({**document, "base": path.absolute().parent})
        findings = list(_semantic(topology))
    except ValidationError as error:
        findings = [_structural(item) for item in error.errors()]
        server = document.get("server")
        values = server.get("dynamic_config") if isinstance(server, CommentedMap) else None
        findings += _dynamic_config(values) if isinstance(values, CommentedMap) else ()
    problems = [
        Problem(name, _line(document, finding.at, finding.on_key), dotted(finding.at), finding.message)
        for finding in findings
    ]
    return topology, sorted(set(problems), key=lambda problem: (problem.line, problem.key))


def _unknown_base(value: object) -> Any:
    return {"type": "extra_forbidden", "loc": ("base",), "input": value}


def _syntax(name: str, error: YAMLError) -> Problem:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    what = (error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)).split(
        "\n"
    )[0]
    return Problem(name, mark.line + 1 if mark else 1, "", f"not YAML: {what}; correct the line")


def _structural(error: Any) -> _Finding:
    at = tuple(part for part in error["loc"] if part != "[key]")
    at = tuple(part for i, part in enumerate(at) if not (i and isinstance(part, str) and part in _UNION_TAGS))
    on_key = "[key]" in error["loc"]
    match error["type"]:
        case "extra_forbidden":
            return _Finding(at, f"unknown key; {_nearest(str(at[-1]), _fields_at(at[:-1]))}", on_key=True)
        case "missing":
            return _Finding(at, "is missing; add it; see docs/temporal-dev.md")
    got = shorten(str(at[-1] if on_key else error["input"]), 60)
    expected = str(error["msg"])
    for prefix in ("Value error, ", "Input should be "):
        expected = expected.removeprefix(prefix)
    return _Finding(at, f"got {got}; expected {expected}; change it", on_key=on_key)


_UNION_TAGS = {"bool", "int", "float", "str"}


def _fields_at(at: Sequence[str | int]) -> list[str]:
    """Keys that may stand in the mapping at a location."""
    section: type[Section] = Topology
    for part in at:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        if field is None:
            continue  # the name of a queue: the section stays the value type found before
        section = _section_in(field.annotation) or section
    return [name for name in section.model_fields if name != "base"]


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _section_in(argument):
            return found
    return None


def _nearest(name: str, known: Sequence[str]) -> str:
    by_lower = {key.lower(): key for key in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    return f"expected one of {', '.join(known)}" if len(known) <= 20 else "remove it or correct its spelling"


@cache
def dynamic_config_keys() -> dict[str, str]:
    """Dynamic-config key → value type, for the pinned server (see tools/dynamic_config_keys.py)."""
    lines = (Path(__file__).parent / "dynamic_config_keys.txt").read_text().splitlines()
    pairs = (line.split(" ") for line in lines if line and not line.startswith("#"))
    return {key: kind for key, kind in pairs}


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "string": ((str,), "text"),
    "duration": ((str, int), "a duration such as 10s"),
    "map": ((dict,), "a mapping"),
}


def _semantic(topology: Topology) -> Iterator[_Finding]:
    yield from _dynamic_config(topology.server.dynamic_config)
    for pragma in topology.server.sqlite_pragmas:
        if pragma not in _PRAGMAS:
            yield _Finding(
                ("server", "sqlite_pragmas", pragma),
                f"unknown pragma; {_nearest(pragma, _PRAGMAS)}",
                on_key=True,
            )
    taken: dict[int, str] = {}
    for key, port in topology.ports():
        if port > 65_535:
            yield _Finding(key, f"leads to port {port}; expected at most 65535; choose a lower first port")
            break  # the ones after it lead still further
        elif port in taken and taken[port] != dotted(key):
            yield _Finding(
                key, f"port {port} is also used by {taken[port]}; expected one port each; choose another"
            )
        taken.setdefault(port, dotted(key))
    if "orchestrate" not in topology.queues:
        yield _Finding(("queues",), "has no orchestrate; expected the queue that workflows run on; add it")
    if topology.l1.block_time.total_seconds() % 1:
        yield _Finding(("l1", "block_time"), "expected whole seconds; round it")
    for section in ("ledger", "artifacts", "l1"):
        part = getattr(topology, section)
        if (part.engine == "external") != bool(part.url):
            yield _Finding(
                (section, "url" if part.url else "engine"),
                f"engine is {part.engine} and url is {shorten(part.url)}; expected a url with engine external only; "
                "change one of them",
            )
    streams: set[str] = set()
    for index, stream in enumerate(topology.streams):
        if stream.id in streams:
            yield _Finding(
                ("streams", index, "stream"), f"{stream.id} is there twice; expected one entry; remove one"
            )
        streams.add(stream.id)
    yield from _schedules(topology, streams)


def _dynamic_config(values: dict[str, Json]) -> Iterator[_Finding]:
    known = dynamic_config_keys()
    lower = {key.lower(): key for key in known}
    for key, value in values.items():
        at = ("server", "dynamic_config", key)
        exact = lower.get(key.lower())  # the server compares without case
        if exact is None:
            hint = _nearest(key, list(known))
            yield _Finding(
                at, f"the Temporal server knows no such key and would ignore it; {hint}", on_key=True
            )
            continue
        types, wanted = _KINDS.get(known[exact], ((), ""))
        if types and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            yield _Finding(at, f"got {shorten(str(value), 60)}; expected {wanted}; change it")


def _schedules(topology: Topology, streams: set[str]) -> Iterator[_Finding]:
    seen: set[str] = set()
    for index, schedule in enumerate(topology.schedules):
        at: tuple[str | int, ...] = ("schedules", index)
        if schedule.stream in seen:
            yield _Finding((*at, "stream"), f"{schedule.stream} has two schedules; expected one; remove one")
        seen.add(schedule.stream)
        if schedule.stream not in streams:
            listed = ", ".join(sorted(streams)) or "none"
            yield _Finding(
                (*at, "stream"),
                f"got {shorten(schedule.stream)}; expected one of streams: {listed}; add or change it",
            )
        if (schedule.interval is None) == (not schedule.cron):
            yield _Finding(at, "expected either interval or cron; give one of them")
        if schedule.interval is not None and schedule.interval < timedelta(seconds=1):
            yield _Finding(
                (*at, "interval"), "expected at least 1s; Temporal schedules have whole seconds; raise it"
            )
        if (
            schedule.cron
            and not schedule.cron.startswith("@")
            and len(schedule.cron.split()) not in (5, 6, 7)
        ):
            yield _Finding(
                (*at, "cron"),
                f"got {shorten(schedule.cron)}; expected 5 fields such as '*/10 * * * *'; change it",
            )


def dotted(at: Sequence[str | int]) -> str:
    """A location as people write it: ``streams[0].stream``."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _line(document: CommentedMap, at: Sequence[str | int], on_key: bool) -> int:
    """Line of a key, or of the nearest mapping around it that the file has."""
    node: Any = document
    line = 0
    for part in at:
        try:
            if isinstance(node, CommentedMap) and part in node:
                line = (
                    node.lc.key(part)[0]
                    if on_key or isinstance(node[part], CommentedMap)
                    else node.lc.value(part)[0]
                )
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line = node.lc.item(part)[0]
            else:
                break
        except (KeyError, TypeError, AttributeError):
            break
        node = node[part]
    return int(line) + 1
