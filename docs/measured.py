"""Figures that take long to measure: kept record by record, and known while nothing has changed.

What scripts of docs/ share that measure first and write a page of it then.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import t10c
from t10c.cli.output import write_atomic

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

Record = dict[str, Any]


class Keyed(Protocol):
    """A case that can be measured: `key` is its name in the file of figures."""

    @property
    def key(self) -> str: ...  # noqa: D102


Case = TypeVar("Case", bound=Keyed)


def code_hash(decisive: Iterable[str]) -> str:
    """Stands for all that figures depend on: chips, models, and of t10c/ what is `decisive`."""
    places = [*(ROOT / "t10c" / name for name in decisive), ROOT / "hwspecs", ROOT / "models"]
    files = [f for place in places for f in ([place] if place.is_file() else place.rglob("*"))]
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.suffix in (".py", ".yaml"):
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def read_records(file: Path, name: str) -> dict[str, Record]:
    """The records that the file has under `name`, by their key; none if there is no file."""
    if not file.exists():
        return {}
    records = json.loads(file.read_text(encoding="utf-8"))[name]
    return {record["key"]: record for record in records}


def write_records(file: Path, **parts: Iterable[Record]) -> None:
    """Write records by the name of their part, a line each."""
    texts = [f'"generator":"t10c {t10c.__version__}"']
    for name, records in parts.items():
        lines = [json.dumps(record, separators=(",", ":")) for record in records]
        texts.append(f'"{name}":[\n' + ",\n".join(lines) + "\n]")
    write_atomic(str(file), ("{" + ",".join(texts) + "}\n").encode())


def measure_unknown(
    cases: Iterable[Case],
    known: dict[str, Record],
    code: str,
    measure: Callable[[Case], Record],
    keep: Callable[[Mapping[str, Record]], None],
    anew: bool = False,
) -> None:
    """Measure cases that are not known of this code, all if `anew`, and keep each at once."""
    for case in cases:
        if not anew and known.get(case.key, {}).get("code") == code:
            continue
        begin = time.monotonic()
        known[case.key] = {**measure(case), "code": code}
        keep(known)
        print(f"{case.key}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def parser(description: str) -> argparse.ArgumentParser:
    """The options of a script that measures."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--anew", action="store_true", help="measure what is known, too")
    made.add_argument("--only", metavar="TEXT", default="", help="measure cases with this in key")
    made.add_argument("--page", action="store_true", help="measure nothing")
    made.add_argument("--check", action="store_true", help="write nothing; exit 1 if not current")
    return made


def write_page(page: Path, text: str, check: bool, target: str) -> int:
    """Write the page, or only check it; returns the exit code. `target` of make renews it."""
    if check and page.read_text(encoding="utf-8") != text:
        print(f"not current: {page.name}; run make {target}", file=sys.stderr)
        return 1
    if not check:
        write_atomic(str(page), text.encode())
    return 0
