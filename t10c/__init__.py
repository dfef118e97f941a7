"""t10c: compile ONNX models to compute-shift plans for inter-core connected AI chips.

The names below are the public interface; each is imported when first used. In short:

    graph = t10c.import_model("model.onnx", dims={"batch": 1})
    plan = t10c.schedule_model(graph, t10c.load_spec("ipu-mk2"))
    if isinstance(plan, t10c.ModelPlan):
        print(plan.latency_cycles, plan.peak_core_bytes)
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from t10c.baselines.comparison import (
        ComparedBatch,
        LargestBatch,
        SideBySide,
        compared_batch,
        comparison_document,
        comparison_schema,
        largest_fitting,
        simulate_vgm,
    )
    from t10c.baselines.model import plan_vgm
    from t10c.baselines.program import lower_vgm
    from t10c.baselines.result import VgmPlan
    from t10c.cache.answers import CachedAnswers
    from t10c.cache.cache import Cache, open_cache
    from t10c.cache.manage import CacheUsage, cache_usage, clear_cache
    from t10c.cache.searches import CachedSearches
    from t10c.cache.settings import CacheSettings, cache_settings
    from t10c.gates.difference import Difference, ReportSource, diff_reports
    from t10c.gates.limits import Allowance, Limit, Outcome, read_allowance
    from t10c.gates.metrics import METRICS, metric_named
    from t10c.hardware.calibrate import CLEANING_RULE, FOLD_RULE, Calibration, calibrate
    from t10c.hardware.document import spec_hash
    from t10c.hardware.document import to_document as spec_document
    from t10c.hardware.load import changed_spec, load_spec, load_spec_file, preset_names
    from t10c.hardware.samples import read_samples
    from t10c.hardware.spec import HardwareSpec
    from t10c.ir.expression import TensorExpression
    from t10c.ir.graph import Graph, NodeRecord, Operator
    from t10c.ir.program import Program, Section
    from t10c.jobs.place import Place
    from t10c.jobs.run import run_jobs
    from t10c.lower.model import lower_plan
    from t10c.onnx_import.catalogue import CatalogueEntry, operator_catalogue
    from t10c.onnx_import.importer import import_model
    from t10c.program.check import check_program
    from t10c.program.document import ProgramFile, dump_program, load_program, read_program
    from t10c.program.schema import program_schema
    from t10c.schedule.choices import Choices, find_choices
    from t10c.schedule.document import dump_plan, load_plan
    from t10c.schedule.joint import Status
    from t10c.schedule.model import schedule_model
    from t10c.schedule.options import ScheduleOptions
    from t10c.schedule.pareto import (
        DEFAULT_POINTS,
        FrontPoint,
        ModelFront,
        front_document,
        front_schema,
        memory_front,
    )
    from t10c.schedule.problem import Problem
    from t10c.schedule.result import DoesNotFit, ModelPlan, OperatorPlan
    from t10c.search.notation import parse_expression
    from t10c.search.operator import SearchResult, search_operator
    from t10c.search.options import SearchOptions
    from t10c.search.templates import named_expression
    from t10c.simulate.document import (
        SimulationReport,
        load_simulation,
        simulation_document,
        simulation_report,
        simulation_schema,
    )
    from t10c.simulate.result import Simulation
    from t10c.simulate.walk import simulate_program
    from t10c.sweep.result import PointResult
    from t10c.sweep.run import Sweep, SweepRow, open_sweep
    from t10c.sweep.table import (
        SweepTable,
        parquet_modules,
        sweep_csv,
        sweep_parquet,
        sweep_table,
    )
    from t10c.timing import simulate_plan
    from t10c.verify.compare import Comparison, Tolerance
    from t10c.verify.run import Verification, VerifyOptions, verify_plan
    from t10c.zoo import Recipe, build_model, list_recipes

__all__ = [
    "CLEANING_RULE",
    "DEFAULT_POINTS",
    "FOLD_RULE",
    "METRICS",
    "Allowance",
    "Cache",
    "CacheSettings",
    "CacheUsage",
    "CachedAnswers",
    "CachedSearches",
    "Calibration",
    "CatalogueEntry",
    "Choices",
    "ComparedBatch",
    "Comparison",
    "Difference",
    "DoesNotFit",
    "FrontPoint",
    "Graph",
    "HardwareSpec",
    "LargestBatch",
    "Limit",
    "ModelFront",
    "ModelPlan",
    "NodeRecord",
    "Operator",
    "OperatorPlan",
    "Outcome",
    "Place",
    "PointResult",
    "Problem",
    "Program",
    "ProgramFile",
    "Recipe",
    "ReportSource",
    "ScheduleOptions",
    "SearchOptions",
    "SearchResult",
    "Section",
    "SideBySide",
    "Simulation",
    "SimulationReport",
    "Status",
    "Sweep",
    "SweepRow",
    "SweepTable",
    "TensorExpression",
    "Tolerance",
    "Verification",
    "VerifyOptions",
    "VgmPlan",
    "build_model",
    "cache_settings",
    "cache_usage",
    "calibrate",
    "changed_spec",
    "check_program",
    "clear_cache",
    "compared_batch",
    "comparison_document",
    "comparison_schema",
    "diff_reports",
    "dump_plan",
    "dump_program",
    "find_choices",
    "front_document",
    "front_schema",
    "import_model",
    "largest_fitting",
    "list_recipes",
    "load_plan",
    "load_program",
    "load_simulation",
    "load_spec",
    "load_spec_file",
    "lower_plan",
    "lower_vgm",
    "memory_front",
    "metric_named",
    "named_expression",
    "open_cache",
    "open_sweep",
    "operator_catalogue",
    "parquet_modules",
    "parse_expression",
    "plan_vgm",
    "preset_names",
    "program_schema",
    "read_allowance",
    "read_program",
    "read_samples",
    "run_jobs",
    "schedule_model",
    "search_operator",
    "simulate_plan",
    "simulate_program",
    "simulate_vgm",
    "simulation_document",
    "simulation_report",
    "simulation_schema",
    "spec_document",
    "spec_hash",
    "sweep_csv",
    "sweep_parquet",
    "sweep_table",
    "verify_plan",
]

_HOMES = {
    "t10c.baselines.comparison": (
        "ComparedBatch",
        "SideBySide",
        "LargestBatch",
        "compared_batch",
        "comparison_document",
        "comparison_schema",
        "largest_fitting",
        "simulate_vgm",
    ),
    "t10c.baselines.model": ("plan_vgm",),
    "t10c.baselines.program": ("lower_vgm",),
    "t10c.baselines.result": ("VgmPlan",),
    "t10c.cache.answers": ("CachedAnswers",),
    "t10c.cache.cache": ("Cache", "open_cache"),
    "t10c.cache.manage": ("CacheUsage", "cache_usage", "clear_cache"),
    "t10c.cache.searches": ("CachedSearches",),
    "t10c.cache.settings": ("CacheSettings", "cache_settings"),
    "t10c.gates.difference": ("Difference", "ReportSource", "diff_reports"),
    "t10c.gates.limits": ("Allowance", "Limit", "Outcome", "read_allowance"),
    "t10c.gates.metrics": ("METRICS", "metric_named"),
    "t10c.hardware.calibrate": ("CLEANING_RULE", "FOLD_RULE", "Calibration", "calibrate"),
    "t10c.hardware.document": ("spec_hash",),
    "t10c.hardware.load": ("changed_spec", "load_spec", "load_spec_file", "preset_names"),
    "t10c.hardware.samples": ("read_samples",),
    "t10c.hardware.spec": ("HardwareSpec",),
    "t10c.ir.expression": ("TensorExpression",),
    "t10c.ir.graph": ("Graph", "NodeRecord", "Operator"),
    "t10c.ir.program": ("Program", "Section"),
    "t10c.jobs.place": ("Place",),
    "t10c.jobs.run": ("run_jobs",),
    "t10c.lower.model": ("lower_plan",),
    "t10c.onnx_import.catalogue": ("CatalogueEntry", "operator_catalogue"),
    "t10c.onnx_import.importer": ("import_model",),
    "t10c.program.check": ("check_program",),
    "t10c.program.document": ("ProgramFile", "dump_program", "load_program", "read_program"),
    "t10c.program.schema": ("program_schema",),
    "t10c.schedule.choices": ("Choices", "find_choices"),
    "t10c.schedule.document": ("dump_plan", "load_plan"),
    "t10c.schedule.joint": ("Status",),
    "t10c.schedule.model": ("schedule_model",),
    "t10c.schedule.options": ("ScheduleOptions",),
    "t10c.schedule.pareto": (
        "DEFAULT_POINTS",
        "FrontPoint",
        "ModelFront",
        "front_document",
        "front_schema",
        "memory_front",
    ),
    "t10c.schedule.problem": ("Problem",),
    "t10c.schedule.result": ("DoesNotFit", "ModelPlan", "OperatorPlan"),
    "t10c.search.notation": ("parse_expression",),
    "t10c.search.operator": ("SearchResult", "search_operator"),
    "t10c.search.options": ("SearchOptions",),
    "t10c.search.templates": ("named_expression",),
    "t10c.simulate.document": (
        "SimulationReport",
        "load_simulation",
        "simulation_document",
        "simulation_report",
        "simulation_schema",
    ),
    "t10c.simulate.result": ("Simulation",),
    "t10c.simulate.walk": ("simulate_program",),
    "t10c.sweep.result": ("PointResult",),
    "t10c.sweep.run": ("Sweep", "SweepRow", "open_sweep"),
    "t10c.sweep.table": (
        "SweepTable",
        "parquet_modules",
        "sweep_csv",
        "sweep_parquet",
        "sweep_table",
    ),
    "t10c.timing": ("simulate_plan",),
    "t10c.verify.compare": ("Comparison", "Tolerance"),
    "t10c.verify.run": ("Verification", "VerifyOptions", "verify_plan"),
    "t10c.zoo": ("Recipe", "build_model", "list_recipes"),
}


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import t10c` stays quick."""
    if name == "spec_document":
        return importlib.import_module("t10c.hardware.document").to_document
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 't10c' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
