"""Publish: a catalog to the formats that astronomers load, in the order of the sky."""

from __future__ import annotations

import json
import tempfile
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
from xpfeh.dataset.dataset import PROVENANCE_KEY, Dataset
from xpfeh.errors import UserError
from xpfeh.files import check_output_folder, digest, sha256_of, whole_folder
from xpfeh.fits_table import write_fits
from xpfeh.flags import OUTSIDE_PAPER_SAMPLE, Flag
from xpfeh.provenance import code_version
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
    _check(formats, sample)
    check_output_folder(out)
    dataset = Dataset.finished(catalog, "catalog")
    fs, records, provenance = dataset.fs, dataset.records(), dataset.plan.provenance()
    paths = [dataset.part(record.shard) for record in records]
    for record, path in track(list(zip(records, paths, strict=True)), "checking parts"):
        if digest(fs, path) != record.fingerprint:
            raise UserError(f"{path}: was changed after it was recorded; delete it, and run xpfeh catalog run again")
    select = _select(sample)
    counts = count_stars(fs, paths, select)
    if (rows := int(counts.sum())) == 0:
        raise UserError(f"{catalog}: {_why_empty(fs, paths, sample)}")
    if "votable" in formats and rows > MAX_VOTABLE_ROWS:
        raise UserError(f"{rows:,} stars are too many for votable (at most {MAX_VOTABLE_ROWS:,}); take fits instead")
    schema = _schema(pq.read_schema(paths[0], filesystem=fs), provenance | {"sample": sample})
    with whole_folder(out) as folder, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".spilled.") as spilled:
        stars = spill(fs, paths, select, counts, schema, Path(spilled))
        release = _Release(folder, stars, schema, provenance, sample)
        chosen = {name: FORMATS[name] for name in formats}
        rows_of = {path: n for kind in chosen.values() for path, n in kind.write(release).items()}
        _write_readme(release, chosen)
        manifest = {
            "sample": sample,
            "definition": SAMPLES[sample].definition,
            "rows": rows,
            "catalog_rows": sum(record.rows_written for record in records),
            "formats": list(chosen),
            "files": _files(folder, rows_of),
            "catalog": provenance,
            "catalog_made_by": _distinct([record.made_by for record in records]),
            "published_by": code_version(),
        }
        (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _distinct(versions: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return each version of the code that made some of the parts, once."""
    return [version for i, version in enumerate(versions) if version not in versions[:i]]


def _check(formats: Sequence[str], sample: str) -> None:
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserError(f"no such format: {', '.join(unknown)}; choose of {', '.join(FORMATS)}")
    if not formats:
        raise UserError(f"no format asked for; choose of {', '.join(FORMATS)}")
    if sample not in SAMPLES:
        told = "; ".join(f"{name} ({known.definition})" for name, known in SAMPLES.items())
        raise UserError(f"no such sample: {sample}; choose of {told}")


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
        told = {"path": str(path.relative_to(folder)), "bytes": path.stat().st_size, "sha256": sha256_of(path)}
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
