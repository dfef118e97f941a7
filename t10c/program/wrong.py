"""What is wrong with an instruction, and names as errors show them."""

SHOWN = 100
"""Characters of a name or number that an error shows; those of models may fill a screen."""


class WrongError(Exception):
    """What is wrong with the instruction at hand."""


def shown(value: str | int) -> str:
    """A name or number on one line, cut where it is very long."""
    text = str(value)
    plain = "".join(c if c.isprintable() else "?" for c in text[:SHOWN])
    return plain if len(text) <= SHOWN else f"{plain}..."
