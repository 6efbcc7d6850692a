"""Models added by the real ezkl, for tests: each once per run, with an SRS that is kept between runs."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from provery.core.models import ModelFiles, ModelSettings, Visibility
from provery.provers.model_ezkl import EzklModels
from provery.provers.tools import ROOT

MODEL = ROOT / "provery" / "systems" / "zkml" / "vectors" / "models" / "spending-model.onnx"
HOME = ROOT / ".provery" / "cache" / "test-ezkl"
SALT = "0x" + "5a" * 31
SETTINGS = ModelSettings(prover="ezkl", scale=7)


def settings(
    visibility: Visibility = Visibility.PUBLIC, scale: int = 7, tolerance: float = 0.01
) -> ModelSettings:
    """Settings of the ezkl prover."""
    return ModelSettings(prover="ezkl", scale=scale, visibility=visibility, tolerance=tolerance)


@asynccontextmanager
async def prover(home: Path = HOME, slots: int = 1, **env: str) -> AsyncIterator[EzklModels]:
    """The prover, with its development SRS under ``home``."""
    made = EzklModels(env, home, slots)
    try:
        yield made
    finally:
        await made.close()


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


def calibration(inputs: int = 8, rows: int = 20) -> list[list[float]]:
    """Inputs to calibrate on, the same in every run."""
    numbers = random.Random(7)
    return [[numbers.uniform(-1, 1) for _ in range(inputs)] for _ in range(rows)]


def model(folder: Path, chosen: ModelSettings = SETTINGS, path: Path = MODEL, inputs: int = 8) -> ModelFiles:
    """A model before ``compile``."""
    rows = folder / "calibration.json"
    rows.write_text(json.dumps({"rows": calibration(inputs)}))
    return ModelFiles(chosen, {"model.onnx": path, "calibration.json": rows})


async def add(ezkl: EzklModels, folder: Path, given: ModelFiles) -> ModelFiles:
    """A model after ``compile``."""
    made = await ezkl.compile(given, folder, silent)
    return ModelFiles(given.settings, {**given.files, **made.files}, made.facts)


class Added:
    """Models of one run, by settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[ModelSettings, ModelFiles] = {}

    async def get(self, chosen: ModelSettings = SETTINGS) -> ModelFiles:
        """The spending model with these settings."""
        if chosen not in self._made:
            folder = self._folder / str(len(self._made))
            await asyncio.to_thread(folder.mkdir)
            async with prover() as ezkl:
                self._made[chosen] = await add(ezkl, folder, model(folder, chosen))
        return self._made[chosen]


def inputs(folder: Path, quantised: Sequence[object], salt: str = SALT) -> Path:
    """``inputs.json``."""
    path = folder / "inputs.json"
    path.write_text(json.dumps({"values": [], "quantised": list(quantised), "salt": salt}))
    return path


def quantised(row: Sequence[float], scale: int = 7) -> list[int]:
    """Numbers as whole numbers of a scale."""
    return [round(x * 2**scale) for x in row]


def empty(folder: Path, name: str = "out") -> Path:
    """A directory for a proof."""
    made = folder / name
    made.mkdir()
    return made
