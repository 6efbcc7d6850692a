"""From ONNX to quantised graphs: reading, rounding, the twin, calibration."""
