"""The door to every kind of source: what pieces it has, and the spectra of a piece."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xpfeh.provenance import file_fingerprint
from xpfeh.sources import apogee_library


@dataclass(frozen=True)
class Piece:
    """`rows` stars of a source, from star `start` on.

    Attributes
    ----------
    rejected : dict
        Rows of the source that no piece delivers, by reason; told once, with the source's first piece.
    """

    source: str
    start: int
    rows: int
    rejected: dict[str, int] = field(default_factory=dict)


def pieces(source: str, rows_per_piece: int) -> list[Piece]:
    """Cut a source into pieces of at most `rows_per_piece` stars."""
    in_file, distinct = apogee_library.count_rows(apogee_library.library_path(source))
    repeated = {"repeated source_id": in_file - distinct} if in_file > distinct else {}
    return [
        Piece(source, start, min(rows_per_piece, distinct - start), {} if start else repeated)
        for start in range(0, distinct, rows_per_piece)
    ]


def read(source: str, start: int, rows: int) -> dict[str, NDArray[np.generic]]:
    """Return the columns of `xpfeh.sources.schema.SPECTRA` of a piece."""
    return apogee_library.read_spectra(apogee_library.library_path(source), start, start + rows)


def fingerprint(source: str) -> str:
    """Return the SHA-256 of a source's file."""
    return file_fingerprint(apogee_library.library_path(source))
