"""What is asked of the archive for each data release, and what its refusals become."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from xpfeh.download.archive_requests import request_photometry, request_spectra
from xpfeh.download.http import Services
from xpfeh.errors import UserError
from xpfeh.sources.releases import RELEASES
from xpfeh.sources.text_lists import parse_lists

from tests.download.archive_server import ArchiveServer

IDS = np.array([5_937_083_312_263_887_616, 4_295_806_720])


def n_coefficients(csv: bytes, band: str) -> int:
    return len(parse_lists(pl.read_csv(csv)[f"{band}_coefficients"])[0])


def test_each_release_is_asked_in_its_own_words(archive: ArchiveServer, services: Services) -> None:
    for release, n_bp in (("dr3", 55), ("dr4", 51)):
        csv = request_spectra(IDS, release, services)
        assert (n_coefficients(csv, "bp"), n_coefficients(csv, "rp")) == (n_bp, 55)
        assert request_photometry(IDS, release, services)["source_id"].to_list() == IDS.tolist()


def test_the_other_name_of_a_data_structure_is_tried(archive: ArchiveServer, services: Services) -> None:
    archive.structures = {"RAW"}
    assert n_coefficients(request_spectra(IDS, "dr4", services), "bp") == 51
    archive.structures = set()
    with pytest.raises(UserError, match=r"DATAMODEL_GAIA: Unknown data structure; RAW: Unknown.*xpfeh probe dr4"):
        request_spectra(IDS, "dr4", services)


def test_an_unknown_retrieval_type_is_asked_for_once_and_told_in_the_archives_words(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RELEASES, "dr3", replace(RELEASES["dr3"], retrieval_type="XP_CONTINUUM"))
    archive.faults = ["", "500", "500"]  # would be met by a second attempt, and a third
    with pytest.raises(UserError, match=r"the archive refuses XP_CONTINUUM .*Unknown retrieval type"):
        request_spectra(IDS, "dr3", services)
    assert archive.faults == ["500", "500"]


def test_a_renamed_column_is_mended_in_the_table_of_releases(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.renamed = {"bp_coefficients": "bp_mean_coefficients"}
    mended = replace(RELEASES["dr4"], columns={"bp_mean_coefficients": "bp_coefficients"})
    monkeypatch.setitem(RELEASES, "dr4", mended)
    assert n_coefficients(request_spectra(IDS, "dr4", services), "bp") == 51
