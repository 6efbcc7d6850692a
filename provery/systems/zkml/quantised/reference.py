"""Floating-point inference by ONNX's reference implementation, with three of its operators put right.

Its pools take pads for (top, bottom, left, right), where ONNX has (top, left, bottom, right), and its softmax knows
only the rules since opset 13: such models come out wrong, or do not run at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]


class _Pool(OpRun):
    """Windows over any number of axes."""

    op_domain = ""

    def windows(self, x: Array, said: dict[str, Any], outside: float) -> tuple[Array, Array]:
        """Numbers under each window, ``outside`` beyond the input; and which of them count as padding or input."""
        axes = x.ndim - 2
        kernel = list(said["kernel_shape"])
        strides, dilations = (list(said.get(name) or [1] * axes) for name in ("strides", "dilations"))
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        pads = list(said.get("pads") or [0] * (2 * axes))
        auto, ceil = said.get("auto_pad") or "NOTSET", bool(said.get("ceil_mode"))
        places = []
        for i, size in enumerate(x.shape[2:]):
            if auto.startswith("SAME"):
                places.append(-(-size // strides[i]))
                total = max((places[i] - 1) * strides[i] + reach[i] - size, 0)
                less = total // 2
                pads[i], pads[i + axes] = (
                    (less, total - less) if auto == "SAME_UPPER" else (total - less, less)
                )
                continue
            room = size + pads[i] + pads[i + axes] - reach[i]
            count = (-(-room // strides[i]) if ceil else room // strides[i]) + 1
            # No window begins in the padding behind the input.
            places.append(count - (ceil and (count - 1) * strides[i] >= size + pads[i]))
        found = np.full((*x.shape[:2], *places, prod(kernel)), outside, dtype=x.dtype)
        counted = np.zeros((*places, prod(kernel)), dtype=bool)
        for place in itertools.product(*(range(count) for count in places)):
            for tap, offsets in enumerate(itertools.product(*(range(size) for size in kernel))):
                cell = [place[i] * strides[i] + offsets[i] * dilations[i] - pads[i] for i in range(axes)]
                if all(0 <= cell[i] < x.shape[2 + i] for i in range(axes)):
                    where: tuple[Any, ...] = (..., *place, tap)
                    taken: tuple[Any, ...] = (..., *cell)
                    found[where] = x[taken]
                    counted[(*place, tap)] = True
                elif said.get("count_include_pad"):
                    counted[(*place, tap)] = all(
                        cell[i] < x.shape[2 + i] + pads[i + axes] for i in range(axes)
                    )
        return found, counted


class MaxPool(_Pool):
    """The largest number under each window."""

    def _run(self, x: Array, **said: Any) -> tuple[Array]:
        said.pop("storage_order", None)
        return (self.windows(x, said, -np.inf)[0].max(axis=-1),)


class AveragePool(_Pool):
    """The mean under each window."""

    def _run(self, x: Array, **said: Any) -> tuple[Array]:
        found, counted = self.windows(x, said, 0.0)
        return ((found.sum(axis=-1) / counted.sum(axis=-1)).astype(x.dtype),)


class Softmax(OpRun):
    """Softmax over all axes from one on: the rule before opset 13."""

    op_domain = ""

    def _run(self, x: Array, axis: int | None = None) -> tuple[Array]:
        # The default that is handed over is that of newer versions.
        said = [attribute.i for attribute in self.onnx_node.attribute if attribute.name == "axis"]
        first = said[0] if said else 1
        first += x.ndim if first < 0 else 0
        flat = x.reshape(prod(x.shape[:first]), -1)
        grown = np.exp(flat - flat.max(axis=1, keepdims=True))
        return ((grown / grown.sum(axis=1, keepdims=True)).reshape(x.shape).astype(x.dtype),)


def evaluator(model: onnx.ModelProto, opset: int) -> ReferenceEvaluator:
    """Runs a model.

    Args:
        model: Checked by ``onnx_file.parse``.
        opset: Its version of the standard operators.
    """
    mended: Sequence[type[OpRun]] = [MaxPool, AveragePool, *([Softmax] if opset < 13 else [])]
    return ReferenceEvaluator(model, new_ops=list(mended))
