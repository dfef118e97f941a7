"""Plans of the whole model: choices per operator, memory reconciliation, transitions, bound.

In the order of the data's way; docs/planning.md tells the same in prose:

- rowwise.py, chain.py: row-wise operators become chains where that is cheaper.
- steps.py: the graph as steps; views.py, atoms.py and reshape.py follow layout-only operators.
- problem.py, pool.py, kept.py, idle.py, choices.py: what every distinct operator may choose from;
  pool_sieve.py and listing_sieve.py say which plans need no pricing for that; shares.py: what plans
  hold and receive, from the side that a bound needs.
- layout.py, layout_store.py, received.py, transition.py: what moves between two layouts;
  layout_batch.py, levels.py, received_matrix.py: the same for whole pools, in arrays.
- setting.py, memory.py: what stays fixed while plans are chosen, and what a choice demands.
- neighbours.py: which steps are connected alike, so that one decision or price serves them all.
- reconcile.py (greedy, bound), descent.py, settle.py, knapsack.py, smallest.py, assignment.py: the
  choice.
- shortlist.py, cuts.py, rest.py, idle_menus.py, surroundings.py, progress.py, kinds.py,
  listings.py: which plans may be in a joint choice, and what is known of all; terms.py, windows.py,
  listed_layouts.py, holders.py, pair_table.py, size_table.py, fetch_sizes.py, network.py,
  messages.py: the network of a choice and its bound; rates.py, ascent.py, solved.py,
  joint_search.py: its rounds; splice.py, finish.py: schedules beside them; joint.py: all steps
  together, from first round to last; numbering.py: which rows are equal, and their turns.
- least.py: the same searches in less memory; pareto.py: the front of latency against memory.
- prepare.py, model.py: from a graph to its schedule.
- assemble.py, fit.py: the result as values (result.py); document.py: plan files.

Public face: `schedule_model` (model.py) with `ScheduleOptions`; the result is a `ModelPlan` or a
`DoesNotFit` value (result.py).
"""
