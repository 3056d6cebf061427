"""Tables of every format in and out, and unusual files of users."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table
from astropy.units import Unit
from xpfeh.columns import PROVENANCE_KEY, made_by
from xpfeh.errors import UserError
from xpfeh.tables.checks import check_range, numbers, require, truths, with_source_id
from xpfeh.tables.formats import READERS
from xpfeh.tables.reading import MISSING, read_stars, read_table
from xpfeh.tables.writing import WRITABLE, check_format, write_table

BIG = 6_917_521_541_514_092_417  # odd and beyond 2^53: a float would change it
MADE_BY = '{"model": "paper-1", "settings": {"dust_map": "sfd", "release": "dr3", "bases": "gaiaxpy"}}'
STARS = Table(
    {
        "source_id": np.array([BIG, 5]),
        "ra": np.array([0.1, 359.25]),
        "feh": MaskedColumn([-2.5, 0.0], mask=[False, True]),
        "name": ["HD 1", "Ä 2"],
        "flux": np.ones((2, 3)),
    }
)


def write_hdf5(table: Table, path: Path) -> None:
    with h5py.File(path, "w", track_order=True) as file:
        for name in table.colnames:
            values = table[name].filled(np.nan) if name == "feh" else table[name]
            file[name] = values.tolist() if name == "name" else values


WRITE: dict[str, Callable[[Table, Path], None]] = {
    ".parquet": lambda table, path: pl.DataFrame(
        {name: [None if v is np.ma.masked else v for v in table[name]] for name in ("source_id", "ra", "feh", "name")}
    ).write_parquet(path),
    ".csv": lambda table, path: table["source_id", "ra", "feh", "name"].write(path, format="ascii.csv"),
    ".tsv": lambda table, path: table["source_id", "ra", "feh", "name"].write(path, format="ascii.tab"),
    ".ecsv": lambda table, path: table.write(path, format="ascii.ecsv"),
    ".fits": lambda table, path: table.write(path, format="fits"),
    ".vot": lambda table, path: table.write(path, format="votable"),
    ".xml": lambda table, path: table.write(path, format="votable", tabledata_format="binary2"),
    ".h5": write_hdf5,
}


def written(folder: Path, suffix: str) -> Path:
    table = STARS.copy()
    if suffix == ".fits":  # which holds only ASCII
        table["name"] = ["HD 1", "A 2"]
    WRITE[suffix](table, folder / f"stars{suffix}")
    return folder / f"stars{suffix}"


# --- every format -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", "gzip", "gzip without the suffix"])
@pytest.mark.parametrize("suffix", WRITE)
def test_every_format_is_read_alike(tmp_path: Path, suffix: str, packed: str) -> None:
    path = written(tmp_path, suffix)
    if packed:
        content = gzip.compress(path.read_bytes())
        path = path.with_name(path.name + ".gz") if packed == "gzip" else path
        path.write_bytes(content)
    frame = read_table(path)
    assert frame.columns == ["source_id", "ra", "feh", "name"]
    assert frame["name"].to_list() == ["HD 1", "A 2" if suffix == ".fits" else "Ä 2"]
    stars = read_stars(str(path), ["ra"], ["feh", "pmra"])
    assert stars.schema == {"source_id": pl.Int64, "ra": pl.Float64, "feh": pl.Float64, "pmra": pl.Float64}
    assert stars.rows() == [(BIG, 0.1, -2.5, None), (5, 359.25, None, None)]


@pytest.mark.parametrize("suffix", WRITE)
def test_columns_may_be_chosen(tmp_path: Path, suffix: str) -> None:
    assert read_table(written(tmp_path, suffix), ["feh", "ra", "none"]).columns == ["ra", "feh"]


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_columns_that_are_not_requested_are_not_in_memory(tmp_path: Path, suffix: str) -> None:
    wide, path = np.random.default_rng(0).random(1_000_000), tmp_path / f"stars{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["source_id"], file["wide"] = np.array([BIG]), wide
    else:
        pl.DataFrame({"source_id": np.full(len(wide), BIG), "wide": wide}).write_parquet(path)
    tracemalloc.start()
    assert read_table(path, ["source_id"])["source_id"][0] == BIG
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < wide.nbytes / 4


def test_every_suffix_has_a_file_here() -> None:
    assert set(READERS) - set(WRITE) == {".txt", ".tab", ".dat", ".fit", ".votable", ".hdf5"}


@pytest.mark.parametrize("suffix", WRITABLE)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    schema = pa.schema(
        [
            pa.field("source_id", pa.int64(), nullable=False),
            pa.field("feh", pa.float64(), metadata={"unit": "dex", "description": "[Fe/H]"}),
            pa.field("flags", pa.uint32(), nullable=False),
            pa.field("good", pa.bool_(), nullable=False),
            pa.field("name", pa.string()),
        ]
    )
    parts = [pa.table([[BIG + i], [None if i else 0.1], [2**32 - 1], [i > 0], ["HD 1"]], schema=schema) for i in (0, 1)]
    path = tmp_path / "new" / f"stars{suffix}"
    parts = [part.replace_schema_metadata({PROVENANCE_KEY: MADE_BY}) for part in parts]
    assert write_table(path, iter(parts)) == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert read_stars(path, ["feh", "flags"]).rows() == [(BIG, 0.1, 2**32 - 1), (BIG + 1, None, 2**32 - 1)]
    assert read_table(path, ["name"])["name"].to_list() == ["HD 1", "HD 1"]
    assert truths(read_table(path), "good", path).to_list() == [False, True]
    if suffix == ".parquet":
        assert pq.read_schema(path).metadata[PROVENANCE_KEY].decode() == MADE_BY
    if suffix == ".fits":
        header = fits.getheader(path, 1)
        assert (header["MODEL"], json.loads(header["SETTINGS"])["dust_map"]) == ("paper-1", "sfd")
        assert header["TFORM4"] == "L"
        assert Table.read(path)["good"].tolist() == [False, True]
    if suffix == ".vot":
        infos = {info.name: info.value for info in votable.parse(path).get_first_table().infos}
        assert (infos["model"], json.loads(infos["settings"])["dust_map"]) == ("paper-1", "sfd")
    if suffix == ".ecsv":
        assert Table.read(path).meta["model"] == "paper-1"


def test_wavelengths_are_in_every_header(tmp_path: Path) -> None:
    schema = pa.schema([("source_id", pa.int64()), ("slopes", pa.list_(pa.float32(), 2))])
    schema = schema.with_metadata({PROVENANCE_KEY: json.dumps({"model": "best-1", "wave_nm": [336.0, 338.5]})})
    stars = pa.table([[BIG], [[0.5, -0.25]]], schema=schema)
    for suffix in (".parquet", ".fits", ".vot", ".ecsv"):
        path = tmp_path / f"stars{suffix}"
        assert write_table(path, [stars]) == 1
        if suffix == ".parquet":
            assert made_by(pq.read_schema(path))["wave_nm"] == [336.0, 338.5]
        elif suffix == ".vot":
            first = votable.parse(path).get_first_table()
            assert first.infos[1].value == "[336.0, 338.5]"
            assert first.to_table()["slopes"][0].tolist() == [0.5, -0.25]
        else:
            table = Table.read(path)
            assert {**table.meta}.get("wave_nm", table.meta.get("WAVE_NM")) == [336.0, 338.5]
            assert table["slopes"][0].tolist() == [0.5, -0.25]


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    lists = pa.table({"flux": pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2))})
    with pytest.raises(UserError, match=r"CSV cannot hold the columns flux; choose \.parquet, \.fits, \.vot, \.ecsv"):
        write_table(tmp_path / "stars.csv", [lists])
    for suffix in WRITABLE:
        with pytest.raises(UserError, match="nothing to write"):
            write_table(tmp_path / f"stars{suffix}", [])
    with pytest.raises(UserError, match=r"choose \.parquet, \.fits, \.vot, \.ecsv, \.csv"):
        check_format(tmp_path / "stars.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_format(tmp_path / "folder.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["folder.csv"]


# --- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n",
        b"a,b\r\n1,x\r\n2,y\r\n",
        b"a,b\r1,x\r2,y",
        b"\xef\xbb\xbfa,b\n1,x\n2,y",
        b"#comment, with commas\n\n# another\na,b\n1,x\n\n#within\n2,y\n\n \n",
        b"a;b\n1;x\n2;y\n",
        b"a|b\n1|x\n2|y\n",
        b"a\tb\n1\tx\n2\ty\n",
        b'"a" , "b"\n"1","x"\n2,"y"\n',
        b"a\tb\n---\t---\n1\tx\n2\ty\n",
        b"a\tb\nmag\t\n--- \t---\n1\tx\n2\ty\n",
        b"a,b\n 1 , x\n2\t,y,too many\n",
    ],
)
def test_text_as_archives_and_people_write_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(content)
    assert read_table(path).to_dict(as_series=False) == {"a": ["1", "2"], "b": ["x", "y"]}


def test_cells_without_a_value_are_null(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "".join(f"1, {cell} \n" for cell in MISSING))
    assert read_table(path)["b"].null_count() == len(MISSING)
    assert numbers(read_table(path), "b", path).null_count() == len(MISSING)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_names_with_accents(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,ra\nMüller 1,1\n", encoding=encoding)
    assert read_table(path)["name"].to_list() == ["Müller 1"]


def test_a_line_of_dashes_among_the_rows_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n3,4\n--,--\n")
    assert read_table(path).rows() == [("1", "2"), ("3", "4"), (None, None)]


# --- columns without numbers -----------------------------------------------------------------------------


def test_columns_of_lists_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame(
        {
            "source_id": [BIG],
            "flux": [[1.0]],
            "struct": [{"a": 1}],
            "text": [["a"]],
            "raw": [b"\xff"],
            "kind": pl.Series(["giant"], dtype=pl.Categorical),
        }
    ).write_parquet(path)
    assert read_table(path).rows(named=True) == [{"source_id": BIG, "kind": "giant"}]


def test_mixed_columns_of_astropy(tmp_path: Path) -> None:
    """Units do not matter, a column of coordinates is not a column of numbers, and a wide table is a table."""
    path = tmp_path / "table.ecsv"
    table = Table({"source_id": [BIG], "where": SkyCoord([1.0], [2.0], unit="deg")})
    table["ra"] = [1.0] * Unit("deg")
    table.write(path)
    assert read_table(path).columns == ["source_id", "ra"]
    path = tmp_path / "lengths.fits"
    lengths = fits.Column("flux", "PD()", array=np.array([[1.0, 2.0], [3.0]], dtype=object))
    missing = fits.Column("n", "K", array=[7, -1], null=-1)
    text = fits.Column("name", "6A", array=[b"M\xfcller", b"b"])  # Latin-1, which FITS forbids
    fits.BinTableHDU.from_columns([fits.Column("c", "M", array=[1j, 2]), lengths, missing, text]).writeto(path)
    assert read_table(path).rows(named=True) == [
        {"n": 7, "name": "M\N{REPLACEMENT CHARACTER}ller"},
        {"n": None, "name": "b"},
    ]
    Table({"a": [1, 2], "flux": np.array([np.ones(2), np.ones(1)], dtype=object)}).write(
        tmp_path / "lengths.vot", format="votable"
    )
    assert read_table(tmp_path / "lengths.vot").rows() == [(1,), (2,)]
    Table({"source_id": [BIG], **{f"c{i}": [i] for i in range(998)}}).write(tmp_path / "wide.fits")
    assert read_table(tmp_path / "wide.fits").width == 999


# --- files that are not tables -------------------------------------------------------------------------------------


def parquet_bytes() -> bytes:
    pl.DataFrame({"source_id": range(1000), "ra": np.linspace(0, 1, 1000)}).write_parquet(file := io.BytesIO())
    return file.getvalue()


def fits_bytes() -> bytes:
    Table({"source_id": range(1000), "ra": np.linspace(0, 1, 1000)}).write(file := io.BytesIO(), format="fits")
    return file.getvalue()


BAD_FILES = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n  \n", "is empty"),
    "comments.csv": (b"# nothing\n#", "is empty"),
    "utf16.csv": ("source_id,feh\n1,0\n".encode("utf-16"), "UTF-16 or binary"),
    "binary.csv": (bytes(range(256)), "UTF-16 or binary"),
    "twice.csv": (b"a,a \n1,2\n", "cannot be read as a table"),
    "quote.csv": (b'a,b\n1,"2\n3,4\n', "cannot be read as a table"),
    "cut.csv.gz": (gzip.compress(b"source_id,feh\n1,0\n" * 99)[:-9], "cannot be read as a table"),
    "no.csv.gz": (b"\x1f\x8bnone", "cannot be read as a table"),
    "empty.parquet": (b"", "cannot be read as a table"),
    "junk.parquet": (b"PAR1" + bytes(range(256)) + b"PAR1", "cannot be read as a table"),
    "cut.parquet": (parquet_bytes()[:-20], "cannot be read as a table"),
    "text.parquet": (b"source_id,feh\n1,0\n", "cannot be read as a table"),
    "empty.fits": (b"", "not a FITS file"),
    "text.fits": (b"source_id,feh\n1,0\n", "not a FITS file"),
    "cut.fits": (fits_bytes()[:6000], "not a FITS file with a valid table"),
    "image.fits": (b"", "a FITS file, but without a table"),
    "text.vot": (b"source_id,feh\n1,0\n", "not a VOTable"),
    "page.xml": (b"<html><body>Service unavailable</body></html>", "is a web page, not a VOTable"),
    "empty.vot": (b'<VOTABLE version="1.4"></VOTABLE>', "not a VOTable with a valid table"),
    "text.ecsv": (b"source_id,feh\n1,0\n", "not an ECSV file"),
    "stars.doc": (b"source_id,feh\n1,0\n", r"not a kind of table that can be read; these can: \.parquet, \.csv"),
    "stars": (b"source_id,feh\n1,0\n", "not a kind of table"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_not_a_table_gets_one_line(tmp_path: Path, name: str) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    if name == "image.fits":
        fits.PrimaryHDU(np.ones((3, 3))).writeto(path, overwrite=True)
    with pytest.raises(UserError, match=message) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_damage_anywhere_is_never_more_than_one_line(tmp_path: Path, suffix: str) -> None:
    """Damaged bytes in the middle are valid data; what is not read as a table is refused in one line."""
    rng = np.random.default_rng(4)
    whole = np.frombuffer(parquet_bytes() if suffix == ".parquet" else fits_bytes(), np.uint8)
    path = tmp_path / f"stars{suffix}"
    messages = []
    for _ in range(60):
        damaged = whole.copy()
        damaged[rng.integers(whole.size, size=40)] = rng.integers(256, size=40)
        path.write_bytes(damaged.tobytes())
        try:
            read_stars(path, ["ra"])
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert not [message for message in messages if "\n" in message]


def test_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv: is a folder; name a file"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(UserError, match="cannot be opened as a place for files"):
        read_table("gopher://stars.csv")


@pytest.mark.parametrize("name", ["[1].csv", "a b*.csv", "stars,1;?.csv"])
def test_names_of_files_are_not_patterns(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a\n1\n")
    assert read_table(tmp_path / name).rows() == [("1",)]


# --- identifiers and numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["source_id", "SOURCE_ID", "Source"])
@pytest.mark.parametrize("ids", [[5, BIG], ["5", str(BIG)], pl.Series([5, BIG], dtype=pl.UInt64)])
def test_identifiers_by_any_name(name: str, ids: list | pl.Series) -> None:
    frame = with_source_id(pl.DataFrame({"ra": [1.0, 2.0], name: ids}), "stars.csv")
    assert frame.columns == ["source_id", "ra"]
    assert frame["source_id"].dtype == pl.Int64
    assert frame["source_id"].to_list() == [5, BIG]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, 2.0], "source_id is Float64; write 64-bit integers, a float loses digits"),
        ([True, False], "source_id is Boolean"),
        ([None, None], "source_id is Null"),
        (["1", "2.0"], "source_id of row 1 is '2.0'; write 64-bit integers"),
        (["1", "6.9e18"], "source_id of row 1 is '6.9e18'"),
        (["1", None], "source_id of row 1 is missing"),
        ([1, None], "source_id of row 1 is missing"),
        (pl.Series([1, 2**63], dtype=pl.UInt64), "source_id of row 1 is 9223372036854775808"),
        (["1", "9223372036854775808"], "source_id of row 1 is '9223372036854775808'"),
    ],
)
def test_invalid_identifiers(ids: list | pl.Series, message: str) -> None:
    with pytest.raises(UserError, match=rf"^stars\.csv: {message}"):
        with_source_id(pl.DataFrame({"source_id": ids}), "stars.csv")


def test_columns_that_are_not_there_are_named_with_those_that_are() -> None:
    many = pl.DataFrame({f"c{i}": [i] for i in range(30)})
    with pytest.raises(UserError, match=r"^a\.csv: no column source_id; there are: c0, .*c19, \.\.\.$"):
        with_source_id(many, "a.csv")
    with pytest.raises(UserError, match=r"^a\.csv: no column x and y; there are: c0"):
        require(many, ["c1", "x", "y"], "a.csv")
    with pytest.raises(UserError, match=r"there are: none$"):
        require(pl.DataFrame(), ["x"], "a.csv")


@pytest.mark.parametrize("values", [["1.5", None], [1.5, float("nan")], [1.5, None], pl.Series(["1.5", None])])
def test_numbers(values: list | pl.Series) -> None:
    assert numbers(pl.DataFrame({"x": values}), "x", "a.csv").to_list() == [1.5, None]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2,5"], "x of row 1 is '2,5', not a number; correct it, or leave it empty"),
        (pl.Series(["2020-01-01"]).str.to_date(), "x is Date; write numbers"),
        ([True], "x is Boolean"),
    ],
)
def test_invalid_numbers(values: list | pl.Series, message: str) -> None:
    with pytest.raises(UserError, match=rf"^a\.csv: {message}"):
        numbers(pl.DataFrame({"x": values}), "x", "a.csv")


def test_ranges() -> None:
    check_range(pl.Series("dec", [-90.0, 90.0, None]), -90, 90, "a.csv")
    for wrong in (-90.0000001, float("inf")):
        with pytest.raises(UserError, match=rf"^a\.csv: dec of row 2 is {wrong}, outside -90 to 90"):
            check_range(pl.Series("dec", [0.0, None, wrong]), -90, 90, "a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source_id,ra,dec\n1,360.5,0\n", "ra of row 0 is 360.5, outside 0 to 360"),
        ("source_id,ra,dec\n1,0,0\n2,0,95\n", "dec of row 1 is 95, outside -90 to 90"),
        ("source_id,ra,dec\n1,0,0\n2,0,0\n1,1,1\n", "1 row repeats a source_id, row 2 is the first"),
        ("source_id,ra,dec\n", "the table is empty"),
        ("source_id,ra,note\n1,2,x\n", "no column dec; there are: source_id, ra, note"),
        ("ra,dec,note\n1,2,x\n", "no column source_id; there are: ra, dec, note"),
        ("note\nx\n", "no column source_id; there are: note"),
    ],
)
def test_invalid_stars(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "stars.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_stars(path, ["ra", "dec"])
