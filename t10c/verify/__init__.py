"""`t10c verify`: what a plan computes on simulated cores, compared with ONNX Runtime.

- run.py: `verify_plan` does it all; trace.py: `Tracer` follows the cores operator by operator.
- model.py: `load_for` imports the model of a plan again, and checks that the two belong together.
- weights.py: `fill_weights` gives every tensor of the file a value (tensors.py finds them), and
  `graph_weights` the weights of the graph; placeholders.py finds weights that the file makes
  itself from one number, which count as absent where weights are drawn.
- feeds.py: `random_feeds` and `read_feeds` give the inputs of one inference.
- rules.py says what a tensor is for, by what reads it (roles.py has the words for that,
  rules_integers.py, rules_products.py and rules_quantised.py further operators), and draw.py
  numbers for that.
- session.py: `Session` runs the model in ONNX Runtime (export.py writes what is above 2 GiB).
- compare.py: `compare` says how far two arrays are apart, conditioning.py how far rounding alone
  would bring them, telling.py whether an agreement tells something.
"""
