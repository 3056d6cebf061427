from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from xpfeh.errors import UserError
from xpfeh.labels.label_table import read_labels

BIG = 6_917_521_541_514_092_417  # odd and beyond 2^53: a float would change it


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits"])
def test_reads_every_format_alike(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    frame = pl.DataFrame({"source_id": [BIG, 5], "feh": [-2.5, 0.1], "logg": [1.5, None]})
    if suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix == ".csv":
        frame.write_csv(path)
    else:
        Table({"source_id": [BIG, 5], "feh": [-2.5, 0.1], "logg": [1.5, np.nan]}).write(path)
    labels = read_labels(path)
    assert labels.source_id.tolist() == [BIG, 5]
    assert labels.feh.tolist() == [-2.5, 0.1]
    assert labels.logg[0] == 1.5
    assert np.isnan(labels.logg[1])
    assert np.isnan(labels.feh_err).all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"feh": [0.0]}), "no column source_id; there are: feh"),
        (pl.DataFrame({"source_id": [1], "FE_H": [0]}), "no column feh; there are: source_id, FE_H"),
        (pl.DataFrame({"source_id": [1.5e18], "feh": [0.0]}), "source_id is Float64.*loses digits"),
        (pl.DataFrame({"source_id": [1, None], "feh": [0.0, 0.1]}), "source_id of row 1 is missing"),
        (pl.DataFrame({"source_id": ["1", "Gaia 2"], "feh": [0.0, 0.1]}), "source_id of row 1 is 'Gaia 2'"),
        (
            pl.DataFrame({"source_id": [1, 2, 1], "feh": [0.0, 0.1, 0.1]}),
            "1 row repeats a source_id, row 2 is the first",
        ),
        (
            pl.DataFrame({"source_id": [1, 2], "feh": [0.0, None]}),
            "row 1 has neither feh nor logg, teff, alpha_m; leave",
        ),
        (pl.DataFrame({"source_id": [1, 2], "feh": [0.0, float("nan")]}), "row 1 has neither feh nor logg, teff"),
        (pl.DataFrame({"source_id": [1, 2], "feh": ["0.0", "low"]}), "feh of row 1 is 'low', not a number"),
        (pl.DataFrame({"source_id": [1], "feh": [[0.0]]}), "no column feh"),
        (pl.DataFrame({"source_id": [1], "feh": [0.0], "logg": ["low"]}), "logg of row 0 is 'low'"),
        (pl.DataFrame({"source_id": [1, 2], "feh": [-9999.0, 0.0]}), "feh of row 0 is -9999, outside -6 to 1.5"),
        (pl.DataFrame({"source_id": [1], "feh": [0.0]}).clear(), "empty"),
    ],
)
def test_a_wrong_table_gets_one_line(tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    path = tmp_path / "labels.parquet"
    frame.write_parquet(path)
    with pytest.raises(UserError, match=message) as error:
        read_labels(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_text_for_numbers_is_read_where_it_is_one(tmp_path: Path) -> None:
    """Of a CSV file all cells are text; dashes stand for what is unknown."""
    path = tmp_path / "labels.csv"
    path.write_text(f"source_id,feh,feh_err,logg\n {BIG} , -2.5 ,--,1\n5,+0.1,0.05, --- \n")
    labels = read_labels(path)
    assert labels.source_id.tolist() == [BIG, 5]
    assert labels.feh.tolist() == [-2.5, 0.1]
    np.testing.assert_array_equal(labels.feh_err, [np.nan, 0.05])
    np.testing.assert_array_equal(labels.logg, [1, np.nan])
    path.write_text("source_id,feh\n1.5e18,0\n")
    with pytest.raises(UserError, match=r"source_id of row 0 is '1.5e18'.*loses digits"):
        read_labels(path)


def test_what_else_a_table_may_say(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("source_id,feh,teff,reference\n1,0,4500,\n2,0,,a; b\n")
    labels = read_labels(path)
    np.testing.assert_array_equal(labels.teff, [4500, np.nan])
    assert np.isnan(labels.alpha_m).all()
    assert labels.reference.tolist() == ["", "a; b"]
    assert labels.reference.dtype.kind == "U"
    path.write_text("source_id,feh\n1,0\n2,0\n")
    assert read_labels(path).reference.tolist() == ["", ""]


def test_the_fingerprint_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("source_id,feh\n1,0\n")
    # by sha256sum
    assert read_labels(path).fingerprint == "99384f1af29b1353a632d6e9d3354300e16ea0aaa01da19751671c54e1901d07"


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "broken.parquet")
    with pytest.raises(UserError, match="must be a local path"):
        read_labels("s3://bucket/labels.csv")


def test_a_catalog_of_predictions_is_not_a_table_of_labels(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_text("source_id,FEH,model_version\n1,-1.0,best-1\n")
    with pytest.raises(UserError, match=r"catalog\.csv: its \[Fe/H\] was predicted by a model"):
        read_labels(tmp_path / "catalog.csv")


def test_a_star_without_a_metallicity_keeps_its_other_labels(tmp_path: Path) -> None:
    frame = pl.DataFrame({"source_id": [1, 2], "feh": [-0.5, None], "teff": [None, 9000.0], "logg": [2.0, 4.0]})
    frame.write_parquet(tmp_path / "labels.parquet")
    labels = read_labels(tmp_path / "labels.parquet")
    np.testing.assert_array_equal(labels.feh, [-0.5, np.nan])
    np.testing.assert_array_equal(labels.teff, [np.nan, 9000.0])
