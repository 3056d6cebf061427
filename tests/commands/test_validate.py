"""A report on a real model: it is judged on unseen stars only, and every comparison finds its stars."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.cli.main import main
from xpfeh.commands.report_stars import Comparisons
from xpfeh.commands.validate import validate
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.inference.cross_validated import CrossValidated
from xpfeh.labels.sample import Sample, split_by_sky

from tests.catalog.made_catalogs import made_up_stars, write_catalog

HEADER = "name,ra,dec,rhalf,distance_modulus,metallicity,metallicity_spectroscopic_sigma"


@pytest.fixture(scope="module")
def comparisons(features_dir: Path, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Comparisons:
    """A catalog and a cluster MADE of the library's stars: their labels, 0.1 dex richer; a cluster of half the sky."""
    folder = tmp_path_factory.mktemp("compared")
    stars = sample.part("test", "train").columns
    table = pl.DataFrame({"source_id": stars["source_id"], "feh": stars["feh"] + 0.1, "logg": stars["logg"]})
    table.with_columns(c_fe=pl.col("feh") % 1).write_csv(folder / "made_up.csv")
    (folder / "clusters.csv").write_text(f"{HEADER}\nall,200,40,900,10,-0.5,0.3\nnowhere,10,-89,0.1,14,-1,\n")
    peer = pl.DataFrame(
        {"source_id": stars["source_id"], "mh_xgboost": stars["feh"] + 0.2, "logg_xgboost": stars["logg"]}
    )
    peer.write_csv(folder / "peer.csv")
    return Comparisons({"hong2024": folder / "made_up.csv", "andrae2023": folder / "peer.csv"}, folder / "clusters.csv")


