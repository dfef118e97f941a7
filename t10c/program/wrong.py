"""What is wrong with an instruction, and names as errors show them."""

SHOWN = 100
"""Characters of a name that an error shows; names of models may be longer than a screen."""


class WrongError(Exception):
    """What is wrong with the instruction at hand."""


def shown(name: str) -> str:
    """A name on one line, cut where it is very long."""
    plain = "".join(c if c.isprintable() else "?" for c in name[:SHOWN])
    return plain if len(name) <= SHOWN else f"{plain}..."
