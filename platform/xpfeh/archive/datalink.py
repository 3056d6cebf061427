"""Spectra by identifier from ESA's DataLink: candidates for its parameters are tried until accepted, and remembered."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
from astropy.io.votable import parse_single_table
from numpy.typing import NDArray

from xpfeh.archive.archive_facts import recall, remember
from xpfeh.archive.archives import GaiaArchive, Services
from xpfeh.archive.gaia_tap import GaiaTap
from xpfeh.archive.http import (
    BadResponseError,
    RefusedError,
    ServerError,
    TimeOutError,
    UnavailableError,
    check_response,
    with_retries,
)
from xpfeh.archive.login import session_at
from xpfeh.releases import RELEASES

_SAMPLE = 5  # stars whose products are looked up, since the first one may have no spectrum
TOPIC = "datalink"

Parameters = tuple[str, str]
"""A retrieval type and a data structure."""


class DataLink:
    """Requests the XP spectra of a release from an archive's DataLink.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    archive : GaiaArchive
        An archive with DataLink.
    services : Services
    """

    def __init__(self, release: str, archive: GaiaArchive, services: Services) -> None:
        self._release = release
        self._archive = archive
        self._services = services
        self._url = str(archive.data)

    def spectra(self, ids: NDArray[np.int64]) -> bytes:
        """Return the spectra (K,) of the stars that have one as CSV; empty if none has.

        The archive's column names are replaced by ours, see `xpfeh.releases`.

        Raises
        ------
        RefusedError
            If the archive accepts none of the known parameters.
        UnavailableError
            If it gives no usable response.
        """
        state = self._services.state
        if (reason := state.why_down(self._url)) is not None:
            raise UnavailableError(reason)
        try:
            return self._with_known_parameters(ids)
        except UnavailableError as error:
            state.down(self._url, str(error))
            raise

    def _with_known_parameters(self, ids: NDArray[np.int64]) -> bytes:
        """Send the parameters that were accepted before; if there are none, or they are now refused, all candidates."""
        state, remembered = self._services.state, recall(self._release, TOPIC, self._url)
        # A short request before a long one shows whether the service hangs, and which products it has.
        named = [] if remembered and state.has_answered(self._url) else self._products(ids)
        if remembered:
            try:
                return self._with_retries(ids, [(remembered[0], remembered[1])])
            except (RefusedError, ServerError):  # ESA renames: the old values may fail without a reason
                named = named or self._products(ids)
        gaia = RELEASES[self._release]
        types = dict.fromkeys([*_likely(named, gaia.retrieval_types), *gaia.retrieval_types])
        return self._with_retries(ids, [*itertools.product(types, gaia.data_structures)])

    def _with_retries(self, ids: NDArray[np.int64], candidates: list[Parameters]) -> bytes:
        known = self._services.state.has_answered(self._url)
        return with_retries(partial(self._first_with_spectra, ids, candidates), self._services, known)

    def _products(self, ids: NDArray[np.int64]) -> list[str]:
        """Return the retrieval types that the archive's `links` service lists for some stars; may be empty."""
        title = RELEASES[self._release].title
        parameters = {"ID": ",".join(f"{title} {i}" for i in ids[:_SAMPLE].tolist())}
        session = session_at(self._archive, self._services.answer_s)

        def ask() -> bytes:
            response = session.get(str(self._archive.links), params=parameters)
            try:
                check_response(response)
            except (RefusedError, UnavailableError):  # this service is optional: spectra may be available without it
                return b""
            self._services.state.answered(self._url)
            return response.content

        try:
            return _retrieval_types(with_retries(ask, self._services))
        except TimeOutError:  # perhaps only this service is slow
            GaiaTap(self._release, self._services).check(self._archive)
            return []

    def _ask_once(self, ids: NDArray[np.int64], parameters: Parameters) -> bytes:
        """Request once with these parameters, and return the CSV of the stars that the archive has, if any."""
        gaia = RELEASES[self._release]
        form = {
            "ID": ",".join(map(str, ids.tolist())), "RETRIEVAL_TYPE": parameters[0], "DATA_STRUCTURE": parameters[1],
            "FORMAT": "csv", "RELEASE": gaia.title, "VALID_DATA": "true", "USE_ZIP_ALWAYS": "true",
        }  # fmt: skip
        response = session_at(self._archive, self._services.timeout_s).post(self._url, data=form)
        check_response(response)
        with zipfile.ZipFile(io.BytesIO(response.content)) as files:
            contents = [files.read(name) for name in files.namelist() if name.endswith(".csv")]
        # Each file has a header line; with no spectra to send, the archive writes nothing else.
        parts = [content.rstrip().partition(b"\n") for content in contents]
        rows = [lines for _, _, lines in parts if lines]
        if not rows:
            return b""
        names = [name.strip().strip(b'"').decode() for name in parts[0][0].split(b",")]
        header = ",".join(gaia.columns.get(name, name) for name in names)
        csv = header.encode() + b"\n" + b"\n".join(rows) + b"\n"
        check_ids(ids_of_csv(csv), ids)
        return csv

    def _first_with_spectra(self, ids: NDArray[np.int64], candidates: list[Parameters]) -> bytes:
        """Return the spectra for the first parameters that return some, and remember these.

        Those of another release may be accepted but return nothing. So an empty answer counts only if none failed
        without a reason.
        """
        refusals: list[str] = []
        failure: ServerError | None = None
        for each in candidates:
            try:
                csv = self._ask_once(ids, each)
            except RefusedError as refused:
                refusals.append(f"{' '.join(each)}: {refused}")
            except ServerError as error:
                failure = error
            else:
                if csv and b"coefficient" not in csv.partition(b"\n")[0]:
                    refusals.append(f"{' '.join(each)}: no coefficients in the answer")
                elif csv:
                    self._services.state.answered(self._url)
                    remember(self._release, TOPIC, self._url, each)
                    return csv
        if failure is not None:
            raise failure
        self._services.state.answered(self._url)
        if len(refusals) == len(candidates):
            raise RefusedError("; ".join(refusals))
        return b""


