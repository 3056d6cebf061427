import json
from pathlib import Path

import pytest
from PIL import Image
from xpfeh.commands.validate import validate
from xpfeh.errors import UserError
from xpfeh.evaluate.figures import example_spectra
from xpfeh.labels.sample import Sample

PICTURES = ("predicted.png", "residuals.png", "calibration.png", "coverage.png", "sensitivity.png", "spectra.png")


def test_a_report_holds_numbers_pictures_and_the_stars(bundle: Path, sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "report"
    metrics = validate({"small": bundle, "again": bundle}, sample, out, truth="APOGEE")
    text = (out / "metrics.json").read_text()
    assert json.loads(text) == metrics
    assert "NaN" not in text
    names = {"n", "bias", "robust_sigma", "std", "mae", "coverage_68", "coverage_95", "z_robust_std"}
    for part in ("all", "feh<-1", "feh<-2"):
        assert names <= set(metrics["small"][part])
    assert metrics["small"]["all"]["n"] == len(sample.part("test"))
    page = (out / "index.html").read_text()
    for picture in PICTURES:
        assert f'src="{picture}"' in page
        with Image.open(out / picture) as image:
            assert image.size[0] > 800
    validate({"small": bundle}, sample, out)
    assert "again" not in json.loads((out / "metrics.json").read_text())


def test_a_folder_of_other_files_is_not_replaced(bundle: Path, sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        validate({"small": bundle}, sample, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_figures_do_not_take_gaiaxpys_latex(sample: Sample) -> None:
    """GaiaXPy turns LaTeX on for the whole process as it is imported; LaTeX is not there on most machines."""
    import gaiaxpy
    import matplotlib

    assert gaiaxpy.__name__
    with matplotlib.rc_context({"text.usetex": True}):
        figure = example_spectra(sample.columns)
    assert not any(text.get_usetex() for text in figure.findobj(matplotlib.text.Text))
