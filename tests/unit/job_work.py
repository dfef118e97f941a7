"""Work that tests of jobs send to other processes, which import it by name."""

import os
import signal
import time
from pathlib import Path

from t10c.errors import UnsupportedOperatorError


def square(number: int) -> int:
    return number * number


def slow_square(number: int) -> int:
    time.sleep(0.1)
    return number * number


def later_first(number: int) -> int:
    """The first items take longest."""
    time.sleep(0.4 if number == 0 else 0)
    return number


def refused(number: int) -> int:
    """The second item fails at last, all after it at once."""
    if number == 1:
        time.sleep(0.5)
    if number >= 1:
        raise UnsupportedOperatorError(f"no operator {number}\nchoose another", (("n", "Op"),))
    return number


def wrong(number: int) -> int:
    error = ZeroDivisionError("a bug")
    error.add_note(f"while at {number}")
    raise error


def deadly(number: int) -> int:
    """The second item kills its process, while the first is worked on."""
    if number == 1:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3 if number == 0 else 0)
    return square(number)


def deadly_once(item: tuple[int, Path]) -> int:
    """Kills its process the first time it is done."""
    number, mark = item
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return slow_square(number)


def noted(item: tuple[int, Path]) -> int:
    """Says beside `item` that it was done."""
    number, folder = item
    with (folder / str(number)).open("a") as file:
        file.write("x")
    return slow_square(number)
