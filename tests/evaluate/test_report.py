import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.markers import CARETDOWNBASE
from PIL import Image
from xpfeh.commands.validate import validate
from xpfeh.errors import UserError
from xpfeh.evaluate.feh_figures import metal_poor
from xpfeh.evaluate.figures import example_spectra
from xpfeh.evaluate.report import write_report
from xpfeh.labels.sample import Sample

from tests.evaluate.made_up import card, held_out

PICTURES = ("predicted.png", "residuals.png", "calibration.png", "coverage.png", "sensitivity.png", "spectra.png")


def written(out: Path, looks: int | None = 3, **stars: dict[str, np.ndarray]) -> tuple[Any, str, Any]:
    """Write a report of made-up stars; return its metrics, its page and its file of numbers."""
    first = next(iter(stars.values()))
    slopes = np.random.default_rng(0).normal(0, 1, (len(first["feh"]), 60)).astype(np.float32)
    fainter = {name: {"as if G=17": columns} for name, columns in stars.items()}
    cards = {name: [card(f"{name}-0123")] for name in stars}
    metrics = write_report(out, stars, fainter, cards, slopes, "APOGEE", looks)
    return metrics, (out / "index.html").read_text(), json.loads((out / "metrics.json").read_text())


def test_a_report_of_a_real_model_holds_numbers_pictures_and_the_stars(
    bundle: Path, sample: Sample, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    metrics = validate({"small": bundle, "again": bundle}, sample, out, truth="APOGEE")
    every = metrics["small"]["all"]
    assert every["n"] + every["n_without_feh"] == len(sample.part("test"))
    for part in ("all", "unflagged", "feh<-1"):
        assert {"bias", "robust_sigma", "std", "mae", "mae_se", "coverage_68"} <= set(metrics["small"][part])
    page = (out / "index.html").read_text()
    for picture in PICTURES:
        assert f'src="{picture}"' in page
        with Image.open(out / picture) as image:
            assert image.size[0] > 800
    validate({"small": bundle}, sample, out)
    assert set(json.loads((out / "metrics.json").read_text())["models"]) == {"small"}


def test_open_intervals_and_missing_answers_are_drawn_counted_and_written(tmp_path: Path) -> None:
    stars = held_out()
    assert np.isnan(stars["FEH"]).any()
    assert (np.isnan(stars["FEH_lo95"]) & np.isfinite(stars["FEH_lo68"])).any()
    metrics, page, numbers = written(tmp_path / "report", best=stars)
    with Image.open(tmp_path / "report" / "metal_poor.png") as image:
        assert image.size[0] > 800
    every = metrics["best"]["all"]
    assert every["n"] + every["n_without_feh"] == 400
    assert every["n_open"] > every["n_without_feh"] > 0
    assert f"{every['mae']:.4f} ± {every['mae_se']:.4f}" in page
    assert "Looks at these stars so far: 3." in page
    assert "A consistency check and no validation" in page
    assert "nan" not in page
    table = pl.read_parquet(tmp_path / "report" / "stars.parquet")
    assert {"flags", "alpha_m", "teff", "reference"} <= set(table.columns)
    assert table["reference"].dtype == pl.String
    assert numbers["looks"] == 3


def test_the_file_of_numbers_holds_what_the_page_shows(tmp_path: Path) -> None:
    stars = held_out()
    metrics, page, numbers = written(tmp_path / "report", best=stars, other=held_out(seed=1))
    best = numbers["models"]["best"]
    assert {**best["slices"], **best["faint"]} == {
        label: {key: None if np.isnan(value) else value for key, value in each.items()}
        for label, each in metrics["best"].items()
    }
    assert set(best["alpha_slope"]) == {"all", "unflagged"}
    slope = best["alpha_slope"]["all"]
    assert f"{slope['slope']:+.3f} ± {slope['slope_se']:.3f}" in page
    assert len(best["selections"]) == 8
    first = best["selections"][0]
    assert first["purity"] == first["right"] / first["selected"]
    assert f"<td>{first['completeness']:.0%}".replace("%", " %") in page


def test_few_metal_poor_stars_have_no_picture_of_their_own(tmp_path: Path) -> None:
    _, page, numbers = written(tmp_path / "report", looks=None, best=held_out(200, poor=5))
    assert "metal_poor.png" not in page
    assert not (tmp_path / "report" / "metal_poor.png").exists()
    assert "Looks" not in page
    assert numbers["looks"] is None
    assert numbers["models"]["best"]["slices"]["feh<-2"]["mae_se"] is None


def test_labels_without_alpha_or_temperature_are_drawn_too(tmp_path: Path) -> None:
    stars = held_out()
    unknown = np.full(400, np.nan)
    _, _, numbers = written(tmp_path / "report", best={**stars, "alpha_m": unknown, "teff": unknown})
    assert numbers["models"]["best"]["alpha_slope"]["all"] == {"n": 0, "slope": None, "slope_se": None}


def test_an_open_interval_is_an_arrow_and_a_silent_star_a_cross() -> None:
    stars = held_out()
    axes = metal_poor(stars).axes[0]
    poor = stars["feh"] < -1.5
    is_open = poor & np.isnan(stars["FEH_lo95"]) & np.isfinite(stars["FEH_hi68"])
    carets = [line for line in axes.lines if line.get_marker() == CARETDOWNBASE]
    drawn = {x for line in carets for x in line.get_xdata()}
    assert drawn == set(stars["feh"][is_open])
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == np.isnan(stars["FEH"][poor]).sum()


def test_a_folder_of_other_files_is_not_replaced(bundle: Path, sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        validate({"small": bundle}, sample, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_figures_do_not_take_gaiaxpys_latex() -> None:
    """GaiaXPy turns LaTeX on for the whole process as it is imported; LaTeX is not there on most machines."""
    import gaiaxpy
    import matplotlib

    assert gaiaxpy.__name__
    with matplotlib.rc_context({"text.usetex": True}):
        figure = example_spectra(held_out())
    assert not any(text.get_usetex() for text in figure.findobj(matplotlib.text.Text))
