"""t10c: compile ONNX models to compute-shift plans for inter-core connected AI chips."""

__version__ = "0.1.0"
