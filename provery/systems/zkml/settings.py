"""Settings of the zkml system, from the environment.

The unprefixed names are those of the upstream service. Everything about HTTP is in ``http_settings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provery.core.errors import ConfigurationError
from provery.core.models import ModelSettings, Visibility
from provery.core.queues import CPU, CPU_LARGE, GPU

PORT = 3001
PREFIX = "PROVERY_ZKML_"
UPSTREAM = {"models_dir": "MODELS_DIR", "max_concurrent_proofs": "MAX_CONCURRENT_PROOFS"}
"""Field → the upstream service's name of it."""


class ZkmlSettings(BaseModel):
    """One installation: every field is ``PROVERY_ZKML_<FIELD>``, or its upstream name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    models_dir: str = ""
    """Where models are: a folder, or ``s3://bucket/prefix``; empty for ``models`` in the installation's home."""
    look_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Seconds between looks for new and changed models."""
    model_max_mb: int = Field(256, ge=1, le=4_096)
    """Largest ONNX file."""
    max_concurrent_proofs: int = Field(0, ge=0, le=1_024)
    """Proofs at a time in one worker; 0: as many as cores, and as memory allows by each model's measured peak."""
    prove_queue: str = CPU
    attempts: int = Field(3, ge=1, le=100)
    prove_timeout_s: float = Field(3_600.0, gt=0, allow_inf_nan=False)
    """One attempt at a proof. How long a client waits is another matter."""
    setup_timeout_s: float = Field(14_400.0, gt=0, allow_inf_nan=False)
    """One attempt at a model's keys."""
    memory_mb: int = Field(0, ge=0)
    """Memory cap of a prover child, MiB; 0 for the worker's default."""
    prover: Literal["native", "ezkl"] = "native"
    """Of models that name none; so are the next five."""
    scheme: Literal["plonk", "groth16"] = "plonk"
    scale: int = Field(12, ge=1, le=24)
    input_bits: int = Field(24, ge=2, le=48)
    visibility: Visibility = Visibility.PUBLIC
    tolerance: float = Field(0.01, gt=0, allow_inf_nan=False)

    @classmethod
    def load(cls, env: Mapping[str, str]) -> ZkmlSettings:
        """From the environment.

        Raises:
            ConfigurationError: a value is malformed; the message names the variable.
        """
        found = {}
        for field in cls.model_fields:
            for name in (f"{PREFIX}{field.upper()}", UPSTREAM.get(field, "")):
                if name and env.get(name, "").strip():
                    found[field] = env[name].strip()
                    break
        try:
            settings = cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0])
            raise ConfigurationError(
                f"{PREFIX}{field.upper()} is malformed", value=found.get(field), expected=str(first["msg"])
            ) from None
        if settings.prove_queue not in (CPU, CPU_LARGE, GPU):
            expected = f"{CPU}, {CPU_LARGE} or {GPU}"
            raise ConfigurationError(
                f"{PREFIX}PROVE_QUEUE names no queue for proofs",
                value=settings.prove_queue,
                expected=expected,
            )
        return settings

    def defaults(self) -> ModelSettings:
        """Settings of models that have none of their own."""
        return ModelSettings(
            self.prover, self.scheme, self.scale, self.input_bits, self.visibility, self.tolerance
        )

    def models_url(self, home: Path) -> str:
        """Where models are, as an address."""
        place = self.models_dir or str(home / "models")
        return place if "://" in place else Path(place).resolve().as_uri()


def port(env: Mapping[str, str]) -> int | None:
    """Where the API listens; None where ``METRICS_PORT`` says it.

    Raises:
        ConfigurationError: ``PORT`` is no port.
    """
    text = env.get("PORT", "").strip()
    if not text:
        return None if env.get("METRICS_PORT") else PORT
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise ConfigurationError("PORT is not a port", value=text, expected="0 to 65535")
    return int(text)
