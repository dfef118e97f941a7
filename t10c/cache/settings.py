"""Where the store of results is and how large it may grow: from the options and the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from t10c.errors import UsageError
from t10c.hardware.units import parse_quantity
from t10c.suggest import shorten

PLACE_VARIABLE = "T10C_CACHE"
SIZE_VARIABLE = "T10C_CACHE_SIZE"
DEFAULT_LIMIT_BYTES = 512 << 20
OFF = "off"

_SWITCHES = frozenset({"on", "no", "none", "yes", "true", "false", "disable", "disabled", "0", "1"})
"""Texts that are meant as a switch rather than as the name of a directory."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The directory of the store, None for no store, and the bytes it may take."""

    directory: Path | None
    limit_bytes: int = DEFAULT_LIMIT_BYTES


def cache_settings(
    place: str | None = None, environment: Mapping[str, str] = os.environ
) -> CacheSettings:
    """Settings by `--cache` (`place`), else T10C_CACHE, else the user's directory of caches.

    The size is that of T10C_CACHE_SIZE, 512 MiB by default. UsageError for a text that is neither
    a directory nor `off`, and for no size.
    """
    limit = _limit_bytes(environment.get(SIZE_VARIABLE) or None)
    name, text = "--cache", place
    if text is None:  # a variable that is empty counts as one that is not set
        name, text = PLACE_VARIABLE, environment.get(PLACE_VARIABLE) or None
    if text is None:
        return CacheSettings(_user_directory(), limit)
    if text == OFF:
        return CacheSettings(None, limit)
    if not text.strip() or "\0" in text:
        raise UsageError(f"{name} is empty: write a directory, or {OFF}")
    if text.lower() in _SWITCHES or text.lower() == OFF:
        raise UsageError(
            f"{name} {text}: write a directory, or {OFF}\n"
            f"without it the store is in the user's directory of caches; a directory of that name"
            f" is ./{text}"
        )
    return CacheSettings(Path(text), limit)


def _user_directory() -> Path:
    """The user's directory of caches, $XDG_CACHE_HOME/t10c on Linux."""
    from platformdirs import user_cache_path

    return user_cache_path("t10c", appauthor=False)


def _limit_bytes(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT_BYTES
    try:
        size_bytes = parse_quantity(text, "size").value
    except ValueError as error:
        raise UsageError(f"{SIZE_VARIABLE}: {error}") from error
    if size_bytes < 1:
        raise UsageError(
            f"{SIZE_VARIABLE}={shorten(text)}: write at least 1B; {PLACE_VARIABLE}={OFF} does"
            " without a store"
        )
    return int(min(size_bytes, 2**62))
