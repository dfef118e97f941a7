"""Checks that families make of their hyper-parameters, worded for the user."""


def require_multiple(whole: str, size: int, part: str, divisor: int) -> None:
    """Raise ValueError unless `size` is a multiple of `divisor`."""
    if size % divisor:
        raise ValueError(f"{whole} ({size}) must be a multiple of {part} ({divisor})")


def require_positions(used: int, available: int) -> None:
    """Raise ValueError if a sequence is longer than the model has positions for."""
    if used > available:
        raise ValueError(
            f"the sequence has {used} positions and the model {available}"
            " (shorten --seq or --past, or --set positions=...)"
        )
