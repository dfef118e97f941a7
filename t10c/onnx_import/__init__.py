"""ONNX file to graph of tensor expressions.

Two phases, each a function from frozen values to frozen values, between them resolved.py:

- resolve.py: the file to a `ResolvedModel`. Nothing in it knows tensor expressions.
  - Read and normalise: load.py, functions.py (which inlines the model's own), structure.py,
    external.py with ranges.py; tensors.py is what is known of a tensor.
  - Bind symbolic dimensions and values: bind.py, unify.py, symbols.py, values.py.
  - Walk the nodes in order (walk.py). Control flow and sequences are taken apart (inline.py,
    scan.py, sequences.py, optionals.py; cost.py chooses a branch), nodes of com.microsoft are
    expanded into the standard's (contrib/ by way of expansion.py), and old forms into new ones
    (superseded.py), all with new nodes from build.py.
  - Of each node (fold.py), what is the same in every inference is folded (constants.py,
    evaluate.py; widening.py says what to keep all the same), all other shapes are inferred
    (infer.py, guards.py) or, where they depend on data, taken from declarations and bounds
    (open_shapes.py, declared.py, bounds.py); origins.py says what would make them known.
    Nodes like one before take its outcome (recurring.py).
- importer.py: the `ResolvedModel` to a `Graph`. Of many alike layers (blocks.py) only a few are
  resolved and lowered (shorten.py), and the graph is unfolded (unfold.py, places.py).
  - Lower every node (lower.py): renamings and repetitions go (simplify.py), subgraphs that spell
    out one operator are recognised (patterns.py), and a node becomes what its lowering says
    (lowering/, one module per operator family, reading attributes.py), else the standard's
    function body (composite.py), else a fallback on one core.
  - Rewrite the operators (draft.py): pointwise operators move to where a producer takes them in
    (commute.py, fusion.py, merge.py). Of quantised graphs, readers dequantise by themselves
    (prologue.py, dequantised.py, absorb.py) and quantisation moves up (raising.py).
- derived.py: values of weights that lowerings derive from the model's, and (fixed.py) of those that
  folding leaves unevaluated, for whoever runs the graph.

registry.py holds the tables of lowerings, expansions and shape functions that both phases look up,
catalogue.py is what they amount to (`t10c ops`); names.py quotes and numbers names.

Public face: `import_model` (both phases) and `lower_model` in importer.py, `resolve_model` in
resolve.py, `derive_weights` in derived.py, `operator_catalogue` in catalogue.py.
"""
