"""Requests to the archive for each data release, and the errors that its refusals become."""

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from xpfeh.archive.archive_facts import recall
from xpfeh.archive.archive_requests import GAIA_SOURCE_COLUMNS, request_photometry, request_spectra
from xpfeh.archive.archives import Services
from xpfeh.archive.star_lists import ids_by_adql, ids_by_cone
from xpfeh.errors import Notice, UserError
from xpfeh.releases import RELEASES
from xpfeh.tables.lists import parse_lists

from tests.archive.archive_server import ArchiveServer
from tests.conftest import services_of

IDS = np.array([5_937_083_312_263_887_616, 4_295_806_720])


def n_coefficients(csv: bytes, band: str) -> int:
    return len(parse_lists(pl.read_csv(csv)[f"{band}_coefficients"].cast(pl.Binary))[0])


def test_each_release_is_requested_in_its_own_words(archive: ArchiveServer, services: Services) -> None:
    for release, n_bp in (("dr3", 55), ("dr4", 51)):
        csv = request_spectra(IDS, release, services).csv
        assert (n_coefficients(csv, "bp"), n_coefficients(csv, "rp")) == (n_bp, 55)
        assert request_photometry(IDS, release, services).frame["source_id"].to_list() == IDS.tolist()


def test_the_other_name_of_a_data_structure_is_tried(archive: ArchiveServer, services: Services) -> None:
    archive.structures = {"RAW"}
    assert RELEASES["dr4"].data_structures[0] != "RAW"
    assert n_coefficients(request_spectra(IDS, "dr4", services).csv, "bp") == 51
    archive.structures = set()
    words = r"MEAN_SPECTRUM_XP DATAMODEL_GAIA: Unknown data structure; MEAN_SPECTRUM_XP RAW: Unknown"
    with pytest.raises(UserError, match=rf"{words}.*xpfeh probe dr4"):
        request_spectra(IDS, "dr4", services)


def test_unknown_words_are_sent_once_and_refused_in_the_archives_words(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RELEASES, "dr3", replace(RELEASES["dr3"], retrieval_types=("XP_CONTINUUM",)))
    archive.faults = ["", "", "500", "500"]  # would be met by a second attempt, and a third
    with pytest.raises(UserError, match=r"XP_CONTINUUM RAW: Unknown retrieval type; XP_CONTINUUM DATAMODEL_GAIA"):
        request_spectra(IDS, "dr3", services)
    assert archive.faults == ["500", "500"]


@pytest.mark.parametrize("product", ["MEAN_SPECTRUM_XP_COEFFICIENTS", "XP_CONTINUOUS_MEAN"])
def test_an_unforeseen_product_is_named_by_the_service_of_links(
    archive: ArchiveServer, services: Services, product: str
) -> None:
    archive.retrieval_types["Gaia DR4"] = product
    archive.structures = {"RAW"}
    archive.products = ["EPOCH_PHOTOMETRY", "EPOCH_SPECTRUM_XP", "MEAN_SPECTRUM_RVS", "XP_SAMPLED_MEAN", product]
    assert n_coefficients(request_spectra(IDS, "dr4", services).csv, "bp") == 51
    assert recall("dr4", "datalink", f"{archive.url}/data") == [product, "RAW"]


def test_words_are_tried_once_and_remembered_until_they_are_refused(archive: ArchiveServer, services: Services) -> None:
    """The day on which ESA renames RAW: no call fails."""
    structures = []

    class Listening(set):
        def __contains__(self, word: object) -> bool:
            structures.append(word)
            return super().__contains__(word)

    archive.structures = Listening({"RAW"})
    request_spectra(IDS, "dr3", services)
    archive.structures = Listening({"DATAMODEL_GAIA"})
    request_spectra(IDS, "dr3", services)
    request_spectra(IDS, "dr3", services_of(archive))
    assert structures == ["RAW", "RAW", "RAW", "DATAMODEL_GAIA", "DATAMODEL_GAIA"]


def test_spectra_without_coefficients_are_not_what_was_requested(archive: ArchiveServer, services: Services) -> None:
    archive.renamed = {name: f"sampled_{i}" for i, name in enumerate(archive.head.split(",")) if "coeff" in name}
    with pytest.raises(UserError, match="XP_CONTINUOUS RAW: no coefficients in the answer"):
        request_spectra(IDS, "dr3", services)
    archive.renamed = {}
    assert request_spectra(IDS, "dr3", services).csv


def test_words_may_be_refused_without_a_reason(archive: ArchiveServer, services: Services) -> None:
    archive.faults = ["text"]  # as DataLink answers the new words before the switch, with status 500
    archive.structures = {"RAW", "DATAMODEL_GAIA"}
    request_spectra(IDS, "dr3", services)
    assert archive.log == [("/data", 2)]


def test_a_query_asks_for_columns_that_are_there(archive: ArchiveServer, services: Services) -> None:
    for name in ("phot_bp_rp_excess_factor", "nu_eff_used_in_astrometry", "phot_bp_mean_mag"):
        archive.tables["gaiadr3.gaia_source"].pop(name)
    found = request_photometry(IDS, "dr3", services).frame
    assert found.columns == list(GAIA_SOURCE_COLUMNS)
    assert found.select("phot_g_mean_mag", "phot_bp_rp_excess_factor", "phot_bp_mean_mag").row(0) == (1.5, None, None)
    assert archive.schema_queries == 1


