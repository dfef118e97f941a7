"""Plans of the whole model: choices per operator, memory reconciliation, transitions, bound.

Public face: `schedule_model` (model.py) with `ScheduleOptions`; the result is a `ModelPlan` or a
`DoesNotFit` value (result.py).
"""
