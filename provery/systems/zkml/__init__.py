"""The zkml system: inferences of ONNX models, each with a proof."""

from __future__ import annotations

NAME = "zkml"
