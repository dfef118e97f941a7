"""Results as text and JSON: each module turns one kind of value into lines and a document.

summary.py: a compiled model, or why it does not fit; explain.py: one operator of a plan; front.py:
one operator's search; program.py: a device program, of which instructions.py writes the lines;
inspection.py: a graph; hardware.py: a specification; simulation.py: a simulation, and
simulation_csv.py, simulation_markdown.py, perfetto.py and html/ in other forms; difference.py: what
changed between two; metrics.py: figures and limits; text.py and markdown.py: the table, number and
size formats that all of them share.
"""
