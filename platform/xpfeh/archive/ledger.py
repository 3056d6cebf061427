"""A ledger of requests for stars, kept on this machine: a star is requested once.

One folder per request: its files, and ``asked.json`` with the requested identifiers, further facts about the answer,
and the files' SHA-256. A folder gets its name once it is complete, and is requested again if its bytes have changed.
That an archive has nothing for a star is only trusted for a while: tables grow in the days after a release, and a
mirror may lack what the archive has.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import Progress

from xpfeh.files import sha256_of

BELIEVED_S = 24 * 3600.0
"""How long to trust that ESA's archive, or VizieR, has nothing for a star."""
_RECORD = "asked.json"
_FORMAT = 2  # 1 lacked errors of parallaxes, and the time


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    Attributes
    ----------
    folder : Path
        The folder of its files.
    requested : (N,) int64
        Identifiers; of an expired answer, only those that are complete.
    record : dict
        Further facts about it.
    """

    folder: Path
    requested: NDArray[np.int64]
    record: dict[str, Any]

    def ids(self, name: str) -> NDArray[np.int64]:
        """Return the identifiers (K,) that the record has under a name."""
        return np.array(self.record[name], np.int64)


class Ledger:
    """The answered requests in a folder.

    Parameters
    ----------
    folder : Path
    lists : str
        Lists of identifiers that each record must have.
    """

    def __init__(self, folder: Path, *lists: str) -> None:
        self._folder = folder
        self._lists = ("complete", *lists)

    def answers(self) -> list[Answer]:
        """Return all answers, in the order of their folders' names."""
        found = []
        for path in sorted(self._folder.glob(f"[!.]*/{_RECORD}")):  # a name that starts with a dot is not complete yet
            try:
                record = json.loads(path.read_text())
                if record["format"] != _FORMAT:
                    raise ValueError("another version's")
                answer = Answer(path.parent, np.array(record["asked"], np.int64), record)
                for name in self._lists:
                    answer.ids(name)
                if not {"at", "believed_until", "sha256"} <= record.keys():
                    raise ValueError("half a record")
                found.append(answer)
            except (ValueError, KeyError, TypeError):  # damaged, or old: its stars will be requested again
                shutil.rmtree(path.parent)
        return found

    def sound(self, ids: NDArray[np.int64]) -> list[Answer]:
        """Return the answers for some stars, if their files are unchanged; answers with changed files are deleted."""
        now = time.time()
        answers = [
            each if now < each.record["believed_until"] else replace(each, requested=each.ids("complete"))
            for each in self.answers()
        ]
        return [answer for answer in answers if np.isin(answer.requested, ids).any() and self._check(answer)]

    def _check(self, answer: Answer) -> bool:
        for name, sha256 in answer.record["sha256"].items():
            path = answer.folder / name
            if not path.is_file() or sha256_of(path) != sha256:
                shutil.rmtree(answer.folder)
                return False
        return True

    def keep(
        self,
        ids: NDArray[np.int64],
        files: Mapping[str, pa.Table | bytes],
        complete: NDArray[np.int64],
        believed_s: float,
        **record: Any,
    ) -> Answer:
        """Write the answer to a request, completely or not at all.

        Parameters
        ----------
        ids : (N,) int64
            Requested.
        files : mapping of pyarrow.Table or bytes
            By name; tables become Parquet.
        complete : (K,) int64
            The stars with everything that was requested.
        believed_s : float
            How long to trust that there is nothing more for the others, s.
        record
            Further facts to keep; must be valid in JSON.
        """
        folder = self._folder / hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()[:32]
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
        temporary.mkdir(parents=True)
        try:
            for name, content in files.items():
                if isinstance(content, bytes):
                    (temporary / name).write_bytes(content)
                else:
                    pq.write_table(content, temporary / name, compression="zstd", row_group_size=256)
            sums = {name: sha256_of(temporary / name) for name in files}
            whole = {
                "format": _FORMAT,
                "asked": ids.tolist(),
                "complete": complete.tolist(),
                "at": time.time(),
                "believed_until": time.time() + believed_s,
                **record,
                "sha256": sums,
            }
            (temporary / _RECORD).write_text(json.dumps(whole, allow_nan=False))
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return Answer(folder, ids, whole)


def gather(
    ledger: Ledger,
    ids: NDArray[np.int64],
    stars_per_request: Callable[[], int],
    request: Callable[[NDArray[np.int64]], Answer],
    title: str,
) -> list[Answer]:
    """Return the answers for some stars; stars without an answer are requested.

    An interrupted call can be repeated: each answer is kept as soon as it has arrived.

    Parameters
    ----------
    ledger : Ledger
    ids : (N,) int64
    stars_per_request : callable
    request : callable
        Requests stars (K,), and keeps the answer in the ledger.
    title : str
        Of the progress bar.
    """
    answers = ledger.sound(ids)
    new = np.setdiff1d(ids, np.concatenate([np.empty(0, np.int64), *(answer.requested for answer in answers)]))
    with Progress(transient=True, disable=not new.size) as progress:
        bar = progress.add_task(title, total=len(new))
        while new.size:
            chunk, new = np.split(new, [stars_per_request()])
            answers.append(request(chunk))
            progress.advance(bar, len(chunk))
    return answers
