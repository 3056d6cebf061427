"""What the archive has compared with what is expected, and what to do: for expected releases, and for others."""

from collections.abc import Callable

import pytest
from xpfeh.archive.archives import Services
from xpfeh.archive.probe import Finding, Verdict, advice, probe

from tests.archive import shapes
from tests.archive.archive_server import ArchiveServer
from tests.archive.shapes import SHAPES
from tests.conftest import services_of

WORDS = "DataLink's retrieval type and structure"
BASES = "bases in the installed GaiaXPy"


def found_in(release: str, services: Services) -> dict[str, Finding]:
    return {finding.what: finding for finding in probe(release, services)}


def differing(found: dict[str, Finding]) -> dict[str, str]:
    return {what: each.found for what, each in found.items() if each.verdict is Verdict.DIFFERS}


def test_dr3_is_as_expected(archive: ArchiveServer, services: Services) -> None:
    findings = list(probe("dr3", services))
    assert {finding.verdict for finding in findings} == {Verdict.HOLDS}
    assert advice(findings) == ["nothing to do: xpfeh predict --ids works as it is"]


def test_dr4_as_its_draft_has_it_holds_but_for_the_bases(archive: ArchiveServer, services: Services) -> None:
    found = found_in("dr4", services)
    verdicts = {what: finding.verdict for what, finding in found.items()}
    assert verdicts.pop(BASES) is Verdict.UNKNOWN
    assert set(verdicts.values()) == {Verdict.HOLDS}
    assert {"columns of gaiadr4.dr3_neighbourhood", "gaiadr4.all_source_photometry"} <= set(verdicts)
    assert advice([*found.values()])[0].startswith(f"{BASES}: pip install --upgrade --pre gaiaxpy")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("release", ["dr3", "dr4"])
def test_no_shape_differs_in_what_needs_a_hand(
    archive: ArchiveServer, services: Services, shape: Callable[[ArchiveServer], None], release: str
) -> None:
    shape(archive)
    found = found_in(release, services)
    assert differing(found) == {}
    unknown = {what for what, each in found.items() if each.verdict is Verdict.UNKNOWN} - {BASES}
    assert unknown == ({"tables at ESA's Gaia archive"} if shape in shapes.AWAY else set())


def test_what_was_found_otherwise_is_shown(archive: ArchiveServer, services: Services) -> None:
    for shape in (shapes.excess_factor_gone, shapes.graded_flags, shapes.other_words, shapes.only_old_structures):
        shape(archive)
    found = found_in("dr4", services)
    assert (
        found["column of stars with spectra"].found
        == "all_source_flags.has_xp_mean_spectrum (f.has_xp_mean_spectrum > 0)"
    )
    assert found[WORDS].found == "MEAN_SPECTRUM_XP_CONTINUOUS, RAW"
    assert found[WORDS].expected == "MEAN_SPECTRUM_XP, DATAMODEL_GAIA"
    assert found_in("dr3", services)["columns of gaiadr3.gaia_source"].found == (
        "without phot_bp_rp_excess_factor: computed, or null"
    )


def test_what_differs_is_named_with_what_is_there_and_what_to_do(archive: ArchiveServer, services: Services) -> None:
    columns = archive.tables["gaiadr4.gaia_source"]
    columns["phot_g_mean_magnitude"] = columns.pop("phot_g_mean_mag")
    archive.tables.pop("gaiadr4.dr3_neighbourhood")
    archive.renamed = {"bp_coefficients": "bp_mean_coefficients"}
    found = found_in("dr4", services)
    differs = differing(found)
    sources = differs["columns of gaiadr4.gaia_source"]
    assert sources.startswith("lacks phot_g_mean_mag; there are phot_g_mean_magnitude")
    assert differs["columns of gaiadr4.dr3_neighbourhood"] == "no such table"
    assert advice([*found.values()])[0] == (
        "columns of gaiadr4.gaia_source: results lack these values, as flags show; or give your own table with "
        "--photometry"
    )


def test_another_count_of_coefficients_and_another_epoch_are_seen(archive: ArchiveServer, services: Services) -> None:
    archive.n_bp, archive.epochs = 53, {"dr4": 2017.0}
    found = found_in("dr4", services)
    for what, expected, there in (("BP coefficients", "51", "53"), ("epoch of positions", "J2017.5", "J2017.0")):
        assert (found[what].expected, found[what].found, found[what].verdict) == (expected, there, Verdict.DIFFERS)


def test_an_unknown_word_is_not_a_fault_of_the_archive(archive: ArchiveServer, services: Services) -> None:
    archive.structures = set()
    assert "Unknown data structure" in differing(found_in("dr3", services))[WORDS]


def test_a_release_that_is_not_there_yet_is_waited_for(archive: ArchiveServer, services: Services) -> None:
    for name in [name for name in archive.tables if "dr4" in name]:
        del archive.tables[name]
    found = found_in("dr4", services)
    assert (found["tables at ESA's Gaia archive"].verdict, set(found)) == (
        Verdict.UNKNOWN, {"tables at ESA's Gaia archive", BASES}
    )  # fmt: skip
    assert "Gaia DR4 is not at ESA's Gaia archive, or has an unknown name there" in advice([*found.values()])[0]


def test_one_star_is_one_star_whatever_the_archive_calls_it(archive: ArchiveServer, services: Services) -> None:
    archive.top_overflows = True
    assert {finding.verdict for finding in probe("dr3", services)} == {Verdict.HOLDS}


def test_an_archive_that_is_away_is_advised_to_be_and_its_mirrors_are_shown(
    archive: ArchiveServer, services: Services
) -> None:
    mirror = ArchiveServer(f"{archive.head}\n1,{archive.rest}")
    try:
        archive.always = "page"
        found = found_in("dr3", services_of(archive, mirror))
    finally:
        mirror.close()
    assert "web page: Gaia Archive The Gaia Archive is under maintenance" in found["tables at ESA's Gaia archive"].found
    assert (found["mirror ARI Heidelberg"].found, found["mirror ARI Heidelberg"].verdict) == (
        "photometry, spectra", Verdict.HOLDS
    )  # fmt: skip
    advised = advice([*found.values()])
    assert advised[0].startswith("tables at ESA's Gaia archive: it does not respond now")
    assert advised[-1] == "until then photometry and spectra come from ARI Heidelberg automatically"


@pytest.mark.parametrize("fault", ["500", "refused"])
def test_a_server_that_only_fails_leaves_all_unknown(archive: ArchiveServer, services: Services, fault: str) -> None:
    archive.always = fault
    found = found_in("dr4", services)
    assert {finding.verdict for finding in found.values()} == {Verdict.UNKNOWN}


def test_what_was_looked_up_earlier_today_is_looked_up_again(archive: ArchiveServer, services: Services) -> None:
    list(probe("dr3", services))
    shapes.other_prefix(archive)
    assert found_in("dr3", services_of(archive))["prefix of tables"].found == "gaia_release_dr3"
