"""The full SFD98 dust map from the Harvard Dataverse."""

from __future__ import annotations

import warnings
from pathlib import Path

import requests

from xpfeh.errors import UserError
from xpfeh.files import data_folder

_SFD_DOI = "10.7910/DVN/EWCNL5"
"""Schlegel, Finkbeiner & Davis (1998, DOI 10.1086/305772), as `dustmaps` deposited it."""


def fetch_sfd() -> Path:
    """Download the full SFD98 map (two files, 128 MB) through `dustmaps` and return its folder.

    Raises
    ------
    UserError
        If the archive cannot be reached; the message names the files and their folder.
    """
    with warnings.catch_warnings():
        # dustmaps warns when imported without its configuration file, which is not used here.
        warnings.filterwarnings("ignore", message="Configuration file not found")
        from dustmaps.fetch_utils import DownloadError, dataverse_download_doi
    folder = data_folder("sfd")
    folder.mkdir(parents=True, exist_ok=True)
    for pole in ("ngp", "sgp"):  # the two files: north and south Galactic pole
        name = f"SFD_dust_4096_{pole}.fits"
        try:
            dataverse_download_doi(_SFD_DOI, str(folder / name), file_requirements={"filename": name})
        except (requests.RequestException, DownloadError, OSError) as error:
            alternative = f"put {name} of doi:{_SFD_DOI} into {folder}"
            raise UserError(f"the SFD98 map cannot be downloaded ({type(error).__name__}); {alternative}") from None
    return folder
