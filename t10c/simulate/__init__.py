"""Device programs on the clock: an event-level time line, independent of the cost model's sums.

- walk.py: `simulate_program` walks a program; section.py: what every instruction takes.
- rounds.py: compute steps of all rounds and cores; exchanges.py, traffic.py, boxes.py: who sends
  and receives what; network.py: how long that takes.
- store.py: memory; result.py: what a simulation says; document.py: its figures as a JSON file.
"""
