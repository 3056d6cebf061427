"""Publish: a catalog to the formats that astronomers load, in the order of the sky."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.columns import CATALOG
from xpfeh.errors import UserError
from xpfeh.files import PROVENANCE_KEY, filesystem, list_parts
from xpfeh.flags import OUTSIDE_PAPER_SAMPLE, Flag
from xpfeh.provenance import code_version, file_fingerprint
from xpfeh.release.fits_stream import write_fits
from xpfeh.release.hats_catalog import write_hats
from xpfeh.release.readme import REFERENCE, TITLE, describe, readme
from xpfeh.release.sky_order import Select, SkyOrder, count_stars, spill
from xpfeh.release.votable_file import MAX_VOTABLE_ROWS, write_votable


class Sample(NamedTuple):
    """Which stars are published: those with none of the `refused` flags."""

    definition: str
    refused: Flag
    predicted: bool = True


_NOT_GIANTS = OUTSIDE_PAPER_SAMPLE | Flag.CUT_NOT_EVALUATED
SAMPLES = {
    "all": Sample("every star of the catalog, with or without a prediction", Flag(0), predicted=False),
    "giants": Sample("stars with [Fe/H] that pass cuts 1 to 3 of the paper, all of them evaluated", _NOT_GIANTS),
    "paper": Sample(
        "stars with [Fe/H] that pass cuts 1 to 3 of the paper, all of them evaluated, and have E(B-V) < 0.5",
        _NOT_GIANTS | Flag.HIGH_EXTINCTION,
    ),
}
"""The samples that can be published."""


class _Release(NamedTuple):
    """What every format is written from."""

    folder: Path
    stars: SkyOrder
    schema: pa.Schema
    provenance: dict[str, Any]
    sample: str

    @property
    def description(self) -> str:
        return describe(self.stars.rows, self.sample, SAMPLES[self.sample].definition, self.provenance)

    def tables(self, told: str) -> Iterator[pa.Table]:
        for _, table in track(self.stars, told, len(self.stars.partitions)):
            yield table.select(self.schema.names)


def publish(catalog: str | Path, out: str | Path, formats: Sequence[str], sample: str = "all") -> dict[str, Any]:
    """Write a catalog for publication and return its manifest, which stands in MANIFEST.json too.

    The stars are ordered by HEALPix pixel in every format. Memory holds one partition at a time, at any number of
    stars (VOTable excepted). The folder `out` appears whole or not at all.

    Parameters
    ----------
    catalog : str or Path
        Folder or URI of a whole catalog.
    out : str or Path
        A local folder that is empty or not there.
    formats : sequence of str
        Any of `FORMATS`.
    sample : str
        One of `SAMPLES`.

    Raises
    ------
    UserError
        If the catalog is incomplete, none, or has no star of this sample; if a format or sample is not known; if
        `out` is occupied; or if the stars are too many for VOTable.
    """
    _check(out, formats, sample)
    fs, source = filesystem(catalog)
    paths, provenance = list_parts(fs, source)
    if provenance["kind"] != "catalog":
        raise UserError(f"{catalog}: holds {provenance['kind']}, not a catalog; make one with xpfeh catalog run")
    select = _select(sample)
    counts = count_stars(fs, paths, select)
    if (rows := int(counts.sum())) == 0:
        raise UserError(f"{catalog}: {_why_empty(fs, paths, sample)}")
    if "votable" in formats and rows > MAX_VOTABLE_ROWS:
        raise UserError(f"{rows:,} stars are too many for votable (at most {MAX_VOTABLE_ROWS:,}); take fits instead")
    schema = _schema(pq.read_schema(paths[0], filesystem=fs), provenance | {"sample": sample})
    target = Path(out).expanduser().absolute()
    folder = target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex}")
    try:
        spilled = folder / "spilled"
        spilled.mkdir(parents=True)
        stars = spill(fs, paths, select, counts, schema, spilled)
        release = _Release(folder, stars, schema, provenance, sample)
        chosen = {name: FORMATS[name] for name in formats}
        rows_of = {path: n for kind in chosen.values() for path, n in kind.write(release).items()}
        shutil.rmtree(spilled)
        _write_readme(release, chosen)
        manifest = {
            "sample": sample,
            "definition": SAMPLES[sample].definition,
            "rows": rows,
            "catalog_rows": sum(pq.read_metadata(path, filesystem=fs).num_rows for path in paths),
            "formats": list(chosen),
            "files": _files(folder, rows_of),
            "catalog": provenance,
            "published_by": code_version(),
        }
        (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _check(out: str | Path, formats: Sequence[str], sample: str) -> None:
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserError(f"no such format: {', '.join(unknown)}; choose of {', '.join(FORMATS)}")
    if not formats:
        raise UserError(f"no format asked for; choose of {', '.join(FORMATS)}")
    if sample not in SAMPLES:
        told = "; ".join(f"{name} ({known.definition})" for name, known in SAMPLES.items())
        raise UserError(f"no such sample: {sample}; choose of {told}")
    if "://" in str(out):
        raise UserError(f"{out}: publishing writes to a local folder; upload it from there")
    target = Path(out).expanduser()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{out} is there already; choose another folder, or empty it")


def _schema(columns: pa.Schema, provenance: dict[str, Any]) -> pa.Schema:
    """Return the catalog's columns, told of as `CATALOG` tells of them."""
    fields = [CATALOG.field(field.name) if field.name in CATALOG.names else field for field in columns]
    return pa.schema(fields, metadata={PROVENANCE_KEY: json.dumps(provenance).encode()})


