"""Spectra as a file of one's own, at any stage of the way to features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.columns import features_schema, spectra_schema, to_table
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.reader import CompanionFiles, find_spectra, read
from xpfeh.tables import check_format, write_table
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import corrected, dereddened, preprocess, sampled


class Stage(StrEnum):
    """How far a spectrum has come."""

    CALIBRATED = "calibrated"
    CORRECTED = "corrected"
    DEREDDENED = "dereddened"
    FEATURES = "features"


def write_spectra(
    source: str, out: str | Path, stage: Stage, settings: PreprocessSettings, companions: CompanionFiles
) -> tuple[int, int]:
    """Write the spectra of `source` and return how many were written and how many rows were rejected.

    Parameters
    ----------
    source, companions
        As for `xpfeh.sources.reader.find_spectra` and `read`.
    out : str or Path
        ``.parquet`` or ``.fits``; the rejected rows and their reasons go to ``OUT.rejected.csv``.
    stage : Stage
        ``calibrated``: absolute flux, equal to `gaiaxpy.calibrate`; then ``corrected``, ``dereddened``, ``features``.
    """
    check_format(out)
    rejected = []

    def tables() -> Iterator[pa.Table]:
        for file in track(find_spectra(source), description=stage.value):
            for start, rows in file.ranges():
                for batch in read(file, start, rows, companions):
                    rejected.extend([f"{file.path},{r.row},{r.source_id or ''},{r.reason}" for r in batch.rejected])
                    yield _at_stage(batch.columns, stage, settings)

    written = write_table(out, tables())
    listing = Path(f"{out}.rejected.csv")
    listing.unlink(missing_ok=True)
    if rejected:
        listing.write_text("\n".join(["source,row,source_id,reason", *rejected]) + "\n")
    return written, len(rejected)


def _at_stage(raw: Mapping[str, NDArray], stage: Stage, settings: PreprocessSettings) -> pa.Table:
    if stage is Stage.FEATURES:
        return to_table(preprocess(raw, settings), features_schema(settings.n_pixels))
    match stage:
        case Stage.CALIBRATED:
            spectrum = sampled(raw)
        case Stage.CORRECTED:
            spectrum = corrected(raw, settings)
        case Stage.DEREDDENED:
            spectrum = dereddened(raw, settings)
    return to_table({"source_id": raw["source_id"], **spectrum}, spectra_schema(WAVELENGTH_NM.size))
