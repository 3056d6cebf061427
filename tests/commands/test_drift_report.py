"""A dataset compared with a model's stars, by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from xpfeh.cli.main import main
from xpfeh.columns import to_arrays
from xpfeh.commands.drift import STARS, find_drift
from xpfeh.dataset.dataset import Dataset
from xpfeh.flags import OUTSIDE_PAPER_SAMPLE
from xpfeh.inference.domain import to_ranges
from xpfeh.inference.estimate import estimate
from xpfeh.inference.inputs import network_inputs
from xpfeh.inference.predictor import Predictor


def test_the_report_has_the_numbers_and_a_picture(
    features_dir: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--features", str(features_dir), "--model", str(bundle)]
    with pytest.raises(SystemExit) as ended:
        main(["drift", *data, "--out", str(tmp_path / "drift")])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "stars fail none of the paper's cuts 1 to 3" in printed
    assert "cut 3 (|Z|): not evaluated for 100.0% of them" in printed  # the library has no distances
    report = json.loads((tmp_path / "drift" / "drift.json").read_text())
    assert report["model"] == Predictor(bundle).version
    assert report["plan"] == Dataset.at(features_dir).plan.fingerprint()
    assert report["stars_read"] == 6000
    assert 0 < report["given"]["stars"] < 6000
    assert (tmp_path / "drift" / "drift.png").stat().st_size > 10_000
    found = find_drift(features_dir, bundle, tmp_path / "drift")  # its own report may be replaced
    assert found.drift.differences == report["differences"]


@pytest.mark.slow
def test_spectra_are_compared_as_the_networks_see_them(features_dir: Path, bundle: Path, tmp_path: Path) -> None:
    """The recipe removes dust; as observed, the same stars would be redder than those in the card."""
    predictor, stars = Predictor(bundle), to_arrays(Dataset.at(features_dir).some(STARS))
    assert predictor.card.recipe.dust == "removed"
    given = find_drift(features_dir, bundle, tmp_path / "drift").given
    taken = network_inputs(stars, predictor.card.recipe, predictor.card.preprocess)
    answers = estimate(stars, predictor)
    passing = (answers["flags"] & np.uint32(OUTSIDE_PAPER_SAMPLE) == 0) & np.isfinite(answers["domain_score"])
    np.testing.assert_allclose(given.flux, np.median(to_ranges(taken["flux"][passing]), axis=0), atol=1e-6)
    observed = np.median(to_ranges(stars["flux"][passing]), axis=0)
    assert observed[-1] > 1.1 * given.flux[-1]


def test_some_stars_represent_a_large_dataset(features_dir: Path) -> None:
    table = Dataset.at(features_dir).some(300)
    assert 290 <= table.num_rows <= 300
    assert table["source_id"].combine_chunks().value_counts().field("counts").to_pylist() == [1] * table.num_rows