def _select(sample: str) -> Select:
    chosen = SAMPLES[sample]

    def select(batch: pa.RecordBatch) -> NDArray[np.bool_]:
        passed = (batch["flags"].to_numpy() & np.uint32(chosen.refused)) == 0
        return passed & pc.is_valid(batch["FEH"]).to_numpy(zero_copy_only=False) if chosen.predicted else passed

    return select


def _why_empty(fs: pafs.FileSystem, paths: Sequence[str], sample: str) -> str:
    flags = np.concatenate(
        [pq.read_table(path, columns=["flags"], filesystem=fs)["flags"].to_numpy() for path in paths]
    )
    missed = np.count_nonzero(flags & np.uint32(Flag.CUT_NOT_EVALUATED))
    return (
        f"no star belongs to the sample {sample} ({SAMPLES[sample].definition}): of {flags.size:,} stars {missed:,} "
        "have cuts that could not be evaluated (flag CUT_NOT_EVALUATED: colour, excess factor or distance is missing)"
    )


def _files(folder: Path, rows_of: dict[Path, int]) -> list[dict[str, Any]]:
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told = {"path": str(path.relative_to(folder)), "bytes": path.stat().st_size, "sha256": file_fingerprint(path)}
        files.append(told | ({"rows": rows_of[path]} if path in rows_of else {}))
    return files


def _write_readme(release: _Release, chosen: dict[str, _Format]) -> None:
    files = [(kind.files, kind.explanation) for kind in chosen.values()]
    files += [("MANIFEST.json", "checksums, rows and origin of all files"), ("README.txt", "this file")]
    text_bytes = release.stars.text_bytes if "fits" in chosen else None
    text = readme(release.description, files, release.schema, text_bytes, release.provenance)
    (release.folder / "README.txt").write_text(text)


def _parquet(release: _Release) -> dict[Path, int]:
    (release.folder / "parquet").mkdir()
    told = release.provenance | {"sample": release.sample, "parts": len(release.stars.partitions)}
    schema = release.schema.with_metadata({PROVENANCE_KEY: json.dumps(told).encode()})
    rows = {}
    for number, table in enumerate(release.tables("parquet")):
        path = release.folder / "parquet" / f"part-{number:05d}.parquet"
        pq.write_table(table.cast(schema), path, compression="zstd")
        rows[path] = table.num_rows
    return rows


def _hats(release: _Release) -> dict[Path, int]:
    told = {"obs_title": TITLE, "obs_description": release.description, "bib_reference": REFERENCE}
    return write_hats(release.folder / "hats", release.stars, **told)


def _fits(release: _Release) -> dict[Path, int]:
    path, stars = release.folder / "catalog.fits", release.stars
    write_fits(path, release.schema, stars.rows, stars.text_bytes, release.tables("fits"), release.description)
    return {path: stars.rows}


def _votable(release: _Release) -> dict[Path, int]:
    path = release.folder / "catalog.vot"
    write_votable(path, release.schema, release.tables("votable"), release.description)
    return {path: release.stars.rows}


class _Format(NamedTuple):
    write: Callable[[_Release], dict[Path, int]]
    files: str
    explanation: str


FORMATS = {
    "parquet": _Format(_parquet, "parquet/*.parquet", "Parquet, in HEALPix order, units in the metadata"),
    "hats": _Format(_hats, "hats/", "HATS catalog for LSDB"),
    "fits": _Format(_fits, "catalog.fits", "FITS binary table"),
    "votable": _Format(_votable, "catalog.vot", "VOTable (BINARY2)"),
}
"""The formats of a published catalog."""
