"""Files damaged in transfer: each is read, or refused in one line without paths of this machine."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import JSON, answer
from xpfeh.serving.uploads import predict
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.samples import SAMPLES

from tests.genuine import datalink_file
from tests.sources.reading import read_whole

KINDS = ("csv", "ecsv", "fits", "vot", "parquet")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(bundle_folder("pretrained"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One genuine star as each kind of file, by suffix."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for kind in KINDS[:-1]:
        path = datalink_file(kind, folder)
        made[path.suffix] = path.read_bytes()
    columns = read_whole(folder / "star.csv").columns
    table = pa.table({n: pa.array(v.tolist()) for n, v in columns.items() if n in (*LIST_COLUMNS, "source_id")})
    pq.write_table(table, folder / "star.parquet")
    made[".parquet"] = (folder / "star.parquet").read_bytes()
    return made


@st.composite
def damages(draw: st.DrawFn, content: bytes) -> bytes:
    """Flipped bits, lost ends, pieces repeated or moved, numbers turned into words."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        here = draw(st.integers(0, max(0, len(damaged) - 1)))
        length = draw(st.integers(1, 200))
        match draw(st.sampled_from(("flip", "cut", "twice", "lost", "junk", "digit", "zeros"))):
            case "flip":
                damaged[here : here + 1] = bytes(b ^ 1 << draw(st.integers(0, 7)) for b in damaged[here : here + 1])
            case "cut":
                del damaged[here:]
            case "twice":
                damaged[here:here] = damaged[here : here + length]
            case "lost":
                del damaged[here : here + length]
            case "junk":
                damaged[here:here] = draw(st.binary(max_size=30))
            case "digit":
                damaged[here:here] = draw(
                    st.sampled_from((b"9" * 400, b"nan", b"-inf", b"1e999", b'"', b"\0", b"[", b","))
                )
            case "zeros":
                damaged[here : here + length] = bytes(length)
    return bytes(damaged)


@pytest.mark.slow  # minutes; it found the cases of the next tests
@pytest.mark.filterwarnings("ignore")  # of readers, about what was damaged
@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".xml", ".parquet"])
def test_a_damaged_file_is_read_or_refused(
    files: dict[str, bytes], predictor: Predictor, tmp_path: Path, suffix: str
) -> None:
    @hypothesis_settings(max_examples=400, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(content=damages(files[suffix]))
    def holds(content: bytes) -> None:
        path = tmp_path / f"upload{suffix}"
        path.write_bytes(content)
        try:
            requested, catalogs = predict(path, "mine" + suffix, predictor, lambda stars: None)
        except UserError as refused:
            text = str(refused)
        else:
            text = answer(JSON, requested, catalogs, predictor).decode()
        assert "\n" not in text
        assert str(tmp_path) not in text
        assert len(text) < 20_000

    holds()


@pytest.mark.parametrize("columns", [LIST_COLUMNS, SAMPLES])
def test_a_small_parquet_file_that_unpacks_to_too_much_is_refused(
    columns: tuple[str, ...], predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "upload.parquet"
    for rows, width, message in (
        (60_000, 55, "has more than 50,000 stars"),
        (100, 200_000, "at most 10,000 numbers"),
    ):
        lists = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * width, np.zeros(rows * width))
        pq.write_table(pa.table({"source_id": np.zeros(rows, np.int64), **dict.fromkeys(columns, lists)}), path)
        assert path.stat().st_size < 10_000_000
        with pytest.raises(UserError, match=f"mine.parquet: .*{message}"):
            predict(path, "mine.parquet", predictor, lambda stars: None)


def test_text_of_too_many_lines_is_refused_before_it_is_read(predictor: Predictor, tmp_path: Path) -> None:
    """A replica would take minutes to reject each of the 100 million lines that fit in a file."""
    (path := tmp_path / "upload.csv").write_text(",".join(("source_id", *SAMPLES)) + "\na" * 100_001)
    refused = pytest.raises(UserError, match=r"mine\.csv: has more than 50,000 stars")
    with patch.object(GaiaFile, "read", side_effect=AssertionError), refused:
        predict(path, "mine.csv", predictor, lambda stars: None)


def test_fits_arrays_that_share_their_bytes_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    rows, width = 1000, 10_000
    one = np.array([np.zeros(width if row == 0 else 1) for row in range(rows)], dtype=object)
    lists = [fits.Column(name, "PD()", array=one) for name in LIST_COLUMNS]
    table = fits.BinTableHDU.from_columns([fits.Column("source_id", "K", array=np.arange(rows)), *lists])
    path = tmp_path / "upload.fits"
    table.writeto(path)
    with fits.open(path) as units:
        unit = units[1]
        content = bytearray(path.read_bytes())
        kind, start = unit.columns.dtype.newbyteorder(">"), unit.fileinfo()["datLoc"]
        table_rows = np.frombuffer(content, kind, rows, start).copy()
    for name in LIST_COLUMNS:
        table_rows[name] = table_rows[name][0]
    content[start : start + table_rows.nbytes] = table_rows.tobytes()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.fits: its arrays of variable length are larger than the file"):
        predict(path, "mine.fits", predictor, lambda stars: None)


def test_stars_are_counted_before_they_are_computed(
    files: dict[str, bytes], predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "upload.csv"
    path.write_bytes(files[".csv"])
    counted: list[int] = []
    predict(path, "mine.csv", predictor, counted.append)
    assert counted == [1]

    def too_many(stars: int) -> None:
        raise UserError("no more today")

    with pytest.raises(UserError, match="no more today"):
        predict(path, "mine.csv", predictor, too_many)