@pytest.mark.parametrize("release", ["dr3", "dr4"])
def test_an_archive_that_does_not_list_its_columns_is_queried_for_the_expected_ones(
    archive: ArchiveServer, services: Services, release: str
) -> None:
    archive.lists_tables = False
    found = request_photometry(IDS, release, services).frame
    excess, bias = ([1.5, 1.5], [None, None]) if release == "dr3" else ([None, None], [1.5, 1.5])
    assert found["phot_bp_rp_excess_factor"].to_list() == excess
    assert found["tentative_parallax_bias"].to_list() == bias
    assert found["parallax_over_error"].to_list() == [1.5, 1.5]


def test_words_that_bring_nothing_do_not_hide_a_failure(archive: ArchiveServer, services: Services) -> None:
    """DataLink may accept the words of another release, and have nothing of it."""
    archive.structures, archive.other_words = {"RAW"}, {"MEAN_SPECTRUM_XP"}
    archive.faults = ["text"]
    assert request_spectra(IDS, "dr3", services).csv
    archive.faults = ["text"] * 99
    with pytest.raises(UserError, match="HTTP 500"):
        request_spectra(IDS, "dr3", services_of(archive))
    archive.faults, archive.absent = [], set(IDS.tolist())
    assert request_spectra(IDS, "dr3", services_of(archive)).csv == b""


def test_the_page_of_a_proxy_is_not_a_refusal(archive: ArchiveServer, services: Services) -> None:
    archive.faults = ["502", "502"]
    assert request_spectra(IDS, "dr3", services).csv
    archive.faults = ["502", "502"]
    assert len(request_photometry(IDS, "dr3", services).frame) == 2
    archive.faults = ["502", "502"]
    assert ids_by_cone(10.0, 20.0, 0.1, "dr3", services).tolist() == [11, 12]
    assert "has_xp_continuous = 't'" in archive.queries[-1]


def test_a_slow_service_of_links_loses_nothing(archive: ArchiveServer, services: Services) -> None:
    archive.slow_links = True
    assert request_spectra(IDS, "dr3", services).csv


def test_spectra_are_not_lost_if_magnitudes_are_refused(archive: ArchiveServer, services: Services) -> None:
    archive.forbidden, archive.not_best = "gaiadr4.all_source_photometry", {int(IDS[1])}
    with pytest.warns(Notice, match=r"no magnitudes for 1 source\(s\): .*permission denied for gaiadr4.all_source"):
        found = request_photometry(IDS, "dr4", services)
    assert (found.frame["source_id"].to_list(), found.whole) == ([int(IDS[0])], False)


def test_the_reason_of_a_refusal_is_shown_and_not_the_query_before_it(
    archive: ArchiveServer, services: Services
) -> None:
    archive.forbidden = "gaiadr3.gaia_source"
    query = f"SELECT source_id FROM gaiadr3.gaia_source WHERE {' AND '.join(['ra < 12 AND dec > 3'] * 30)}"
    with pytest.raises(UserError, match=r"\.\.\. .*ra < 12 AND dec > 3': permission denied for gaiadr3.gaia_source$"):
        ids_by_adql(query, services=services)


def test_sources_that_are_not_among_the_best_have_magnitudes(archive: ArchiveServer, services: Services) -> None:
    archive.not_best = {int(IDS[1])}
    found = request_photometry(IDS, "dr4", services).frame
    assert found["source_id"].to_list() == IDS.tolist()
    assert found.select("phot_g_mean_mag", pl.col("ra").is_null()).rows() == [(1.5, False), (1.5, True)]
    assert request_photometry(IDS, "dr3", services).frame["source_id"].to_list() == [int(IDS[0])]


def test_what_an_archive_has_is_looked_up_once_a_day(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        request_photometry(IDS, "dr4", services_of(archive))
    assert archive.schema_queries == 1
    later = time.time() + 25 * 3600
    monkeypatch.setattr("xpfeh.archive.archive_facts.time.time", lambda: later)
    request_photometry(IDS, "dr4", services)
    assert archive.schema_queries == 2


def test_a_release_that_is_not_there_yet_is_not_remembered(archive: ArchiveServer, services: Services) -> None:
    there = {name: archive.tables.pop(name) for name in list(archive.tables) if name.startswith("gaiadr4")}
    with pytest.raises(UserError, match=r"it has no table gaiadr4\.gaia_source, nor one like it; it has gaiadr3"):
        request_photometry(IDS, "dr4", services)
    archive.tables |= there
    assert len(request_photometry(IDS, "dr4", services).frame) == 2


def test_a_renamed_column_is_mended_in_the_table_of_releases(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.renamed = {"bp_coefficients": "bp_mean_coefficients"}
    mended = replace(RELEASES["dr4"], columns={"bp_mean_coefficients": "bp_coefficients"})
    monkeypatch.setitem(RELEASES, "dr4", mended)
    assert n_coefficients(request_spectra(IDS, "dr4", services).csv, "bp") == 51
