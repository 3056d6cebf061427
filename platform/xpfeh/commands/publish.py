"""Publish a catalog in the formats that astronomers load, in HEALPix order."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from xpfeh.catalog.formats import FORMATS, Publication
from xpfeh.catalog.readme import TITLE, describe_catalog, readme
from xpfeh.catalog.samples import SAMPLES, CatalogSample
from xpfeh.catalog.sky_order import count_stars, spill
from xpfeh.catalog.zenodo import zenodo_json
from xpfeh.columns import CATALOG, PROVENANCE_KEY
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.records import Record
from xpfeh.errors import UserError
from xpfeh.files import check_output_folder, local_path, sha256_of, whole_folder
from xpfeh.flags import Flag
from xpfeh.provenance import code_version
from xpfeh.tables.votable import MAX_VOTABLE_ROWS

ZENODO = "zenodo.json"
_REPORT = "report"
_METRICS = "metrics.json"  # of every report; importing xpfeh.evaluate.report would load Matplotlib


class PublishedFile(TypedDict):
    """A file of a release, as MANIFEST.json lists it; ``rows`` only if it holds stars."""

    path: str
    bytes: int
    sha256: str
    rows: NotRequired[int]


class Manifest(TypedDict):
    """Contents and origin of a release, in MANIFEST.json.

    ``files`` has the path, bytes and SHA-256 of each file but itself, and the rows of those with stars; ``catalog`` the
    plan of the catalog and, in ``made_by``, each version of the code that made any of its parts.
    """

    sample: str
    definition: str
    rows: int
    catalog_rows: int
    formats: list[str]
    files: list[PublishedFile]
    catalog: dict[str, object]
    published_by: dict[str, str]


def publish(
    catalog: str | Path,
    out: str | Path,
    formats: Sequence[str],
    sample: str = "all",
    report: str | Path | None = None,
) -> Manifest:
    """Write a catalog for publication and return its manifest.

    The stars are ordered by HEALPix pixel in every format. Memory holds one partition at a time, at any number of
    stars (VOTable excepted). The folder `out` appears whole or not at all. Every recorded part is compared with its
    record's digest first; other files in the catalog's folder are not read.

    Parameters
    ----------
    catalog : str or Path
        Folder or URI of a whole catalog.
    out : str or Path
        A local folder that is empty or does not exist.
    formats : sequence of str
        Any of `xpfeh.catalog.formats.FORMATS`.
    sample : str
        One of `xpfeh.catalog.samples.SAMPLES`.
    report : str or Path, optional
        A report on the model, as `xpfeh validate` writes it: it becomes part of the release.

    Raises
    ------
    UserError
        If the catalog is invalid, lacks a part, has a changed part, holds a star twice, or has no star of this sample;
        if a format or sample is unknown; if `out` is occupied or not local; if `report` is invalid or on another model;
        or if there are too many stars for VOTable.
    """
    chosen = _sample_named(sample)
    report_files = _report_files(report) if report is not None else {}  # listed first: `out` may be inside the report
    writers = {name: FORMATS[name] for name in _check_formats(formats)}
    check_output_folder(out)
    dataset = Dataset.finished(catalog, "catalog")
    if report is not None:
        _check_model(report, dataset.plan.model)
    dataset.check_parts()
    records = dataset.records()
    fs, paths = dataset.fs, [dataset.part(record.shard) for record in records]
    made_by = _code_versions(records)
    catalog_provenance = dataset.plan.provenance() | {"made_by": made_by}

    counts = count_stars(fs, paths, chosen.holds)
    rows = int(counts.sum())
    if not rows:
        raise UserError(f"{catalog}: {_why_empty(fs, paths, chosen)}")
    if "votable" in writers and rows > MAX_VOTABLE_ROWS:
        raise UserError(f"{rows:,} stars are too many for votable (at most {MAX_VOTABLE_ROWS:,}); use fits instead")

    provenance = catalog_provenance | {"sample": sample}
    schema = _schema(pq.read_schema(paths[0], filesystem=fs), provenance)
    description = describe_catalog(rows, chosen, dataset.plan.model, made_by)
    # Temporary files are on the disk of `out`: it must have room for the catalog anyway, and /tmp may not.
    with whole_folder(out) as folder, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".spilled.") as spilled:
        stars = spill(fs, paths, chosen.holds, counts, schema, Path(spilled))
        publication = Publication(folder, stars, schema, provenance, description)
        rows_of_file: dict[Path, int] = {}
        for writer in writers.values():
            rows_of_file |= writer.write(publication)
        files = [(writer.files, writer.explanation) for writer in writers.values()]
        if report_files:
            files.append((f"{_REPORT}/index.html", "how good the model is, on stars held out from it"))
            _copy(report_files, folder / _REPORT)
        (folder / ZENODO).write_text(zenodo_json(TITLE, description, dataset.plan.model))
        files += [
            (ZENODO, "metadata for a deposit at Zenodo"),
            ("MANIFEST.json", "checksums, rows and origin of all files"),
            ("README.txt", "this file"),
        ]
        text_bytes = stars.text_bytes if "fits" in writers else None
        (folder / "README.txt").write_text(readme(description, files, schema, text_bytes, catalog_provenance))
        manifest = Manifest(
            sample=sample,
            definition=chosen.definition,
            rows=rows,
            catalog_rows=sum(record.rows_written for record in records),
            formats=list(writers),
            files=_files(folder, rows_of_file),
            catalog=catalog_provenance,
            published_by=code_version(),
        )
        (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _check_formats(formats: Sequence[str]) -> Sequence[str]:
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserError(f"no such format: {', '.join(unknown)}; choose from {', '.join(FORMATS)}")
    if not formats:
        raise UserError(f"no format given; choose from {', '.join(FORMATS)}")
    return formats


def _sample_named(name: str) -> CatalogSample:
    if name not in SAMPLES:
        known = "; ".join(f"{sample.name} ({sample.definition})" for sample in SAMPLES.values())
        raise UserError(f"no such sample: {name}; choose from {known}")
    return SAMPLES[name]


def _report_files(report: str | Path) -> dict[str, Path]:
    """Return the files of a report by their paths in it."""
    folder = local_path(report)
    if not (folder / _METRICS).is_file():
        raise UserError(
            f"{report}: not a report (no {_METRICS}); name the folder that xpfeh validate --out wrote, or, for several "
            "models, one of its subfolders"
        )
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def _check_model(report: str | Path, model: str) -> None:
    """Refuse a report that does not judge the catalog's model."""
    try:
        models = json.loads((local_path(report) / _METRICS).read_text())["made_from"]["models"]
        judged = next(iter(models.values()))  # the first, which figures show
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise UserError(f"{report}: its {_METRICS} names no model; rerun xpfeh validate") from None
    if model not in judged:
        raise UserError(f"{report}: judges {', '.join(judged)}; the catalog was made by {model}")


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


