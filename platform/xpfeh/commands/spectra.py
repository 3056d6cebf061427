"""Write spectra to a file, at any stage between calibration and features."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path

import pyarrow as pa

from xpfeh.columns import FEATURES, SPECTRA, to_table
from xpfeh.commands.one_table import ToTable, Written, with_provenance, write_file
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.reader import CompanionFiles
from xpfeh.typing import Columns
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import correct_spectra, deredden_spectra, preprocess, sample_spectra


class Stage(StrEnum):
    """A stage of processing a spectrum."""

    CALIBRATED = "calibrated"
    CORRECTED = "corrected"
    DEREDDENED = "dereddened"
    FEATURES = "features"


def write_spectra(
    source: str | list[str], out: str | Path, stage: Stage, settings: PreprocessSettings, companions: CompanionFiles
) -> Written:
    """Write the spectra of `source`.

    Parameters
    ----------
    source, companions
        As for `xpfeh.sources.reader.find_spectra` and `read`.
    out : str or Path
        See `xpfeh.tables.writing.write_table`; not CSV, which has no lists.
    stage : Stage
        ``calibrated``: absolute flux, equal to `gaiaxpy.calibrate`; then ``corrected``, ``dereddened``, ``features``.
    settings : PreprocessSettings

    Raises
    ------
    UserError
        If the source is invalid or does not fit the settings, or `out` cannot be written.
    """
    return write_file(source, out, companions, stage.value, spectra_rows(stage, settings))


def spectra_rows(stage: Stage, settings: PreprocessSettings) -> ToTable:
    """Return the function from raw columns to spectra, with settings, versions and wavelengths in their schema."""
    schema = FEATURES if stage is Stage.FEATURES else SPECTRA
    return partial(
        _at_stage, stage, settings, with_provenance(schema, settings, stage=stage.value, wave_nm=WAVELENGTH_NM.tolist())
    )


def _at_stage(stage: Stage, settings: PreprocessSettings, schema: pa.Schema, raw: Columns) -> pa.Table:
    match stage:
        case Stage.FEATURES:
            return to_table(preprocess(raw, settings), schema)
        case Stage.CALIBRATED:
            spectrum = sample_spectra(raw, settings)
        case Stage.CORRECTED:
            spectrum = correct_spectra(raw, settings)
        case Stage.DEREDDENED:
            spectrum = deredden_spectra(raw, settings)
    return to_table({"source_id": raw["source_id"], **spectrum}, schema)
