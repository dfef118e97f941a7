"""Plans of the whole model: choices per operator, memory reconciliation, transitions, bound.

In the order of the data's way; docs/planning.md tells the same in prose:

- rowwise.py, chain.py: row-wise operators become chains where that is cheaper.
- steps.py: the graph as steps; views.py, atoms.py and reshape.py follow layout-only operators.
- problem.py, pool.py, idle.py, choices.py: what every distinct operator may choose from.
- layout.py, layout_store.py, received.py, transition.py: what moves between two layouts;
  layout_batch.py, levels.py, received_matrix.py: the same for whole pools, in arrays.
- setting.py, memory.py: what stays fixed while plans are chosen, and what a choice demands.
- neighbours.py: which steps are connected alike, so that one decision or price serves them all.
- reconcile.py (greedy, bound), descent.py, settle.py, smallest.py, assignment.py: the choice.
- shortlist.py, kinds.py, network.py, messages.py, joint.py: all steps together, with a bound.
- least.py: the same searches in less memory; pareto.py: the front of latency against memory.
- prepare.py, model.py: from a graph to its schedule.
- assemble.py, fit.py: the result as values (result.py); document.py: plan files.

Public face: `schedule_model` (model.py) with `ScheduleOptions`; the result is a `ModelPlan` or a
`DoesNotFit` value (result.py).
"""
