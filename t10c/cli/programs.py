"""Program files as commands read them: valid, and said to be edited if they were."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t10c import Program

SCHEMA = "t10c.program"
"""What a program file says in its key `schema`."""


def read_valid_program(data: bytes, place: str, quiet: bool) -> "Program":
    """The program of a file, which must be valid; says so if the file was edited."""
    from t10c import check_program, read_program
    from t10c.cli.output import emit
    from t10c.errors import InvalidInputError

    file = read_program(data, place)
    if file.edited and not quiet:
        emit(f"note: {place} was edited since t10c wrote it", err=True)
    try:
        check_program(file.program, from_file=True)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error
    return file.program
