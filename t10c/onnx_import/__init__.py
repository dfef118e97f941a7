"""ONNX file to graph of tensor expressions.

Phases: load.py (bytes to a bound model), fold.py (constants and shapes to a fixed point),
lower (nodes to operators). Public face: `import_model`.
"""
