"""Train and export the scikit-learn models of ``provery/systems/zkml/vectors/models``, with rows of their data sets.

Not part of the build: run it where scikit-learn 1.9.1 and skl2onnx 1.20.0 are installed, with the directory to write
to. The data sets are those that scikit-learn carries.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OPSET = {"": 17, "ai.onnx.ml": 3}
MODELS = {
    "iris-classifier": (load_iris, MLPClassifier((12, 8), max_iter=2_000, random_state=1)),
    "cancer-classifier": (
        load_breast_cancer,
        MLPClassifier((8,), activation="tanh", max_iter=2_000, random_state=1),
    ),
    "diabetes-regressor": (
        load_diabetes,
        MLPRegressor(
            hidden_layer_sizes=(16, 8),
            activation="logistic",
            solver="lbfgs",
            alpha=1.0,
            max_iter=500,
            random_state=1,
        ),
    ),
}


CALIBRATED, ASKED = 32, {"iris-classifier": (0, 50, 100, 7), "cancer-classifier": (0, 19, 100, 300)}
"""Rows to calibrate on, from the fifth on evenly; and which to ask, of which some are of each class."""


def write_rows(directory: Path, name: str, data: Any) -> None:
    """Write rows of a data set: to calibrate on, and to ask."""
    count = len(data.data)
    # The standardised columns are computed, and differ in the last bits from machine to machine.
    kind = "float32" if name == "diabetes-regressor" else "float64"
    rows = data.data.astype(kind).astype("float64").tolist()
    chosen = rows[4 :: count // CALIBRATED][:CALIBRATED]
    asked = ASKED.get(name, (0, 1, 2, 3))
    sample = {"inputs": [rows[i] for i in asked], "targets": [float(data.target[i]) for i in asked]}
    for part, said in (("calibration", {"rows": chosen}), ("sample", sample)):
        (directory / f"{name}.{part}.json").write_text(json.dumps(said, separators=(",", ":")) + "\n")


def main(directory: Path) -> None:
    """Write every model."""
    for name, (load, estimator) in MODELS.items():
        data = load()
        pipeline = make_pipeline(StandardScaler(), estimator).fit(data.data, data.target)
        model = to_onnx(pipeline, data.data[:1].astype("float32"), target_opset=OPSET)
        (directory / f"{name}.onnx").write_bytes(model.SerializeToString())
        write_rows(directory, name, data)
        print(name, "score", round(pipeline.score(data.data, data.target), 3))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
