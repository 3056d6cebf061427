import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.markers import CARETDOWNBASE
from PIL import Image
from xpfeh.errors import UserError
from xpfeh.evaluate.feh_figures import metal_poor
from xpfeh.evaluate.report import write_report
from xpfeh.evaluate.sections.abundances import abundances
from xpfeh.evaluate.sections.accuracy import accuracy
from xpfeh.evaluate.sections.clusters import clusters
from xpfeh.evaluate.sections.outliers import outliers
from xpfeh.evaluate.sections.references import reference_section
from xpfeh.evaluate.sections.training_stars import example_spectra
from xpfeh.evaluate.sections.whole_star import whole_star
from xpfeh.evaluate.study import Compared
from xpfeh.flags import Flag
from xpfeh.labels.clusters import Cluster, Members
from xpfeh.settings import RECIPES

from tests.evaluate.made_up import held_out, study, whole_sky

SECTIONS = {
    "accuracy", "compared_with_paper", "training_stars", "trends", "sky", "errors", "outliers", "selecting",
    "abundances", "clusters", "final_sample", "releases", "faint_copies", "wavelengths", "slices", "through_the_plane",
    "whole_star",
}  # fmt: skip


def written(out: Path, looks: int | None = 3, **stars: dict[str, np.ndarray]) -> tuple[Any, str, Any]:
    """Write a report of made-up stars; return its metrics, its page and its file of numbers."""
    metrics = write_report(out, study(looks=looks, **stars))
    page, _ = (out / "index.html").read_text().split('<h2 id="explore">')  # what follows is Bokeh's: see test_explorer
    return metrics, page, json.loads((out / "metrics.json").read_text())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, str, Any]:
    """A report on two models: its folder, metrics, page and numbers."""
    out = tmp_path_factory.mktemp("written") / "report"
    return out, *written(out, best=held_out(), other=held_out(seed=1))


Report = tuple[Path, Any, str, Any]


@pytest.mark.slow
def test_open_intervals_and_missing_predictions_are_drawn_counted_and_written(report: Report) -> None:
    out, metrics, page, numbers = report
    stars = held_out()
    assert np.isnan(stars["FEH"]).any()
    assert (np.isnan(stars["FEH_lo95"]) & np.isfinite(stars["FEH_lo68"])).any()
    with Image.open(out / "metal_poor.png") as image:
        assert image.size[0] > 800
    every = metrics["best"]["all"]
    assert every["n"] + every["n_without_feh"] == 400
    assert every["n_open"] > every["n_without_feh"] > 0
    assert f"{every['mae']:.4f} ± {every['mae_se']:.4f}" in page
    assert "Looks at these stars so far: 3." in page
    assert "A consistency check, not a validation" in page
    assert "nan" not in page
    table = pl.read_parquet(out / "stars.parquet")
    assert {"flags", "alpha_m_true", "teff_true", "feh_true", "reference"} <= set(table.columns)
    assert len({name.lower() for name in table.columns}) == table.width  # FITS, VOTable and TOPCAT ignore case
    assert table["reference"].dtype == pl.String
    assert numbers["looks"] == 3


def test_metrics_json_contains_the_numbers_on_the_page(report: Report) -> None:
    _, metrics, page, numbers = report
    best, sections = numbers["models"]["best"], numbers["sections"]
    assert {**best["slices"], **sections["faint_copies"]["best"]} == {
        label: {key: None if np.isnan(value) else value for key, value in each.items()}
        for label, each in metrics["best"].items()
    }
    slopes = sections["abundances"]["alpha_slope"]["best"]
    assert set(slopes) == {"all", "unflagged"}
    slope = slopes["all"]
    assert f"{slope['slope']:+.3f} ± {slope['slope_se']:.3f}".replace("-", "−") in page
    assert len(sections["selecting"]["best"]) == 12
    first = sections["selecting"]["best"][0]
    assert first["purity"] == first["right"] / first["selected"]
    assert f">{first['completeness']:.3f}<" in page


def test_every_section_is_there_with_pictures_for_screen_and_print(report: Report) -> None:
    out, _, page, numbers = report
    assert SECTIONS <= set(numbers["sections"])
    for key in numbers["sections"]:
        assert f'id="{key}"' in page
    shown = set(
        re.findall(r'<img src="([a-z_]+)\.png" alt="[^"]{40,}"', page)
    )  # with alternative text, for blind readers
    assert shown == {path.stem for path in out.glob("*.png")} == {path.stem for path in out.glob("*.pdf")}
    for absent in (
        "No table of clusters was provided",
        "No catalog was provided",
        "No earlier report was provided",
        "SAGA",
    ):
        assert absent in page
    assert not re.findall(r'(?:src|href)="https?:', page)


def test_a_users_catalog_does_not_replace_a_section() -> None:
    few = Compared("accuracy", "accuracy", True, {name: np.zeros(3) for name in ("feh", "FEH")}, {"stars": 3})
    assert reference_section(few).key == "reference_accuracy"


def test_tables_for_papers_have_the_numbers_on_the_page(report: Report) -> None:
    out, _, _, numbers = report
    mae = numbers["models"]["best"]["slices"]["all"]["mae"]
    for kind in ("md", "tex"):
        assert f"{mae:.4f}" in (out / f"accuracy.{kind}").read_text()
        assert "FEH" in (out / f"table_2.{kind}").read_text()
        assert "0.22" in (out / f"compared_with_paper.{kind}").read_text()


def test_every_models_predictions_are_kept(report: Report) -> None:
    first, other = (pl.read_parquet(report[0] / name) for name in ("stars.parquet", "stars-other.parquet"))
    assert first.height == other.height == 400
    assert (first["FEH"] != other["FEH"]).any()


