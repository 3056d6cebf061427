"""A case of bad input: a command, the files it finds, and the message."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

SECONDS = 20.0  # on a busy machine; the slowest case takes three
STAR = 5_937_083_312_263_887_616
NOBODY = "~nosuchuser"


@dataclass(frozen=True)
class Given:
    """Valid input, made once; cases read it, or alter a copy."""

    features: Path
    labels: Path
    bundle: Path
    catalog: Path
    star: Path
    """A file of one genuine spectrum (DataLink's CSV)."""
    mlflow: str
    port: int
    """Nobody listens there."""


Make = Callable[[Path, Given], object]


@dataclass(frozen=True)
class Case:
    """A command that must fail; `{features}` and the like in it are paths of `Given`."""

    command: str
    make: Make
    message: str
    environment: Mapping[str, str] = field(default_factory=dict)


def nothing(here: Path, given: Given) -> None:
    """Make no file."""


def file(name: str, content: bytes | str) -> Make:
    """Make a file."""
    data = content.encode() if isinstance(content, str) else content

    def make(here: Path, given: Given) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)

    return make


def folder(name: str, *files: str) -> Make:
    """Make a folder with empty files."""

    def make(here: Path, given: Given) -> None:
        (here / name).mkdir(parents=True)
        for each in files:
            (here / name / each).touch()

    return make


def parquet(name: str, columns: Mapping[str, Any]) -> Make:
    return lambda here, given: pq.write_table(pa.table(columns), here / name)


def fits_table(name: str, columns: Mapping[str, Any]) -> Make:
    return lambda here, given: Table(columns).write(here / name)


def fits_of_billions(name: str) -> Make:
    """Make a table whose header claims billions of columns."""

    def make(here: Path, given: Given) -> None:
        Table({"source_id": [STAR]}).write(here / name)
        content = (here / name).read_bytes()
        place = content.index(b"TFIELDS =")
        card = b"TFIELDS =           9999999990"
        (here / name).write_bytes(content[:place] + card + content[place + len(card) :])

    return make


def copy(what: str, name: str, *changes: Callable[[Path], object]) -> Make:
    """Copy a folder of `Given` and change the copy."""

    def make(here: Path, given: Given) -> None:
        shutil.copytree(getattr(given, what), here / name)
        for change in changes:
            change(here / name)

    return make


def both(*makes: Make) -> Make:
    def make(here: Path, given: Given) -> None:
        for each in makes:
            each(here, given)

    return make


def group(name: str, command: str, cases: Mapping[str, tuple[Make, str]]) -> dict[str, Case]:
    """Cases of one command."""
    return {f"{name}: {title}": Case(command, make, message) for title, (make, message) in cases.items()}
