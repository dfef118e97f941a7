"""The page: template, styles, scripts, charting library and data in one file.

A content security policy in the page forbids every request. Plotly draws the charts; its script is
stored compressed, which makes the file a third as large, and unpacked by the browser.
"""

import base64
import gzip
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t10c.errors import UsageError
from t10c.report.html.document import page_document
from t10c.report.html.head import page_head
from t10c.schedule.result import ModelPlan
from t10c.simulate.result import Simulation

ASSETS = Path(__file__).parent / "assets"

_SHARED_SCRIPTS = ("shared", "drawing")
_SCRIPTS = ("state", "timeline", "charts", "table", "operator", "rings", "main")
"""In the order in which they build on each other."""


def html_report(simulation: Simulation, plan: ModelPlan | None) -> str:
    """One HTML file of the simulation; without a plan, what needs it is absent, and it says so.

    UsageError if Jinja or Plotly is not installed. Equal simulations and plans give equal pages.
    """
    html_modules()
    document = page_document(simulation, plan)
    head = page_head(simulation, plan, document["sections"]["without_phases"])
    return rendered("page", head, document, _SCRIPTS)


def rendered(template: str, head: object, document: object, scripts: Sequence[str]) -> str:
    """A page of a template, whose scripts read the document; UsageError without Jinja or Plotly."""
    jinja, offline = html_modules()
    verbatim = jinja.utils.markupsafe.Markup
    environment = jinja.Environment(
        loader=jinja.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    page: str = environment.get_template(f"{template}.html.jinja").render(
        head=head,
        document=document,
        dark=verbatim(_asset("dark.css")),
        styles=verbatim(_asset("page.css")),
        scripts=[verbatim(_asset(f"{name}.js")) for name in (*_SHARED_SCRIPTS, *scripts)],
        plotly=_packed(offline.get_plotlyjs()),
    )
    return page


def html_modules() -> tuple[Any, Any]:
    """Jinja and Plotly, which pages are made with; UsageError without one of them."""
    return _needed("jinja2"), _needed("plotly.offline")


def _needed(name: str) -> Any:
    """A module of the extra `report`; UsageError without it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UsageError(
            f"the HTML report needs {package}, which is not installed\n"
            "install it with: pip install 't10c[report]'"
        ) from error


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _packed(script: str) -> str:
    """A script compressed, as text; equal on every day."""
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode()
