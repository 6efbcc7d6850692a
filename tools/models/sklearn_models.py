"""Train and export the scikit-learn models under ``provery/systems/zkml/vectors/models``.

Not part of the build: run it where scikit-learn 1.9.1 and skl2onnx 1.20.0 are installed, with the directory to write
to. The data sets are those that scikit-learn carries.
"""

from __future__ import annotations

import sys
from pathlib import Path

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


def main(directory: Path) -> None:
    """Write every model."""
    for name, (load, estimator) in MODELS.items():
        data = load()
        pipeline = make_pipeline(StandardScaler(), estimator).fit(data.data, data.target)
        model = to_onnx(pipeline, data.data[:1].astype("float32"), target_opset=OPSET)
        (directory / f"{name}.onnx").write_bytes(model.SerializeToString())
        print(name, "score", round(pipeline.score(data.data, data.target), 3))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
