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
    ("frame", "told"),
    [
        (pl.DataFrame({"feh": [0.0]}), "no column source_id"),
        (pl.DataFrame({"source_id": [1]}), "no column feh"),
        (pl.DataFrame({"source_id": [1.5e18], "feh": [0.0]}), "loses digits"),
        (pl.DataFrame({"source_id": [1, 1], "feh": [0.0, 0.1]}), "1 rows repeat"),
        (pl.DataFrame({"source_id": [1, 2], "feh": [0.0, None]}), r"row 1"),
        (pl.DataFrame({"source_id": [1, 2], "feh": [-9999.0, 0.0]}), r"outside \[-6, 1.5\]"),
        (pl.DataFrame({"source_id": [1], "feh": [0.0]}).clear(), "empty"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, frame: pl.DataFrame, told: str) -> None:
    path = tmp_path / "labels.parquet"
    frame.write_parquet(path)
    with pytest.raises(UserError, match=told):
        read_labels(path)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "broken.parquet")
    (tmp_path / "labels.txt").write_text("source_id feh")
    with pytest.raises(UserError, match=r"\.parquet, \.csv or \.fits"):
        read_labels(tmp_path / "labels.txt")
