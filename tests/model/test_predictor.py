import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.samples import Sample
from xpfeh.model.bundle import CARD, WEIGHTS, read_card, write_bundle
from xpfeh.model.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)


def test_a_stars_bytes_do_not_depend_on_its_batch(predictor: Predictor, sample: Sample) -> None:
    flux, error = (np.tile(sample.columns[name], (4, 1)) for name in ("flux", "flux_error"))
    whole = predictor.predict(flux, error)
    shuffled = np.random.default_rng(0).permutation(len(flux))
    again = predictor.predict(flux[shuffled], error[shuffled])
    for name in whole:
        assert whole[name][shuffled].tobytes() == again[name].tobytes()
    for star in (0, 17, len(flux) - 1):
        alone = predictor.predict(flux[star : star + 1], error[star : star + 1])
        assert alone["feh"].tobytes() == whole["feh"][star : star + 1].tobytes()


def test_the_ensembles_error_adds_variance_and_spread(predictor: Predictor, sample: Sample) -> None:
    flux, error = sample.columns["flux"][:30], sample.columns["flux_error"][:30]
    mean, sigma = (
        np.array(x) for x in predictor.network(tuple(np.broadcast_to(x, (2, 30, 60)) for x in (flux, error)))
    )
    predicted = predictor.predict(flux, error)
    np.testing.assert_allclose(predicted["feh"], mean.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predicted["feh_err"], np.sqrt((sigma**2).mean(0) + mean.var(0)), rtol=1e-4, atol=1e-5)


def test_nan_in_gives_nan_out_and_no_other_star_changes(predictor: Predictor, sample: Sample) -> None:
    flux, error = sample.columns["flux"][:5].copy(), sample.columns["flux_error"][:5]
    good = predictor.predict(flux, error)
    flux[2, 7] = np.nan
    result = predictor.predict(flux, error)
    assert np.isnan(result["feh"]).tolist() == [False, False, True, False, False]
    assert result["feh"][[0, 1, 3, 4]].tobytes() == good["feh"][[0, 1, 3, 4]].tobytes()


def test_no_stars_give_no_rows(predictor: Predictor) -> None:
    empty = np.empty((0, 60), dtype=np.float32)
    assert predictor.predict(empty, empty)["feh"].shape == (0,)


def test_a_fresh_process_predicts_the_same_bytes(
    bundle: Path, predictor: Predictor, sample: Sample, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", flux=sample.columns["flux"][:40], error=sample.columns["flux_error"][:40])
    script = (
        "import sys, numpy as np; from xpfeh.model.predictor import Predictor; x = np.load(sys.argv[2]);"
        "r = Predictor.load(sys.argv[1]).predict(x['flux'], x['error']); np.savez(sys.argv[3], **r)"
    )
    paths = [str(bundle), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, capture_output=True)
    here = predictor.predict(sample.columns["flux"][:40], sample.columns["flux_error"][:40])
    there = np.load(tmp_path / "out.npz")
    assert all(here[name].tobytes() == there[name].tobytes() for name in here)


def test_the_card_tells_what_made_the_model(bundle: Path, sample: Sample) -> None:
    card = read_card(bundle)
    assert card["recipe"]["steps"] == 1000
    assert card["stars"]["train"] == len(sample.part("train"))
    assert card["stars_left"] == sample.origin["stars_left"]
    assert "giant: M_G, or logg < 3.5 where M_G is unknown (cut 2)" in card["stars_left"]
    assert card["version"].startswith("paper-")
    assert {"commit", "keras", "numpy", "xpfeh"} <= set(card["made_by"])


def test_tampered_weights_are_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    weights = bytearray((copy / WEIGHTS).read_bytes())
    weights[-100] ^= 1
    (copy / WEIGHTS).write_bytes(weights)
    with pytest.raises(UserError, match="checksum"):
        Predictor.load(copy)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(UserError, match="not a model bundle"):
        Predictor.load(tmp_path)
    (tmp_path / CARD).write_text(json.dumps({**read_card(bundle), "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Predictor.load(tmp_path)


def test_a_folder_of_other_files_is_not_overwritten(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        write_bundle(tmp_path, predictor.network, {})
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_features_of_other_settings_are_refused(predictor: Predictor) -> None:
    other = {**predictor.card["preprocess"], "n_pixels": 30}
    with pytest.raises(UserError, match="n_pixels is 30, the model has 60"):
        predictor.check_features(other, "features")
