"""Benchmark models as ONNX, built from the recipes in models/.

A recipe names a family and its hyper-parameters; a family is a module here that builds the graph.
"""

from t10c.zoo.build import build_model
from t10c.zoo.recipe import Recipe, list_recipes

__all__ = ["Recipe", "build_model", "list_recipes"]
