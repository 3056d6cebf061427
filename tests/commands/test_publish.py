import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from astropy.io.votable import parse, validate
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from hats import read_hats
from hats.io import pixel_catalog_file
from hats.io.validation import is_valid_collection
from hats.pixel_math.spatial_index import compute_spatial_index
from xpfeh.catalog import formats as formats_module
from xpfeh.catalog import sky_order
from xpfeh.catalog.formats import FORMATS
from xpfeh.catalog.sky_order import COUNT_ORDER, Partition, divide
from xpfeh.columns import CATALOG, PROVENANCE_KEY
from xpfeh.commands import publish as publish_module
from xpfeh.commands.publish import publish
from xpfeh.dataset import dataset as dataset_module
from xpfeh.dataset import repeated_ids
from xpfeh.errors import UserError
from xpfeh.evaluate.report import METRICS
from xpfeh.flags import Flag
from xpfeh.provenance import code_version

from tests.catalog.made_catalogs import STARS, made_up_stars, write_catalog

MOST = 250


@pytest.fixture(scope="module")
def stars() -> pa.Table:
    return made_up_stars()


@pytest.fixture(scope="module")
def catalog(stars: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("made") / "catalog", stars)


@pytest.fixture(scope="module")
def published(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog in all formats, in partitions of at most `MOST` stars, routed in many small pieces."""
    out = tmp_path_factory.mktemp("published") / "release"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sky_order, "MAX_ROWS", MOST)
        patch.setattr(sky_order, "_BUFFER_ROWS", 700)
        patch.setattr(sky_order, "_BATCH_ROWS", 300)
        publish(catalog, out, list(FORMATS))
    return out


def assert_same_stars(found: dict[str, np.ndarray], stars: pa.Table) -> None:
    """Each star once, each value the same to the bit, null being NaN."""
    order, expected_order = np.argsort(found["source_id"]), np.argsort(stars["source_id"].to_numpy())
    assert list(found) == stars.column_names
    for name in stars.column_names:
        expected = stars[name].to_numpy()[expected_order]
        np.testing.assert_array_equal(found[name][order].astype(expected.dtype), expected, err_msg=name)


def unwrapped(path: Path) -> str:
    """A text file with its lines joined."""
    return " ".join(path.read_text().split())


def parquet_parts(published: Path) -> list[Path]:
    return sorted((published / "parquet").glob("*.parquet"))


def test_parquet_holds_every_star_once_in_the_order_of_the_sky(published: Path, stars: pa.Table) -> None:
    tables = [pq.read_table(path) for path in parquet_parts(published)]
    assert max(len(table) for table in tables) <= MOST
    together = pa.concat_tables(tables)
    pixels = compute_spatial_index(together["ra"].to_numpy(), together["dec"].to_numpy())
    assert np.all(np.diff(pixels) >= 0)
    assert together.sort_by("source_id").equals(stars.sort_by("source_id"))
    for field in tables[0].schema:
        assert field.metadata == CATALOG.field(field.name).metadata
        assert field.nullable == CATALOG.field(field.name).nullable
    assert [path.name for path in parquet_parts(published)] == [f"part-{i:05d}.parquet" for i in range(len(tables))]
    read = pads.dataset(published / "parquet").to_table()
    provenance = json.loads(read.schema.metadata[PROVENANCE_KEY])
    assert read.equals(together)
    assert (provenance["model"], provenance["sample"]) == ("m-1", "all")


def test_partitions_are_the_largest_pixels_that_hold_few_enough_stars() -> None:
    counts = np.zeros(12 * 4**COUNT_ORDER, dtype=np.int64)
    whole = 4**COUNT_ORDER
    counts[[0, 1, whole - 1]] = [6, 5, 4]
    counts[5 * whole] = 99
    counts[7 * whole + 3] = 10
    deep = Partition(COUNT_ORDER, 5 * whole, 99)
    expected = [
        Partition(COUNT_ORDER, 0, 6),
        Partition(COUNT_ORDER, 1, 5),
        Partition(1, 3, 4),
        deep,
        Partition(0, 7, 10),
    ]
    assert divide(counts, 10) == expected


def test_hats_is_valid_and_keeps_units(published: Path, stars: pa.Table) -> None:
    assert is_valid_collection(published / "hats", strict=True, verbose=False)
    collection = read_hats(published / "hats")
    found = collection.main_catalog
    assert found.catalog_info.catalog_name == "xpfeh"
    assert found.catalog_info.total_rows == STARS
    assert collection.get_margin_thresholds() == {"xpfeh_10arcs": 10.0}
    pixels = found.get_healpix_pixels()
    assert len({pixel.order for pixel in pixels}) > 1
    for pixel in pixels:
        path = Path(str(pixel_catalog_file(published / "hats" / "xpfeh", pixel)))
        schema = pq.read_schema(path)
        assert schema.field("FEH").metadata == CATALOG.field("FEH").metadata
        assert PROVENANCE_KEY in schema.metadata
        own = pq.read_table(path, columns=["_healpix_29"], partitioning=None)["_healpix_29"].to_numpy()
        assert np.all(own >> 2 * (29 - pixel.order) == pixel.pixel)
        assert np.all(np.diff(own) >= 0)
    assert found.schema.field("rgeo").metadata[b"unit"] == b"pc"


def test_fits_opens_in_astropy(published: Path, stars: pa.Table) -> None:
    with fits.open(published / "catalog.fits") as file:
        file.verify("exception")
        assert len(file) == 2
        header, data = file[1].header, file[1].data
        assert_same_stars({name: np.asarray(data[name]) for name in data.names}, stars)
        assert np.all(np.diff(compute_spatial_index(data["ra"], data["dec"])) >= 0)
        for number, field in enumerate(CATALOG, start=1):
            metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
            assert header[f"TTYPE{number}"] == field.name
            assert header[f"TUCD{number}"] == metadata["ucd"]
            assert header[f"TCOMM{number}"].startswith(metadata["description"])
            if metadata["unit"] == "dex":
                assert header[f"TCOMM{number}"].endswith("[dex]")
            else:
                assert header.get(f"TUNIT{number}", "") == metadata["unit"]
    assert (published / "catalog.fits").stat().st_size % 2880 == 0
    assert Table.read(published / "catalog.fits")["rgeo"].unit == units.pc


def test_votable_opens_in_astropy(published: Path, stars: pa.Table) -> None:
    path = published / "catalog.vot"
    assert validate(path, output=None)
    table = parse(path, verify="exception").get_first_table()
    assert_same_stars({field.name: np.ma.getdata(table.array[field.name]) for field in table.fields}, stars)
    assert "3,000 stars" in table.description
    for field, ours in zip(table.fields, CATALOG, strict=True):
        assert field.ucd == ours.metadata[b"ucd"].decode()
        assert " ".join(field.description.split()) == ours.metadata[b"description"].decode()
        assert str(field.unit or "") == ours.metadata[b"unit"].decode()


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")
def test_votlint_finds_nothing(published: Path) -> None:
    done = subprocess.run(["stilts", "votlint", str(published / "catalog.vot")], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_manifest_names_every_file(published: Path) -> None:
    manifest = json.loads((published / "MANIFEST.json").read_text())
    assert (manifest["sample"], manifest["rows"], manifest["catalog_rows"]) == ("all", STARS, STARS)
    assert manifest["catalog"]["model"] == "m-1"
    assert manifest["catalog"]["made_by"] == [code_version()]
    assert manifest["published_by"] == code_version()
    there = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    assert {file["path"] for file in manifest["files"]} == there - {"MANIFEST.json"}
    rows: dict[str, int] = {}
    for file in manifest["files"]:
        data = (published / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        kind = file["path"].split("/")[0] if "10arcs" not in file["path"] else "margin"
        rows[kind] = rows.get(kind, 0) + file.get("rows", 0)
    assert 0 < rows.pop("margin") < STARS / 10
    whole = ["catalog.fits", "catalog.vot", "cds", "hats", "parquet"]
    assert rows == {"README.txt": 0, "zenodo.json": 0} | dict.fromkeys(whole, STARS)


def test_the_readme_has_the_bytes_of_the_fits_file(published: Path) -> None:
    text = (published / "README.txt").read_text()
    with fits.open(published / "catalog.fits") as file:
        dtype = file[1].data.dtype
        formats = {column.name: column.format for column in file[1].columns}
    found = {
        label: (int(first), int(last), code)
        for first, last, code, label in re.findall(r"^ *(\d+)- *(\d+) (\w+) +\S+ +(\w+) ", text, re.MULTILINE)
    }
    expected = {}
    for name, (kind, start, *_) in dtype.fields.items():
        expected[name] = (start + 1, start + kind.itemsize, formats[name])
    assert found == expected
    assert all(flag.name in text for flag in Flag)
    assert "Yang et al. 2025" in text


def test_the_release_names_the_code_that_made_the_parts(published: Path) -> None:
    made_by = f"xpfeh {code_version()['xpfeh']} (commit {code_version()['commit']})"
    assert f"by the model m-1 with {made_by}" in unwrapped(published / "README.txt")
    with fits.open(published / "catalog.fits") as file:
        assert made_by in "".join(file[1].header["HISTORY"])
    schema = pq.read_schema(parquet_parts(published)[0])
    assert json.loads(schema.metadata[PROVENANCE_KEY])["made_by"] == [code_version()]


def test_the_release_names_every_version_of_the_code_that_made_parts(
    stars: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that were resumed under newer code: each version is named once, in the order of the parts."""
    old = {"xpfeh": "0.0.9", "commit": "aaa", "numpy": "2.1"}
    versions = [old, old | {"numpy": "2.2"}, old, {"xpfeh": "0.1.0", "commit": "bbb", "numpy": "2.2"}]
    monkeypatch.setattr(dataset_module, "code_version", iter(versions).__next__)
    manifest = publish(write_catalog(tmp_path / "catalog", stars), tmp_path / "out", ["parquet"])
    assert manifest["catalog"]["made_by"] == [versions[0], versions[1], versions[3]]
    expected = "several versions of xpfeh, each for some of the stars: 0.0.9 (commit aaa) and 0.1.0 (commit bbb)."
    assert expected in unwrapped(tmp_path / "out" / "README.txt")


def test_without_fits_the_readme_lists_columns(catalog: Path, tmp_path: Path) -> None:
    publish(catalog, tmp_path / "out", ["parquet"])
    text = (tmp_path / "out" / "README.txt").read_text()
    assert "Byte-by-byte" not in text
    assert all(name in text for name in CATALOG.names)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["MANIFEST.json", "README.txt", "parquet", "zenodo.json"]


@pytest.mark.parametrize("sample", ["good", "paper"])
def test_a_sample_holds_the_stars_that_passed_its_cuts(
    catalog: Path, stars: pa.Table, tmp_path: Path, sample: str
) -> None:
    manifest = publish(catalog, tmp_path / "out", ["parquet"], sample)
    table = pa.concat_tables(pq.read_table(path) for path in parquet_parts(tmp_path / "out"))
    passed = ((stars["flags"].to_numpy() & 0b1111_1100) == 0) & ~np.isnan(stars["FEH"].to_numpy())
    belongs = stars["good"].to_numpy() if sample == "good" else passed
    assert sorted(table["source_id"].to_pylist()) == sorted(stars["source_id"].to_numpy()[belongs])
    assert manifest["rows"] == belongs.sum() < manifest["catalog_rows"]
    assert manifest["definition"] in unwrapped(tmp_path / "out" / "README.txt")


def test_a_sample_without_stars_says_why(stars: pa.Table, tmp_path: Path) -> None:
    flags = np.full(STARS, Flag.CUT_NOT_EVALUATED, np.uint32)
    folder = write_catalog(tmp_path / "catalog", with_values(stars, flags=flags))
    with pytest.raises(
        UserError, match=r"no star is in the sample paper .* of 3,000 stars 3,000 may be giants or dwarfs"
    ):
        publish(folder, tmp_path / "out", ["fits"], "paper")
    assert not (tmp_path / "out").exists()


def test_a_report_is_in_the_release(catalog: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    (report / "pictures").mkdir(parents=True)
    for name in ("index.html", METRICS, "stars.parquet", "pictures/predicted.png"):
        (report / name).write_text(json.dumps({"made_from": {"models": {"best": ["m-1"]}}}))
    out = report / "release"  # even inside of it
    manifest = publish(catalog, out, ["parquet"], report=report)
    files = {file["path"]: file["sha256"] for file in manifest["files"] if file["path"].startswith("report/")}
    assert files == {
        f"report/{name}": hashlib.sha256((report / name).read_bytes()).hexdigest()
        for name in ("index.html", METRICS, "pictures/predicted.png", "stars.parquet")
    }
    assert all((out / path).is_file() for path in files)
    assert "report/index.html" in (out / "README.txt").read_text()


def test_a_folder_without_a_report_is_refused(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").touch()
    with pytest.raises(UserError, match=r"not a report \(no metrics.json\); name the folder that xpfeh validate"):
        publish(catalog, tmp_path / "out", ["parquet"], report=tmp_path)
    for content, complaint in (
        ("{", "names no model"),
        ('{"looks": 1}', "names no model"),
        ('{"made_from": {"models": {"best": ["m-2"], "other": ["m-1"]}}}', "judges m-2; the catalog was made by m-1"),
    ):
        (tmp_path / METRICS).write_text(content)
        with pytest.raises(UserError, match=complaint):
            publish(catalog, tmp_path / "out", ["parquet"], report=tmp_path)
    with pytest.raises(UserError, match=r"s3://bucket/report: must be a local path"):
        publish(catalog, tmp_path / "out", ["parquet"], report="s3://bucket/report")
    assert not (tmp_path / "out").exists()


def test_zenodo_knows_the_release(published: Path) -> None:
    metadata = json.loads((published / "zenodo.json").read_text())["metadata"]
    assert "3,000 stars" in metadata["description"]
    assert (metadata["upload_type"], metadata["version"]) == ("dataset", "m-1")


def with_values(table: pa.Table, **columns: np.ndarray) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), CATALOG.field(name), pa.array(values))
    return table


def test_an_incomplete_catalog_is_refused(stars: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 4 parts are missing .*first: part-00003"):
        publish(write_catalog(tmp_path / "incomplete", stars, parts=3), tmp_path / "out", ["fits"])
    with pytest.raises(UserError, match="holds a dataset of kind features, not catalog"):
        publish(write_catalog(tmp_path / "features", stars, kind="features"), tmp_path / "out", ["fits"])
    with pytest.raises(UserError, match="not an xpfeh dataset"):
        publish(tmp_path, tmp_path / "out", ["fits"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shift", [0.0, 0.001, 90.0], ids=["same position", "same partition", "far away"])
def test_a_star_that_is_there_twice_is_refused(stars: pa.Table, tmp_path: Path, shift: float) -> None:
    ids, ra, dec = (stars[name].to_numpy().copy() for name in ("source_id", "ra", "dec"))
    ids[-1], ra[-1], dec[-1] = ids[0], (ra[0] + shift) % 360, dec[0]
    catalog = write_catalog(tmp_path / "twice", with_values(stars, source_id=ids, ra=ra, dec=dec))
    with pytest.raises(UserError, match=f"source_id {ids[0]} is in the catalog twice"):
        publish(catalog, tmp_path / "out", ["fits"])
    assert [path.name for path in tmp_path.iterdir()] == ["twice"]


def test_identifiers_are_compared_some_at_a_time(
    stars: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_ids, "_IN_MEMORY", 100)
    assert publish(write_catalog(tmp_path / "catalog", stars), tmp_path / "out", ["parquet"])["rows"] == STARS
    ids = stars["source_id"].to_numpy().copy()
    ids[-1] = ids[0]
    with pytest.raises(UserError, match=f"source_id {ids[0]} is in the catalog twice"):
        publish(write_catalog(tmp_path / "twice", with_values(stars, source_id=ids)), tmp_path / "new", ["parquet"])


def replaced_by_another(part: Path) -> None:
    """A valid part, with other values."""
    table = pq.read_table(part)
    pq.write_table(with_values(table, FEH=table["FEH"].to_numpy() + np.float32(0.01)), part)


def with_a_byte_changed(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (with_a_byte_changed, r"part-00002\.parquet: was changed after it was recorded"),
        (replaced_by_another, r"(was changed|not of their recorded size).*"),
        (lambda part: part.write_bytes(part.read_bytes() + b"x"), r"1 of 4 parts are missing or not of .* part-00002"),
        (Path.unlink, r"1 of 4 parts are missing or not of .* part-00002"),
        (lambda part: part.rename(part.with_name("mine.parquet")), r"1 of 4 parts are missing or not of .* part-00002"),
    ],
    ids=["byte", "values", "size", "gone", "renamed"],
)
def test_a_part_that_is_not_the_recorded_one_is_refused(
    stars: pa.Table, tmp_path: Path, alter: Callable[[Path], object], message: str
) -> None:
    catalog = write_catalog(tmp_path / "catalog", stars)
    alter(catalog / "part-00002.parquet")
    with pytest.raises(UserError, match=message):
        publish(catalog, tmp_path / "out", ["parquet"])
    assert not (tmp_path / "out").exists()


def test_other_files_next_to_the_parts_are_not_published(stars: pa.Table, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", stars)
    part = catalog / "part-00000.parquet"
    shutil.copy(part, catalog / "part-00004.parquet")
    shutil.copy(part, catalog / "selected.parquet")
    (catalog / "junk.parquet").write_text("no Parquet")
    record = catalog / "_xpfeh" / "done" / "part-00000.json"
    shutil.copy(record, record.with_name("part-00000 (copy).json"))
    manifest = publish(catalog, tmp_path / "out", ["parquet"])
    assert manifest["rows"] == manifest["catalog_rows"] == STARS
    published = pads.dataset(tmp_path / "out" / "parquet").to_table()
    assert published.sort_by("source_id").equals(stars.sort_by("source_id"))


def test_a_format_asked_for_twice_is_written_once(catalog: Path, tmp_path: Path) -> None:
    assert publish(catalog, tmp_path / "out", ["fits", "fits"])["formats"] == ["fits"]


def test_mistakes_are_named(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such format: csv, doc; choose from parquet, hats, fits, votable, cds"):
        publish(catalog, tmp_path / "out", ["fits", "csv", "doc"])
    with pytest.raises(UserError, match="no format given"):
        publish(catalog, tmp_path / "out", [])
    with pytest.raises(UserError, match=r"no such sample: dwarfs; choose from all \(.*good \(.*paper \("):
        publish(catalog, tmp_path / "out", ["fits"], "dwarfs")
    with pytest.raises(UserError, match=r"s3://bucket/out: must be a local path"):
        publish(catalog, "s3://bucket/out", ["fits"])
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "file").touch()
    with pytest.raises(UserError, match="occupied: holds other files"):
        publish(catalog, tmp_path / "occupied", ["fits"])
    with pytest.raises(UserError, match="is a file; name a folder"):
        publish(catalog, tmp_path / "occupied" / "file", ["fits"])
    with pytest.raises(UserError, match="cannot be written"):
        publish(catalog, tmp_path / "occupied" / "file" / "out", ["fits"])
    monkeypatch.setattr(publish_module, "MAX_VOTABLE_ROWS", STARS - 1)
    with pytest.raises(UserError, match=r"3,000 stars are too many for votable .* use fits"):
        publish(catalog, tmp_path / "out", ["votable"])
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def test_a_failure_midway_leaves_nothing(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(*args: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(formats_module, "write_fits", breaks_off)
    with pytest.raises(OSError, match="disk"):
        publish(catalog, tmp_path / "out", ["parquet", "fits"])
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_published_into(catalog: Path, tmp_path: Path) -> None:
    publish(catalog, tmp_path, ["fits"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["MANIFEST.json", "README.txt", "catalog.fits", "zenodo.json"]


@pytest.mark.parametrize("field", CATALOG, ids=lambda field: field.name)
def test_every_column_has_a_valid_ucd(field: pa.Field) -> None:
    assert check_ucd(field.metadata[b"ucd"].decode(), check_controlled_vocabulary=True)