@pytest.fixture(scope="module")
def report(
    bundle: Path,
    features_dir: Path,
    labels_file: Path,
    comparisons: Comparisons,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("validated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        mlflow_runs.experiment_id()  # a store with our runs counts looks
        models = {"small": CrossValidated([bundle])}
        metrics = validate(models, features_dir, labels_file, folder / "report", comparisons, "APOGEE")
        earlier = replace(comparisons, references={}, earlier=folder / "report")
        again = validate(models, features_dir, labels_file, folder / "again", earlier, "APOGEE")
    assert json.dumps(again) == json.dumps(metrics)  # NaN is unlike itself
    return folder / "report"


def numbers_of(report: Path) -> dict:
    return json.loads((report / "metrics.json").read_text())


@pytest.mark.slow
def test_the_numbers_are_those_of_the_held_out_stars_only(report: Path, sample: Sample) -> None:
    every = numbers_of(report)["models"]["small"]["slices"]["all"]
    assert every["n"] + every["n_without_feh"] == len(sample.part("test"))
    stars = pl.read_parquet(report / "stars.parquet")
    assert set(split_by_sky(stars["source_id"].to_numpy(), "xpfeh")) == {"test"}
    judging = stars.filter(pl.col("judges") == 1)
    assert set(judging["source_id"]) == set(sample.part("test").columns["source_id"].tolist())
    assert set(stars["source_id"]) >= set(sample.part("test-other").columns["source_id"].tolist())


@pytest.mark.slow
def test_the_whole_sky_has_its_own_numbers(report: Path, sample: Sample) -> None:
    every = numbers_of(report)["sections"]["through_the_plane"]["small"]["all"]["all"]
    assert every["n"] + every["n_without_feh"] == len(sample.part("test", "test-other"))
    assert "learn [Fe/H] alone" in (report / "index.html").read_text()  # the note on the recipe `paper` and whole stars


@pytest.mark.slow
def test_in_sample_numbers_are_separate(report: Path, sample: Sample) -> None:
    tests = numbers_of(report)["sections"]["compared_with_paper"]
    (in_sample,) = (one for title, one in tests.items() if "in-sample" in title)
    assert in_sample["n"] == pytest.approx(len(sample.part("train")), rel=0.02)  # some may have no [Fe/H]


@pytest.mark.slow
def test_a_catalog_is_compared_star_by_star(report: Path, sample: Sample) -> None:
    found = numbers_of(report)["sections"]["reference_hong2024"]
    every = numbers_of(report)["models"]["small"]["slices"]["all"]
    assert found["all"]["n"] == every["n"]  # the training stars in it are left out
    np.testing.assert_allclose(found["all"]["bias"], every["bias"] - 0.1, atol=1e-4)
    label = found["with a survey's label: the catalog minus the label"]
    np.testing.assert_allclose([label["median"], label["std"]], [0.1, 0], atol=1e-4)
    page = (report / "index.html").read_text()
    assert "SDSS/SEGUE" in page
    assert numbers_of(report)["sections"]["absent"]["absent"]


@pytest.mark.slow
def test_peers_are_compared_where_carbon_is_known(report: Path) -> None:
    slopes = numbers_of(report)["sections"]["abundances"]["carbon_slope"]["hong2024"]
    (own, peer) = slopes.values()
    assert next(iter(slopes)) == "small"
    assert own["n"] > 30
    np.testing.assert_allclose([peer["slope"]], [0], atol=1e-3)  # the two made-up catalogs differ by a constant
    assert (report / "carbon_hong2024.pdf").is_file()


@pytest.mark.slow
def test_a_cluster_has_the_members_that_the_model_has_not_seen(report: Path, features_dir: Path) -> None:
    found = numbers_of(report)["sections"]["clusters"]
    assert list(found) == ["all"]
    stars = pl.read_parquet(report / "stars.parquet")
    everywhere = Dataset.at(features_dir).read(["source_id", "g0", "bp_rp0"])
    assert 0 < found["all"]["n"] < len(everywhere)
    assert found["all"]["n"] <= stars.height


@pytest.mark.slow
def test_an_earlier_report_on_the_same_stars_differs_in_nothing(report: Path) -> None:
    found = numbers_of(report.parent / "again")["sections"]["releases"]
    assert found["stars"] == numbers_of(report)["models"]["small"]["slices"]["all"]["n"]
    assert all(one["a"] == one["b"] for one in found["differences"])


@pytest.mark.slow
def test_every_look_is_counted(report: Path) -> None:
    assert [numbers_of(folder)["looks"] for folder in (report, report.parent / "again")] == [1, 2]


def test_models_of_two_splits_are_not_in_one_report(
    bundle: Path, features_dir: Path, labels_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = CrossValidated([bundle])
    split = other.predictors[0].card.split.model_copy(update={"salt": "another"})
    other.predictors[0].card = other.predictors[0].card.model_copy(update={"split": split})
    with pytest.raises(UserError, match="different splits of the sky"):
        validate({"a": CrossValidated([bundle]), "b": other}, features_dir, labels_file, tmp_path / "report")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--reference", "pastel"], "write NAME=FILE"),
        (["--reference", "galah=nothing.fits"], "no such file"),
        (["--reference", "GALAH=."], "write galah"),
        (["--clusters", "nothing.csv"], "nothing.csv: no such file"),
        (["--catalog", "nothing"], "not an xpfeh dataset"),
        (["--reference", "galah=.", "--reference", "galah=."], "given twice"),
        (["--neighbourhood", "."], "--neighbourhood needs --earlier"),
        (["--catalog", "made"], "was made by m-1; this report judges"),
        (["--earlier", "nothing"], "nothing: no such file"),
        (["--earlier", "."], "is not a report"),
    ],
)
def test_an_impossible_comparison_is_refused_in_one_line(
    options: list[str],
    complaint: str,
    bundle: Path,
    features_dir: Path,
    labels_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    if "made" in options:
        write_catalog(tmp_path / "made", made_up_stars())
    data = ["--features", str(features_dir), "--labels", str(labels_file), "--model", str(bundle)]
    with pytest.raises(SystemExit) as stopped:
        main(["validate", *data, "--out", "report", *options])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert complaint in error.replace("\n", " ")
    assert not (tmp_path / "report").exists()
