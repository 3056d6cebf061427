"""The shapes that an archive may have on the day of a release, each a change of the server that plays it."""

from collections.abc import Callable

from tests.archive.archive_server import ArchiveServer


def as_now(archive: ArchiveServer) -> None:
    """As in November 2026."""
    archive.structures = {"RAW"}


def draft(archive: ArchiveServer) -> None:
    """As the draft data model of DR4 has it: for DR3 too."""
    archive.structures = {"DATAMODEL_GAIA"}
    columns = archive.tables["gaiadr3.gaia_source"]
    del columns["phot_bp_rp_excess_factor"], columns["astrometric_params_solved"]
    columns["tentative_parallax_bias"] = "double"


def excess_factor_gone(archive: ArchiveServer) -> None:
    """One optional column missing."""
    archive.tables["gaiadr3.gaia_source"].pop("phot_bp_rp_excess_factor")


def other_prefix(archive: ArchiveServer) -> None:
    """Tables under an unexpected prefix."""
    for name in [*archive.tables]:
        schema, _, table = name.partition(".")
        archive.tables[f"gaia_release_{schema.removeprefix('gaia')}.{table}"] = archive.tables.pop(name)


def graded_flags(archive: ArchiveServer) -> None:
    """Availability as a graded byte, of another name, in another table."""
    for release in ("gaiadr3", "gaiadr4"):
        del archive.tables[f"{release}.gaia_source"]["has_xp_continuous"]
        archive.tables[f"{release}.all_source_flags"] = {"source_id": "long", "has_xp_mean_spectrum": "unsignedByte"}


def only_new_structures(archive: ArchiveServer) -> None:
    """ESA has renamed RAW."""
    archive.structures = {"DATAMODEL_GAIA"}


def only_old_structures(archive: ArchiveServer) -> None:
    """ESA has not renamed RAW, for DR4 neither."""
    archive.structures = {"RAW"}


def other_words(archive: ArchiveServer) -> None:
    """An unforeseen retrieval type, named by the service of links."""
    archive.retrieval_types = dict.fromkeys(archive.retrieval_types, "MEAN_SPECTRUM_XP_CONTINUOUS")
    archive.products = ["EPOCH_PHOTOMETRY", "MEAN_SPECTRUM_XP_CONTINUOUS", "MEAN_SPECTRUM_RVS"]


def maintenance_page(archive: ArchiveServer) -> None:
    """HTML with status 200, for every request."""
    archive.always = "page"


def error_with_text(archive: ArchiveServer) -> None:
    """Status 500 with words that explain nothing."""
    archive.always = "text"


SHAPES: list[Callable[[ArchiveServer], None]] = [
    as_now, draft, excess_factor_gone, other_prefix, graded_flags, only_new_structures, only_old_structures,
    other_words, maintenance_page, error_with_text,
]  # fmt: skip
AWAY = {maintenance_page, error_with_text}
