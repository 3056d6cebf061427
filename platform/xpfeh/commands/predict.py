"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.columns import CATALOG, sensitivity_schema, to_arrow, to_table
from xpfeh.commands.choose_stars import StarChoice, choose_stars
from xpfeh.commands.one_table import ToTable, Written, check_not_input, with_provenance, write_file
from xpfeh.errors import UserError
from xpfeh.flags import names
from xpfeh.inference.estimate import estimate
from xpfeh.inference.kinds import kinds_of
from xpfeh.inference.predictor import Predictor
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.archive_stars import ArchiveStars
from xpfeh.sources.reader import CompanionFiles
from xpfeh.tables.writing import check_format, suffix_of
from xpfeh.typing import Columns
from xpfeh.xp.pixels import centres_nm
from xpfeh.xp.preprocess import preprocess

FETCH = "fetch"
"""Instead of a table of distances: download VizieR's, for stars whose spectra come from the archive."""


def predict_file(
    source: str | list[str] | ArchiveStars,
    bundle: str | Path,
    out: str | Path,
    companions: CompanionFiles,
    release: str | None = None,
    dust_map: str | None = None,
) -> Written:
    """Write the catalog rows of all stars of `source`, with model, settings and versions in the header.

    CSV gets a column ``flag_names`` next to ``flags``, from `xpfeh.flags.names`.

    Parameters
    ----------
    source, companions
        As for `xpfeh.sources.reader.find_spectra` and `read`.
    bundle : str or Path
    out : str or Path
        See `xpfeh.tables.writing.write_table`.
    release : {"dr3", "dr4"}, optional
        Stated release of the spectra; by default the model's.
    dust_map : {"sfd-nside64", "sfd"}, optional
        See `xpfeh.inference.predictor.Predictor.preprocess_by`.

    Raises
    ------
    UserError
        If the source or the bundle is invalid, the model is for another data release than the stated one or cannot use
        that dust map, or the format of `out` cannot be written.
    """
    check_format(out)
    predictor = Predictor(bundle)
    _check_release(predictor, release)
    return _predict(source, predictor, out, companions, dust_map)


def _predict(
    source: str | list[str] | ArchiveStars,
    predictor: Predictor,
    out: str | Path,
    companions: CompanionFiles,
    dust_map: str | None,
) -> Written:
    kinds: Counter[str] = Counter()
    rows = catalog_rows(predictor, predictor.preprocess_by(dust_map), kinds)

    def rows_of_text(raw: Columns) -> pa.Table:
        return _with_flag_names(rows(raw))

    written = write_file(source, out, companions, "predict", rows_of_text if suffix_of(out) == ".csv" else rows)
    return replace(written, kinds=kinds)


def catalog_rows(predictor: Predictor, settings: PreprocessSettings, kinds: Counter[str] | None = None) -> ToTable:
    """Return the function from raw columns to catalog rows, with model, settings and versions in their schema.

    `kinds`, if given, counts the kinds of answers; see `xpfeh.inference.kinds.kinds_of`.
    """
    schema = with_provenance(CATALOG, settings, model=predictor.version)

    def rows(raw: Columns) -> pa.Table:
        answers = estimate(preprocess(raw, settings), predictor)
        if kinds is not None:
            kinds.update(kinds_of(answers))
        return to_table(answers, schema)

    return rows


def predict_stars(
    choice: StarChoice,
    bundle: str | Path,
    out: str | Path,
    companions: CompanionFiles,
    release: str | None = None,
    services: Services = PUBLIC,
    fetch_distances: bool = False,
    dust_map: str | None = None,
) -> Written:
    """Write the catalog rows of stars whose spectra and photometry come from the archive, in the requested order.

    Parameters
    ----------
    choice : StarChoice
    bundle, out, companions, dust_map
        As for `predict_file`; the archive's photometry takes precedence.
    release : {"dr3", "dr4"}, optional
        By default the model's.
    services : Services
    fetch_distances : bool
        Whether their distances are also downloaded from VizieR, and cached.

    Raises
    ------
    UserError
        As `predict_file`, `xpfeh.commands.choose_stars.choose_stars` and `xpfeh.archive.cache.bring`.
    """
    from xpfeh.archive.cache import bring, bring_distances  # pyvo and requests, which a file does not need

    check_format(out)
    predictor = Predictor(bundle)
    _check_release(predictor, release)
    check_not_input(out, choice.ids, choice.around)
    own = predictor.preprocess_by(dust_map).release  # an impossible map is refused before the archive is queried
    ids = choose_stars(choice, own, out, services)
    fetched = bring_distances(ids, own, services) if fetch_distances else []
    stars = replace(bring(ids, own, services), distances=fetched)
    return _predict(stars, predictor, out, companions, dust_map)


def _with_flag_names(table: pa.Table) -> pa.Table:
    """Return catalog rows with the names of their flags next to the bits, which nobody reads in a text file."""
    place = table.schema.get_field_index("flags") + 1
    return table.add_column(place, "flag_names", to_arrow(names(table)))


def without_fetch(distances: Sequence[str]) -> tuple[list[str], bool]:
    """Return the tables of distances, and whether to download distances.

    Raises
    ------
    UserError
        If both are requested.

    Examples
    --------
    >>> without_fetch(["fetch"]), without_fetch(["mine.csv"])
    (([], True), (['mine.csv'], False))
    """
    if FETCH in distances and len(distances) > 1:
        raise UserError("--distances: either fetch, or your own tables")
    return [each for each in distances if each != FETCH], FETCH in distances


def _check_release(predictor: Predictor, release: str | None) -> None:
    own = predictor.card.preprocess.release
    if release not in (None, own):
        raise UserError(
            f"--release {release}: the model {predictor.version} answers only for {own.upper()} spectra; choose one "
            f"trained on {release.upper()} spectra with --model"
        )


def sensitivity_file(
    source: str | list[str], bundle: str | Path, out: str | Path, companions: CompanionFiles
) -> Written:
    """Write d[Fe/H] / d flux by pixel of all stars of `source`.

    Raises
    ------
    UserError
        If the source or the bundle is invalid, or the format of `out` cannot be written.
    """
    check_format(out)
    return write_file(source, out, companions, "sensitivity", sensitivity_rows(Predictor(bundle)))


def sensitivity_rows(predictor: Predictor) -> ToTable:
    """Return the function from raw columns to sensitivities, with their wavelengths in the schema."""
    card = predictor.card
    schema = with_provenance(
        sensitivity_schema(card.recipe.n_pixels),
        card.preprocess,
        model=predictor.version,
        wave_nm=centres_nm(card.recipe.n_pixels).tolist(),
    )

    def rows(raw: Columns) -> pa.Table:
        features = preprocess(raw, card.preprocess)
        columns = {"source_id": features["source_id"], "dfeh_dflux": predictor.sensitivity(features)}
        return to_table(columns, schema)

    return rows
