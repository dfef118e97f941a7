"""Errors that are the user's to mend; each knows its documented exit code.

Anything else that escapes is a bug in t10c (exit 1). "Does not fit" is a value, not an error.
"""


class T10cError(Exception):
    """Base of all errors shown to users: at most three lines of where, what and remedy."""

    exit_code = 1


class UsageError(T10cError):
    """A command-line option that contradicts itself or the model (exit 2)."""

    exit_code = 2


class FileAccessError(T10cError):
    """A file that cannot be read or written (exit 3)."""

    exit_code = 3


class ClusterError(T10cError):
    """A cluster that cannot be reached, or whose workers cannot do the work (exit 3)."""

    exit_code = 3


class InvalidInputError(T10cError):
    """A model, plan, program or data file that is not valid (exit 4)."""

    exit_code = 4


class UnsupportedOperatorError(T10cError):
    """Operators that t10c cannot plan (exit 5); `nodes` are all of them as (node, operator)."""

    exit_code = 5

    def __init__(self, message: str, nodes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.nodes = nodes


class InvalidSpecError(T10cError):
    """A hardware specification that is not valid (exit 6)."""

    exit_code = 6


class DoesNotFitError(T10cError):
    """A program that needs more cores or memory than a chip has (exit 7)."""

    exit_code = 7


class TimeLimitError(T10cError):
    """A time limit that passed before there was any plan (exit 8)."""

    exit_code = 8


class VerificationError(T10cError):
    """A program whose execution shows that it is wrong (exit 9)."""

    exit_code = 9
