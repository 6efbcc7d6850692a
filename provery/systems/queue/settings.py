"""Settings of the queue system, from the environment.

The unprefixed names are those of the upstream worker. It had no defaults for the two addresses and stopped without
them; here both point at the embedded servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.types import check_name
from provery.systems.queue.model import MEMBERSHIP

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379"


def _named(name: str) -> AliasChoices:
    return AliasChoices(name, name.lower())


def _variable(field: str, alias: object) -> str:
    """The environment variable of a field."""
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"PROVERY_QUEUE_{field.upper()}"


class QueueSettings(BaseSettings):
    """Every field is an environment variable: its upstream name, or ``PROVERY_QUEUE_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="PROVERY_QUEUE_", extra="ignore", populate_by_name=True, frozen=True
    )

    database_url: str = Field("", validation_alias=_named("DATABASE_URL"))
    """Postgres (``postgres://…``) or SQLite (``sqlite:///…``)."""
    redis_url: str = Field(DEFAULT_REDIS_URL, validation_alias=_named("REDIS_URL"))
    queue_name: str = Field("prove", validation_alias=_named("QUEUE_NAME"))
    """BullMQ queue, and the stream that its units belong to."""
    worker_concurrency: int = Field(2, ge=1, le=10_000, validation_alias=_named("WORKER_CONCURRENCY"))
    """Jobs held at a time."""
    log_level: str = Field("info", validation_alias=_named("LOG_LEVEL"))
    metrics_port: int = Field(9101, ge=0, le=65_535, validation_alias=_named("METRICS_PORT"))

    prefix: str = "bull"
    """First part of every Redis key; BullMQ's own default."""
    default_circuit: str = MEMBERSHIP
    """Circuit of requests that name none."""
    prover: str = "native"
    fallback_provers: str = ""
    """Comma-separated provers to try when ``prover`` has used up its attempts."""
    prove_queue: str = "cpu"
    """Queue of the prove stage: ``cpu`` or ``gpu``."""
    batch_max: int = Field(64, ge=1, le=1_000)
    """Units that one batch may hold."""
    batches: int = Field(2, ge=1, le=64)
    """Batches that the held jobs are spread over, so that one is fetched while another proves."""
    linger_ms: float = Field(2.0, ge=0, le=100)
    """How long a partly filled take waits for the rest of a burst."""
    express: bool = True
    """Let circuits of up to ``express_constraints`` run their stages back to back."""
    express_constraints: int = 100_000
    max_job_bytes: int = Field(2**20, ge=256)
    """Largest job content that is read."""
    inline_bytes: int = 8_192
    """Requests above this travel as an artifact instead of in the workflow's input."""
    lock_ms: int = Field(15_000, ge=500)
    """Life of a job's lock, extended every quarter of it. A dead ingress' jobs are taken again that much later, and
    after up to two looks for stalled ones: within 30 s. BullMQ's own default is 30,000."""
    stalled_interval_ms: int = Field(5_000, ge=100)
    """Milliseconds between looks for jobs whose holder died. Node workers look every 30,000."""
    reconcile_s: float = Field(15.0, gt=0)
    """Seconds between looks for accepted requests that never reached Redis."""
    grace_s: float = 25.0
    """Seconds that a stopping ingress waits for jobs in flight before it gives them back."""
    timeout_s: float = 3_600.0
    """Start-to-close time of one prove attempt."""
    attempts: int = Field(3, ge=1)
    """Bounded failures (a crashed prover) that one run of a unit survives."""

    @field_validator("queue_name")
    @classmethod
    def _queue_name(cls, value: str) -> str:
        try:
            return check_name(value, "QUEUE_NAME")
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @classmethod
    def load(cls, env: Mapping[str, str], home: Path) -> QueueSettings:
        """Settings from ``env``, with the table under ``home`` unless a database is named.

        Raises:
            ConfigurationError: a value is malformed; the message names the variable.
        """
        given: dict[str, object] = {}
        variables = {name: _variable(name, info.validation_alias) for name, info in cls.model_fields.items()}
        for name, variable in variables.items():
            if env.get(variable, "") != "":
                given[name] = env[variable]
        given.setdefault("database_url", f"sqlite:///{home / 'queue.db'}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigurationError(
                f"{variables.get(str(first['loc'][0]).lower(), first['loc'][0])}: {first['msg']}",
                value=first["input"],
                action="correct the environment variable",
            ) from error
