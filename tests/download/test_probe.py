"""What the archive has beside what is expected: of both releases, and of ones that turn out otherwise."""

import pytest
from xpfeh.download.archives import Services
from xpfeh.download.probe import Finding, Verdict, probe

from tests.download.archive_server import ArchiveServer


def found_in(release: str, services: Services) -> dict[str, Finding]:
    return {finding.what: finding for finding in probe(release, services)}


def test_dr3_is_as_expected(archive: ArchiveServer, services: Services) -> None:
    assert {finding.verdict for finding in probe("dr3", services)} == {Verdict.HOLDS}


def test_a_dr4_as_announced_holds_but_for_the_bases(archive: ArchiveServer, services: Services) -> None:
    verdicts = {what: finding.verdict for what, finding in found_in("dr4", services).items()}
    assert verdicts.pop("bases in the installed GaiaXPy") is Verdict.UNKNOWN
    assert set(verdicts.values()) == {Verdict.HOLDS}
    assert "columns of gaiadr4.dr3_neighbourhood" in verdicts


def test_what_differs_is_named_beside_what_is_there(archive: ArchiveServer, services: Services) -> None:
    archive.tables["gaiadr4.gaia_source"].remove("has_xp_continuous")
    archive.tables["gaiadr4.gaia_source"].append("has_xp_mean_spectrum")
    archive.tables.pop("gaiadr4.dr3_neighbourhood")
    archive.renamed = {"bp_coefficients": "bp_mean_coefficients"}
    archive.structures = {"RAW"}
    found = found_in("dr4", services)
    differs = {what: each.found for what, each in found.items() if each.verdict is Verdict.DIFFERS}
    assert "lacks has_xp_continuous; there are has_xp_mean_spectrum" in differs["columns of gaiadr4.gaia_source"]
    assert differs["columns of gaiadr4.dr3_neighbourhood"] == "no such table"
    assert "refused: Unknown data structure" in differs["DataLink MEAN_SPECTRUM_XP, DATAMODEL_GAIA"]
    assert found["DataLink MEAN_SPECTRUM_XP, RAW"].verdict is Verdict.HOLDS
    assert "lacks bp_coefficients; there are" in differs["columns of spectra"]
    assert "bp_mean_coefficients" in differs["columns of spectra"]


def test_another_count_of_coefficients_and_another_epoch_are_seen(archive: ArchiveServer, services: Services) -> None:
    archive.n_bp, archive.epochs = 53, {"gaiadr4.gaia_source": 2017.0}
    found = found_in("dr4", services)
    for what, expected, there in (("BP coefficients", "51", "53"), ("epoch of positions", "J2017.5", "J2017.0")):
        assert (found[what].expected, found[what].found, found[what].verdict) == (expected, there, Verdict.DIFFERS)


@pytest.mark.parametrize("fault", ["500", "refused"])
def test_a_server_that_only_fails_leaves_all_unknown(archive: ArchiveServer, services: Services, fault: str) -> None:
    archive.faults = [fault] * 100
    assert {finding.verdict for finding in found_in("dr4", services).values()} == {Verdict.UNKNOWN}
