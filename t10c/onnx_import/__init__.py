"""ONNX file to graph of tensor expressions.

Phases, each a function from frozen values to frozen values:

- resolve.py: the file to a `ResolvedModel`. Read and normalise (load.py), bind symbolic dimensions
  and values (bind.py), then walk the nodes in order (walk.py): control flow (inline.py, scan.py)
  and sequences are taken apart, what is the same in every inference is folded (fold.py,
  constants.py), all other shapes are inferred (infer.py) or, where they depend on data, taken
  from declarations and bounds (open_shapes.py).
- importer.py: the `ResolvedModel` to a `Graph`. Composites become the standard's function bodies
  (composite.py), renamings and repetitions go (simplify.py), subgraphs that spell out one operator
  are recognised (patterns.py), every node is lowered (lowering/, one module per operator family),
  and pointwise operators move to where a producer takes them in (commute.py, fusion.py).
  Of quantised graphs, operators read and write what is stored: prologue.py lets readers dequantise
  by themselves (absorb.py), raising.py moves quantisation up, widening.py says what widens weights.
- derived.py: values of weights that lowerings derive from the model's, for whoever runs the graph.

Public face: `import_model` (both phases) and `lower_model` in importer.py, `resolve_model` in
resolve.py, `derive_weights` in derived.py.
"""