def _likely(named: list[str], expected: tuple[str, ...]) -> Iterator[str]:
    """Yield the archive's products that may be mean XP spectra as coefficients, expected ones first."""
    yield from (name for name in expected if name in named)
    for name in named:
        words = set(re.split("[^A-Z]+", name.upper()))
        if "XP" in words and words & {"MEAN", "CONTINUOUS"} and not words & {"SAMPLED", "EPOCH", "GRAVLENS"}:
            yield name


def _retrieval_types(votable: bytes) -> list[str]:
    try:
        table = parse_single_table(io.BytesIO(votable), verify="ignore").to_table(use_names_over_ids=True)
        urls = [str(url) for url in table["access_url"]]
    except Exception:  # from expat, VOTable's own hierarchy, KeyError: not a list of links
        return []
    found = [value for url in urls for value in parse_qs(urlsplit(url).query).get("RETRIEVAL_TYPE", [])]
    return list(dict.fromkeys(found))


def ids_of_csv(csv: bytes) -> NDArray[np.int64]:
    """Return the identifiers of a CSV file of spectra.

    Raises
    ------
    BadResponseError
        If a row has no identifier.
    """
    ids = pl.read_csv(csv, columns=["source_id"], schema_overrides={"source_id": pl.Int64})["source_id"]
    if ids.null_count():
        raise BadResponseError("a row without source_id")
    return ids.to_numpy()


def check_ids(received: NDArray[np.int64], requested: NDArray[np.int64]) -> None:
    """Raise a `BadResponseError` unless each received star was requested and appears once."""
    if len(np.unique(received)) < len(received) or not np.isin(received, requested).all():
        raise BadResponseError("repeated stars, or stars that were not requested")