def _code_versions(records: Sequence[Record]) -> list[dict[str, str]]:
    """Return each version of the code that made any of the parts, once."""
    return list({json.dumps(record.made_by): record.made_by for record in records}.values())


def _schema(columns: pa.Schema, provenance: Mapping[str, object]) -> pa.Schema:
    """Return the catalog's columns, described as `CATALOG` describes them now."""
    fields = [CATALOG.field(field.name) if field.name in CATALOG.names else field for field in columns]
    return pa.schema(fields, metadata={PROVENANCE_KEY: json.dumps(provenance).encode()})


def _why_empty(fs: pafs.FileSystem, paths: Sequence[str], sample: CatalogSample) -> str:
    stars = not_evaluated = 0
    for path in paths:
        flags = pq.read_table(path, columns=["flags"], filesystem=fs)["flags"].to_numpy()
        stars += flags.size
        not_evaluated += int(np.count_nonzero(flags & np.uint32(Flag.CUT_NOT_EVALUATED)))
    return (
        f"no star is in the sample {sample.name} ({sample.definition}): of {stars:,} stars {not_evaluated:,} "
        "may be giants or dwarfs (flag CUT_NOT_EVALUATED: neither M_G nor LOGG is known)"
    )


def _files(folder: Path, rows_of_file: Mapping[Path, int]) -> list[PublishedFile]:
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        entry: PublishedFile = {
            "path": str(path.relative_to(folder)),
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
        if path in rows_of_file:
            entry["rows"] = rows_of_file[path]
        files.append(entry)
    return files
