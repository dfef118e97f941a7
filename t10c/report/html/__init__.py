"""A simulation, or a sweep, as one self-contained HTML page that asks no network for anything.

page.py: the page of template, styles, scripts and data; head.py: what is said before any chart;
document.py: all that the scripts read, as compact JSON; sections.py: sections and their phases;
roofline.py: the roofs of a chip; plans.py: fronts and rTensors; rings.py: pictures of cores;
texts.py: what names of a model may do to a page; sweep.py: the page of a sweep. `assets/` has
templates, styles and scripts.
"""

from t10c.report.html.page import html_modules, html_report
from t10c.report.html.sweep import sweep_page

__all__ = ["html_modules", "html_report", "sweep_page"]
