"""Device programs on the clock: an event-level time line, independent of the cost model's sums.

- walk.py: `simulate_program` walks a program; section.py: the instructions of a section;
  charges.py: what each of them takes; rounds.py: computing in all rounds and on all cores.
- exchanges.py: what exchanges move; traffic.py and elements.py: who receives and sends how much;
  boxes.py, pull.py: pieces as boxes, through views; pairs.py: from which core to which.
- geometry.py: where cores are; network.py: how long transfers take.
- store.py: memory; result.py: what a simulation says; document.py: its figures as a JSON file.
"""