def test_models_of_different_stars_are_compared_on_stars_that_neither_has_seen(report: Report) -> None:
    assert "those that none of them has seen" not in report[2]
    some = {name: values[:120] for name, values in held_out(seed=1).items()}
    own, common = accuracy(study(best=held_out(), part=some)).tables
    assert [row[2] for row in own.rows if row[0]] == ["394", "120"]
    assert [row[:2] for row in common.rows] == [["best", "120"], ["part", "120"]]


@pytest.mark.slow
def test_whole_sky_stars_have_their_sections_and_do_not_change_the_papers_numbers(tmp_path: Path) -> None:
    sky = whole_sky()
    dusty = ~sky["judges"]
    other = {**sky, "FEH": np.where(dusty, sky["FEH"] + 1, sky["FEH"])}
    metrics, page, numbers = written(tmp_path / "report", best=sky, other=other)
    assert metrics["best"]["all"] == metrics["other"]["all"]
    assert metrics["best"]["all"]["n"] == sky["judges"].sum()
    found = numbers["sections"]["through_the_plane"]
    right, wrong = (found[name]["giants 0.8<=ebv<1.5"]["all"] for name in ("best", "other"))
    assert wrong["bias"] == pytest.approx(right["bias"] + 1)
    assert f"{right['mae']:.4f} ± {right['mae_se']:.4f}" in page
    assert "nan" not in page
    good, spoilt = (found[name]["good"]["all"] for name in ("best", "other"))
    assert good["n"] == sky["good"].sum()
    assert f"{good['mae']:.4f} ± {good['mae_se']:.4f}" in (tmp_path / "report" / "good_stars.md").read_text()
    assert spoilt["mae"] > 5 * good["mae"]
    table = pl.read_parquet(tmp_path / "report" / "stars.parquet")
    names = {"teff_true", "logg_true", "alpha_m_true", "TEFF", "TEFF_err", "LOGG", "LOGG_err", "ALPHA_M", "ALPHA_M_err"}
    assert names | {"good"} <= set(table.columns)
    assert {"plane_map", "kiel", "alpha_feh", "labels"} <= {path.stem for path in (tmp_path / "report").glob("*.png")}


def test_a_model_of_one_label_has_dashes_next_to_one_with_more() -> None:
    sky = whole_sky()
    alone = {name: values for name, values in sky.items() if not name.startswith(("TEFF", "LOGG", "ALPHA_M"))}
    both = whole_star(study(best=sky, alone=alone))
    giants, labels = both.tables
    assert [row[-2:] for row in giants.rows[3:]] == [["–", "–"]] * 3
    assert [row[3:8] for row in labels.rows if row[2] == "alone"] == [["–"] * 5] * 3
    assert both.numbers["alone"]["teff"]["giants"]["n"] == 0
    (how,) = (row for row in giants.rows if row[1] == "by the flags" and row[-1] != "–")
    assert float(how[-1].split()[0]) > 0.9
    assert whole_star(study(alone=alone)).absent
    assert whole_star(study(alone=alone, best=sky)).pictures == []  # figures show the first model


def test_clusters_name_the_dust_in_the_training_sample() -> None:
    stars = held_out()
    cluster = Cluster("made up", ra=10, dec=10, rhalf=2.0, distance_modulus=14, feh=-1.0, feh_spread=np.nan)
    members = Members(cluster, rows=np.arange(20), m_g=np.zeros(20), field=0.0)
    made = replace(study(best=stars), clusters=[members])
    assert "on stars behind any amount of dust" in clusters(made).pictures[1].caption
    made.first.cards[0].recipe = RECIPES["paper"]
    assert "only on stars with E(B−V) < 0.2" in clusters(made).pictures[1].caption


def test_sections_with_too_few_stars_are_not_shown() -> None:
    few = study(looks=None, best=held_out(200, poor=5))
    assert [picture.name for picture in accuracy(few).pictures] == ["predicted"]
    assert np.isnan(few.first.slices["feh<-2"]["mae_se"])
    stars = held_out()
    unknown = np.full(400, np.nan)
    section = abundances(study(best={**stars, "alpha_m": unknown, "teff": unknown}))
    assert section.pictures == []
    assert section.numbers["alpha_slope"]["best"]["all"]["n"] == 0


def test_outliers_are_not_explained_by_the_source_of_a_distance() -> None:
    stars = held_out()
    stars["flags"] |= np.uint32(Flag.PARALLAX_DISTANCE)
    assert set(outliers(study(best=stars)).numbers["by_flag"]) == {"ODD_SN", "FEH_EDGE"}


def test_an_open_interval_is_an_arrow_and_a_star_without_feh_a_cross() -> None:
    stars = held_out()
    axes = metal_poor(stars).axes[0]
    poor = stars["feh"] < -1.5
    is_open = poor & np.isnan(stars["FEH_lo95"]) & np.isfinite(stars["FEH_hi68"])
    carets = [line for line in axes.lines if line.get_marker() == CARETDOWNBASE]
    drawn = {x for line in carets for x in line.get_xdata()}
    assert drawn == set(stars["feh"][is_open])
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == np.isnan(stars["FEH"][poor]).sum()


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        written(tmp_path, best=held_out())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_figures_do_not_use_gaiaxpys_latex() -> None:
    """GaiaXPy turns LaTeX on for the whole process when it is imported; most machines lack LaTeX."""
    import gaiaxpy
    import matplotlib

    assert gaiaxpy.__name__
    with matplotlib.rc_context({"text.usetex": True}):
        figure = example_spectra(held_out())
    assert not any(text.get_usetex() for text in figure.findobj(matplotlib.text.Text))
