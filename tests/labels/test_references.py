"""Every table here is made up, in the layout in which its catalog is published, but for one: PASTEL's own."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from astropy.table import MaskedColumn, Table
from xpfeh.errors import UserError
from xpfeh.labels.reference_catalogs import REFERENCES, reference_of
from xpfeh.labels.references import (
    ReferenceStars,
    match_to_gaia,
    read_reference,
    what_to_download,
)

from tests.genuine import shared

ID = 2**60 + 1
"""No float holds it, nor those that follow."""
IDS = np.arange(ID, ID + 6)

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def fits(folder: Path, name: str = "made_up.fits", **columns: object) -> Path:
    path = folder / name
    Table(columns).write(path)
    return path


def left(found: ReferenceStars) -> list[int]:
    return list(found.counts.values())


# --- each catalog -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pastel", "saga", "jinabase"])
def test_compilations_have_their_own_readers(name: str, write: Write) -> None:
    path = write("a.tsv", "Object\tRA\tDecl\t[Fe/H]\tbibcode\nHD 1\t1\t1\t-2.5\t2001A\nHD 1\t1\t1\t-2.7\t2002A\n")
    found = read_reference(name, path)
    assert found.reference is REFERENCES[name]
    assert found.stars.select("name", "feh", "n_rows").rows() == [("HD 1", pytest.approx(-2.6), 2)]
    assert found.counts["stars"] == 1


def test_segue(tmp_path: Path, write: Write) -> None:
    path = fits(
        tmp_path,
        "ssppOut-dr12.fits",
        RA=[10.0, 10.0001, 20.0, 30.0, 40.0],
        DEC=[1.0, 1.0, 2.0, 3.0, 4.0],
        FLAG=["nnnnn", "nnnnn", "nnngn", "nnnnn", "nnnnn"],
        FEH_ADOP=np.float32([-2.0, -2.2, -1.0, -9999, -0.5]),
        FEH_ADOP_UNC=np.float32([0.05, 0.1, 0.1, -9999, -9.999]),
        LOGG_ADOP=np.float32([2.0, 2.25, 2.0, -9999, -9999]),
        TEFF_ADOP=np.float32([5000, 5100, 5000, -9999, -9999]),
        SNR=np.float32([20, 50, 50, 50, 50]),
    )
    found = read_reference("segue", path)
    assert found.counts == {
        "rows": 5, "SSPP flag nnnnn": 4, "with [Fe/H]": 4, "[Fe/H] not a limit": 4, "[Fe/H] within -6.0 to 1.5": 3,
        "with an identifier or a position": 3, "stars": 2,
    }  # fmt: skip
    best, other = found.stars.rows(named=True)
    assert (best["ra"], best["logg"], best["teff"]) == (10.0001, 2.25, 5100)  # 0.36 arcsec from a row of less S/N
    assert best["feh"] == pytest.approx(-2.2)
    assert other == {"ra": 40.0, "dec": 4.0, "feh": -0.5, "feh_err": None, "logg": None, "teff": None}

    casjobs = write(
        "sppParams.csv", "ra,dec,fehadop,fehadopunc,loggadop,teffadop,flag,snr\n9,8,-1.5,.1,2,5000,nnnnn,9\n"
    )
    assert read_reference("segue", casjobs).stars.row(0) == (9.0, 8.0, -1.5, 0.1, 2.0, 5000.0)


def test_lamost_ddpayne(tmp_path: Path, write: Write) -> None:
    path = fits(
        tmp_path,
        RA=[10.0, 20.0],
        DEC=[1.0, 2.0],
        FEH=[-1.5, -9999.0],
        FEH_ERR=[0.1, -9999.0],
        C_FE=[0.4, 0.1],
        FLAG_C_FE=[1, 0],
        TEFF=[4900.0, 5000.0],
        LOGG=[2.0, 2.0],
    )
    found = read_reference("lamost-ddpayne", path)
    assert found.stars.rows(named=True) == [
        {"ra": 10.0, "dec": 1.0, "feh": -1.5, "feh_err": 0.1, "logg": 2.0, "teff": 4900.0, "c_fe": None}
    ]
    vizier = write("xiang.tsv", "RAJ2000\tDEJ2000\tTeff\tlogg\t[Fe/H]\te_[Fe/H]\tsnrg\n5\t6\t5000\t2\t-1\t0.2\t50\n")
    star = read_reference("lamost-ddpayne", vizier).stars.row(0, named=True)
    assert star == {"ra": 5.0, "dec": 6.0, "feh": -1.0, "feh_err": 0.2, "logg": 2.0, "teff": 5000.0}


def test_apogee(tmp_path: Path) -> None:
    bad = np.array([0, 1 << 23, 0, 0, 1 << 7, 0])
    path = fits(
        tmp_path,
        "allStar-dr17-synspec_rev1.fits",
        GAIAEDR3_SOURCE_ID=[ID, ID + 1, ID + 2, ID + 3, 0, ID],
        RA=[10.0, 20.0, 30.0, 40.0, 50.0, 10.0],
        DEC=np.zeros(6),
        EXTRATARG=[0, 0, 16, 0, 2, 0],
        ASPCAPFLAG=bad,
        FE_H_FLAG=[0, 0, 0, 256, 0, 0],
        FE_H=np.float32([-1.0, -1, -1, -1, -0.25, -1.25]),
        FE_H_ERR=np.float32([0.01] * 6),
        LOGG=np.float32([2, 2, 2, 2, -9999, 2]),
        TEFF=np.float32([4500] * 5 + [np.nan]),
        ALPHA_M=np.float32([0.25] * 6),
        C_FE=np.float32([0.5] * 6),
        C_FE_FLAG=[0, 0, 0, 0, 2, 0],
        SNR=np.float32([80, 80, 80, 80, 80, 200]),
    )
    found = read_reference("apogee-dr17", path)
    assert left(found) == [6, 5, 4, 3, 3, 3, 3, 3, 2]
    assert list(found.counts)[1:4] == [cut.text for cut in found.reference.cuts]
    without_id, star = found.stars.rows(named=True)
    assert (star["source_id"], star["feh"], star["teff"], star["c_fe"]) == (ID, -1.25, None, 0.5)
    assert (without_id["source_id"], without_id["ra"], without_id["logg"]) == (None, 50.0, None)
    assert (without_id["alpha_m"], without_id["c_fe"]) == (0.25, None)


def test_galah(tmp_path: Path) -> None:
    path = fits(
        tmp_path,
        "galah_dr4_allstar_240705.fits",
        gaiadr3_source_id=[*IDS[:3], -1],
        ra=[1.0, 2.0, 3.0, 4.0],
        dec=np.zeros(4),
        flag_sp=[0, 1, 0, 0],
        flag_fe_h=[1, 0, 0, 0],
        snr_px_ccd3=np.float32([40, 40, 30, 99]),
        fe_h=np.float32([-1.5, 0, 0, np.nan]),
        e_fe_h=np.float32([0.125] * 4),
        teff=np.float32([4500] * 4),
        logg=np.float32([1.5] * 4),
        c_fe=np.float32([0.5] * 4),
        flag_c_fe=[0, 0, 0, 0],
    )
    found = read_reference("galah", path)
    assert left(found) == [4, 3, 2, 1, 1, 1, 1, 1]
    assert found.stars.rows() == [(ID, 1.0, 0.0, -1.5, 0.125, 1.5, 4500.0, 0.5)]


def test_andrae(tmp_path: Path) -> None:
    path = fits(
        tmp_path,
        "table_2_catwise.fits.gz",
        source_id=IDS[:2],
        ra=[1.0, 2.0],
        dec=[3.0, 4.0],
        in_training_sample=["True", "False"],
        mh_xgboost=[-1.5, 0.0],
        teff_xgboost=[4500.0, 4600.0],
        logg_xgboost=[1.5, 2.5],
    )
    found = read_reference("andrae2023", path)
    assert found.stars.rows() == [(ID, 1.0, 3.0, -1.5, 1.5, 4500.0), (ID + 1, 2.0, 4.0, 0.0, 2.5, 4600.0)]


def test_zgr_as_the_folder_of_its_files(tmp_path: Path) -> None:
    for number, ids in enumerate((IDS[:2], IDS[1:4])):
        with h5py.File(tmp_path / f"stellar_params_catalog_0{number}.h5", "w") as file:
            file["gdr3_source_id"] = ids
            file["ra"] = file["dec"] = np.full(ids.size, 10.0 + number)
            file["quality_flags"] = np.uint8([0, 8, 7][: ids.size])
            file["stellar_params_est"] = np.float32([[4.5, -1.5 - number, 2.0, 0.1, 1.0]] * ids.size)
            file["stellar_params_err"] = np.float32([[0.05, 0.25, 0.1, 0.01, 0.1]] * ids.size)
            file["stellar_params_cov"] = np.zeros((ids.size, 5, 5))
    (tmp_path / "README.md").write_text("no table")
    found = read_reference("zgr2023", tmp_path)
    assert left(found) == [5, 3, 3, 3, 3, 3, 3]
    assert found.stars.rows() == [
        (ID, 10.0, 10.0, -1.5, 0.25, 2.0, 4500.0),
        (ID + 1, 11.0, 11.0, -2.5, 0.25, 2.0, 4500.0),
        (ID + 3, 11.0, 11.0, -2.5, 0.25, 2.0, 4500.0),
    ]


def test_shboost(tmp_path: Path) -> None:
    path = tmp_path / "part.0.parquet"
    columns = {"xgb_met": [-0.5], "xgbdist_met_std": [0.1], "xgb_logg": [2.5], "xgb_logteff": [3.65]}
    pl.DataFrame({"source_id": [ID], **columns, "xgb_met_outputflag": [""]}).write_parquet(path)
    assert read_reference("shboost", path).stars.rows() == [(ID, -0.5, 0.1, 2.5, pytest.approx(4466.8, abs=0.1))]


def test_a_table_of_any_other_name_has_the_plain_layout(write: Write) -> None:
    text = (
        f"source_id,feh,feh_err,c_fe\n{ID},-2.5,0.1,0.7\n{ID},-2.6,0.05,<0.9\n{ID + 1},<-4,,\n{ID + 2},9.9,,\n,-2,,\n"
    )
    found = read_reference("mine", write("plain.csv", text))
    assert left(found) == [5, 5, 4, 3, 2, 1]  # of a star's two rows that with the smaller error
    assert found.stars.rows() == [(ID, -2.6, 0.05, None)]
    vizier = (
        f"GaiaDR3\tl_[Fe/H]\t[Fe/H]\te_[Fe/H]\tl_[C/Fe]\t[C/Fe]\n{ID}\t\t-3.5\t0.2\t<\t1.0\n{ID + 1}\t<\t-4\t\t\t1\n"
    )
    assert read_reference("mine", write("vizier.tsv", vizier)).stars.rows() == [(ID, -3.5, 0.2, None)]


def test_every_catalog_is_described() -> None:
    assert len(REFERENCES) == 10
    for name, reference in REFERENCES.items():
        assert all([reference.title, reference.download, reference.layout, reference.source]), name
        assert what_to_download(name).splitlines() == [
            reference.title, f"Download: {reference.download}", f"Layout: {reference.layout}"
        ]  # fmt: skip


def test_the_real_pastel() -> None:
    found = read_reference("pastel", shared("pastel/pastel_v1.2.fits"))
    assert found.counts["stars"] == found.stars.height == 17_913
    first = found.stars.head(100).with_columns(source_id=pl.int_range(100, dtype=pl.Int64) + ID)
    matched = match_to_gaia(found, first.select("source_id", "ra", "dec"))
    assert matched.equals(first.select("source_id", pl.exclude("source_id")))


# --- identifiers and positions ------------------------------------------------------------------------------------


def test_identifiers_keep_every_digit_in_every_format(tmp_path: Path) -> None:
    table = Table({"source_id": MaskedColumn([ID, 0, ID + 2], mask=[False, True, False]), "feh": [-1.0, -2.0, -3.0]})
    for suffix in ("fits", "vot", "csv", "ecsv"):
        path = tmp_path / f"stars.{suffix}"
        table.write(path, **({"format": "votable"} if suffix == "vot" else {}))
        assert read_reference("mine", path).stars.rows() == [(ID, -1.0), (ID + 2, -3.0)], suffix


@pytest.mark.parametrize("cell", [f"{ID}.0", "1.152921504606847e18", "HD 1"])
def test_identifiers_that_lost_digits_are_refused(cell: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 1 is '.*a float loses digits"):
        read_reference("mine", write("a.csv", f"source_id,feh\n{ID},-1\n{cell},-2\n"))
    with pytest.raises(UserError, match="gaiadr3_source_id is Float64; write 64-bit integers, a float loses digits"):
        read_reference(
            "galah",
            fits(
                tmp_path,
                gaiadr3_source_id=[float(ID)],
                fe_h=[0.0],
                flag_sp=[0],
                snr_px_ccd3=[50.0],
                ra=[1.0],
                dec=[1.0],
            ),
        )


def test_stars_are_found_by_identifier_and_else_by_position() -> None:
    stars = pl.DataFrame(
        {
            "source_id": [ID + 1, None, None, ID + 5],
            "ra": [10.0, 20.0, 30.0, 40.0],
            "dec": [0.0, 0.0, 0.0, 0.0],
            "feh": [-1.0, -2.0, -3.0, -4.0],
        }
    )
    found = ReferenceStars(REFERENCES["apogee-dr17"], stars, {})
    # The first star is elsewhere in Gaia: its identifier decides. The last has another identifier, though one is near.
    gaia = {
        "source_id": IDS[[2, 1, 0, 3]],
        "ra": np.array([20.0, 77.0, 30.0, 40.0]),
        "dec": np.array([3.2 / 3600, 0.0, 0.0, 0.0]),
        "pmra": np.zeros(4),
        "pmdec": np.array([200.0, np.nan, 0.0, 0.0]),  # 3.2 arcsec in the 16 years since 2000
    }
    matched = match_to_gaia(found, gaia)
    assert matched.select("source_id", "feh").rows() == [(ID, -3.0), (ID + 1, -1.0), (ID + 2, -2.0)]
    assert matched.columns == ["source_id", "ra", "dec", "feh"]


def test_identifiers_of_another_release_say_nothing() -> None:
    stars = pl.DataFrame({"source_id": [ID], "ra": [10.0], "dec": [0.0], "feh": [-1.0]})
    gaia = {"source_id": [ID, ID + 1], "ra": [50.0, 10.0], "dec": [0.0, 0.0]}
    found = ReferenceStars(REFERENCES["galah"], stars, {})
    assert match_to_gaia(found, gaia)["source_id"].to_list() == [ID]
    assert match_to_gaia(found, gaia, release="dr4")["source_id"].to_list() == [ID + 1]
    mine = ReferenceStars(reference_of("mine"), stars, {})
    assert match_to_gaia(mine, gaia, release="dr4")["source_id"].to_list() == [ID]
    with pytest.raises(
        UserError, match="identifiers of Gaia DR3 do not match stars of DR4; add the columns ra and dec"
    ):
        match_to_gaia(ReferenceStars(found.reference, stars.select("source_id", "feh"), {}), gaia, release="dr4")


def test_no_star_in_common_is_an_empty_table() -> None:
    found = ReferenceStars(REFERENCES["shboost"], pl.DataFrame({"source_id": [ID], "feh": [0.0]}), {})
    matched = match_to_gaia(found, pl.DataFrame({"source_id": [7]}))
    assert matched.schema == {"source_id": pl.Int64, "feh": pl.Float64}
    assert not matched.height


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "gallah",
            "a,b\n1,0\n",
            "no column feh; gallah is not one of pastel, .*so it needs source_id",
        ),
        (
            "galah",
            "gaiadr3_source_id,fe_h,flag_sp\n1,0,0\n",
            "no column snr_px_ccd3; galah is read as published: galah_",
        ),
        ("galah", "a,b\n1,0\n", "no column fe_h and flag_sp and snr_px_ccd3; galah is read as published"),
        ("mine", "name,feh\na,0\n", "no column source_id, nor ra and dec; mine is not one of"),
        ("mine", "ra,feh\n1,0\n", "no column source_id, nor ra and dec"),
        ("mine", "source_id,feh\n1,0\n2,poor\n", "feh of row 1 is 'poor', not a number"),
        (
            "galah",
            "gaiadr3_source_id,fe_h,flag_sp,snr_px_ccd3\n1,0,0,good\n",
            "the cut 'S/N above 30 in CCD 3' does not fit its column",
        ),
        (
            "galah",
            "gaiadr3_source_id,fe_h,flag_sp,snr_px_ccd3\n1,0,1,50\n",
            r"no star of galah is left \(rows: 1, flag_sp 0: 0",
        ),
        ("mine", "source_id,feh\n", "no star of mine is left"),
        ("saga", "RA,Decl,[Fe/H]\n1,1,<-4\n", "no star of saga is left"),
    ],
)
def test_a_wrong_table_gets_one_line(name: str, text: str, message: str, write: Write) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_reference(name, write("made_up.csv", text))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GALAH", "write galah, or its quality cuts would not be applied"),
        ("apogee_dr17", "write apogee-dr17"),
        ("hattori2025", "this catalog's layout was removed; .*choose another name"),
        ("", "a name can only have letters"),
        ("my/table", "a name can only have letters"),
    ],
)
def test_a_name_that_would_lose_quality_cuts_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"--reference .*{message}"):
        reference_of(name)


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path, write: Write) -> None:
    for path in (tmp_path / "none.h5", tmp_path / "none.fits"):
        with pytest.raises(UserError, match="no such file or folder"):
            read_reference("zgr2023", path)
    with pytest.raises(UserError, match=r"the folder holds no table; these can be read: .*h5"):
        read_reference("zgr2023", tmp_path)
    with pytest.raises(UserError, match="not an HDF5 file"):
        read_reference("zgr2023", write("a.h5", "no HDF5"))
    with h5py.File(tmp_path / "groups.h5", "w") as file:
        file.create_group("stars")
    with pytest.raises(UserError, match=r"groups\.h5: no column .*; zgr2023 is read as published"):
        read_reference("zgr2023", tmp_path / "groups.h5")
    with pytest.raises(UserError, match="not a kind of table"):
        read_reference("galah", write("a.doc", "no table"))
