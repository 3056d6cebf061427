import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.inference.bundle import CARD, MODEL, SLOPES, pack, read_card, unpack, write_bundle
from xpfeh.inference.card import ModelCard, Training
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import COLUMNS, Predictor
from xpfeh.labels.sample import Sample
from xpfeh.xp.deredden import attenuation
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.pixels import edges, normalisation, rebin


def first(sample: Sample, n: int) -> dict[str, np.ndarray]:
    """Return the predictor's input, 343 samples per spectrum, for `n` stars like the test stars."""
    stars = sample.part("train", "validation", "test").columns
    return {name: stars[name][:n] for name in INPUTS}


def intrinsic(stars: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Without dust (N, 343) features are `flux / (dimming * level)`: return the two, (N, 343) and (N, 1)."""
    dimming = attenuation(stars["ebv"])
    return dimming, normalisation(stars["flux"] / dimming, (540.0, 560.0))[:, None]


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor(bundle)


def test_a_stars_bytes_do_not_depend_on_its_batch(predictor: Predictor, sample: Sample) -> None:
    stars = {name: np.concatenate([sample.columns[name]] * 4) for name in INPUTS}
    whole = predictor.predict(stars)
    shuffled = np.random.default_rng(0).permutation(len(stars["flux"]))
    again = predictor.predict({name: values[shuffled] for name, values in stars.items()})
    assert set(whole) > {"FEH", "FEH_err", "FEH_lo95", "FEH_err_epistemic", "domain_score"}
    for name in whole:
        assert whole[name][shuffled].tobytes() == again[name].tobytes()
    for star in (0, 17, len(shuffled) - 1):
        alone = predictor.predict({name: values[star : star + 1] for name, values in stars.items()})
        for name in whole:
            assert alone[name].tobytes() == whole[name][star : star + 1].tobytes()


def test_intervals_are_nested_and_contain_the_estimate(predictor: Predictor, sample: Sample) -> None:
    p = predictor.predict(sample.part("train", "validation", "test").columns)
    ordered = np.stack([p[f"FEH{name}"] for name in ("_lo95", "_lo68", "", "_hi68", "_hi95")])
    assert not (np.diff(ordered, axis=0) < 0).any()  # an open end is NaN
    assert np.isfinite(ordered).all(axis=0).mean() > 0.5
    np.testing.assert_allclose(p["FEH_err"], (p["FEH_hi68"] - p["FEH_lo68"]) / 2, rtol=1e-4)


def test_samples_are_binned_into_the_recipes_pixels(predictor: Predictor, sample: Sample) -> None:
    """Any samples with the same medians behind the dust, and the same root mean squares of errors, are the same star.

    Except those around 550 nm, which set the scale.
    """
    stars = first(sample, 20)
    dimming, level = intrinsic(stars)
    spectrum, error = (stars[name] / dimming / level for name in ("flux", "flux_error"))
    medians, rms = rebin(spectrum, error, 60)
    flat = (np.repeat(each, np.diff(edges(60)), axis=1) for each in (medians, rms))
    pixel = np.repeat(np.arange(60), np.diff(edges(60)))
    kept = np.isin(pixel, pixel[(WAVELENGTH_NM >= 540) & (WAVELENGTH_NM <= 560)])
    flux, flux_error = (
        (np.where(kept, ours, other) * dimming * level).astype(np.float32)
        for ours, other in zip((spectrum, error), flat, strict=True)
    )
    assert (np.abs(flux / stars["flux"] - 1) > 1e-3).mean() > 0.3
    ours, same = (predictor.predict(x) for x in (stars, {**stars, "flux": flux, "flux_error": flux_error}))
    for name in ("FEH", "FEH_err_aleatoric", "domain_score"):
        np.testing.assert_allclose(ours[name], same[name], rtol=1e-4, atol=1e-4)


def test_sensitivity_is_the_slope_of_the_estimate(predictor: Predictor, sample: Sample) -> None:
    """With respect to the dereddened flux."""
    stars = first(sample, 40)
    slopes = predictor.sensitivity(stars)
    dimming, level = intrinsic(stars)
    step = 1e-2
    for pixel in (5, 30, 55):
        inside = np.isin(np.arange(343), np.arange(*edges(60)[pixel : pixel + 2]))
        shift = step * inside * dimming * level
        up, down = (
            predictor.predict({**stars, "flux": (stars["flux"] + sign * shift).astype(np.float32)})["FEH"]
            for sign in (1, -1)
        )
        assert np.nanmedian(np.abs(slopes[:, pixel] - (up - down) / (2 * step))) < 0.05 * np.abs(slopes).max()


def test_all_columns_are_there_and_null_if_the_recipe_has_not_learned_them(
    predictor: Predictor, sample: Sample
) -> None:
    found = predictor.predict(first(sample, 5))
    assert tuple(found) == COLUMNS
    unknown = {name for name, values in found.items() if np.isnan(values).all()}
    assert unknown == {"TEFF", "TEFF_err", "LOGG", "LOGG_err", "ALPHA_M", "ALPHA_M_err"}


def test_nan_in_gives_nan_out_and_other_stars_are_unchanged(predictor: Predictor, sample: Sample) -> None:
    stars = {name: values.copy() for name, values in first(sample, 5).items()}
    good = predictor.predict(stars)
    stars["flux"][2, 7] = stars["ebv"][4] = np.nan
    result = predictor.predict(stars)
    assert np.isfinite(good["FEH"]).all()
    for name in result:
        assert np.isnan(result[name][[2, 4]]).all()
        assert result[name][[0, 1, 3]].tobytes() == good[name][[0, 1, 3]].tobytes()


def test_no_stars_give_no_rows(predictor: Predictor) -> None:
    none = {"flux": np.empty((0, 343)), "flux_error": np.empty((0, 343)), "ebv": np.empty(0)}
    assert predictor.predict(none)["FEH"].shape == (0,)


def test_a_fresh_process_predicts_the_same_bytes(
    bundle: Path, predictor: Predictor, sample: Sample, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", **first(sample, 40))
    script = (
        "import sys, numpy as np; from xpfeh.inference.predictor import Predictor; x = np.load(sys.argv[2]);"
        "r = Predictor(sys.argv[1]).predict(x); np.savez(sys.argv[3], **r)"
    )
    paths = [str(bundle), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, capture_output=True)
    here = predictor.predict(first(sample, 40))
    there = np.load(tmp_path / "out.npz")
    assert all(here[name].tobytes() == there[name].tobytes() for name in here)


def test_the_card_describes_how_the_model_was_made(bundle: Path, sample: Sample) -> None:
    card = read_card(bundle)
    assert card.recipe.steps == 1000
    assert card.stars.train == len(sample.part("train"))
    assert card.stars_left == sample.origin.stars_left
    assert "giant: M_G, or logg < 3.5 where M_G is unknown (cut 2)" in card.stars_left
    assert card.version.startswith("paper-")
    assert {"commit", "keras", "numpy", "xpfeh"} <= set(card.made_by)


def test_the_card_of_a_model_without_good_stars(bundle: Path) -> None:
    card = read_card(bundle)  # for a recipe without log g, and stars without a distance
    assert card.good == {"n": 0, "completeness": 0, "completeness_se": 0}
    earlier = card.model_dump(exclude={"good"})  # cards from before that column existed
    assert ModelCard.model_validate(earlier) == card.model_copy(update={"good": {}})


@pytest.mark.parametrize("name", [MODEL, SLOPES])
def test_a_tampered_file_is_refused(bundle: Path, sample: Sample, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    content = bytearray((copy / name).read_bytes())
    content[-100] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(UserError, match="checksum"):
        Predictor(copy).sensitivity(first(sample, 3))


def test_a_folder_that_is_not_a_bundle_is_refused(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(UserError, match="not a model bundle"):
        Predictor(tmp_path)
    (tmp_path / CARD).write_text(json.dumps({**read_card(bundle).model_dump(mode="json"), "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {}}, "split.salt: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"stars": {"train": "many", "validation": 1, "test": 1}}, "stars.train"),
        ({"recipe": {"hidden": [0]}}, "layer widths must be at least 1"),
    ],
)
def test_a_card_changed_by_hand_is_refused(bundle: Path, tmp_path: Path, change: dict, message: str) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    card = json.loads((copy / CARD).read_text())
    for key, value in change.items():
        card[key] = {**card[key], **value} if key == "recipe" else value
    (copy / CARD).write_text(json.dumps(card))
    with pytest.raises(UserError, match=message):
        Predictor(copy)


def test_workers_get_only_the_files_needed_to_predict(predictor: Predictor, bundle: Path, sample: Sample) -> None:
    files = pack(bundle)
    assert set(files) == {MODEL, CARD}
    stars = first(sample, 100)
    with unpack(files) as folder:
        there = Predictor(folder)
    here, sent = predictor.predict(stars), there.predict(stars)
    assert all(here[name].tobytes() == sent[name].tobytes() for name in here)


def test_a_folder_of_other_files_is_not_overwritten(tmp_path: Path, predictor: Predictor, bundle: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    training = Training(**{name: getattr(predictor.card, name) for name in Training.model_fields})
    with pytest.raises(UserError, match="other files"):
        write_bundle(tmp_path, pack(bundle), predictor.card.recipe, training)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_the_dust_map_may_differ_if_dust_is_only_a_hint(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spectrum dereddened with another map is a different spectrum."""
    other = predictor.card.preprocess.model_copy(update={"dust_map": "sfd"})
    with pytest.raises(UserError, match="dust_map is sfd, the model expects sfd-nside64"):
        predictor.check_features(other, "features")
    recipe = predictor.card.recipe.model_copy(update={"dust": "hint"})
    monkeypatch.setattr(predictor, "card", predictor.card.model_copy(update={"recipe": recipe}))
    predictor.check_features(other, "features")
    with pytest.raises(UserError, match=r"r_g is 2\.0"):
        predictor.check_features(other.model_copy(update={"r_g": 2.0}), "features")


def test_features_of_other_settings_are_refused(predictor: Predictor) -> None:
    expected = predictor.card.preprocess
    predictor.check_features(expected, "features")
    for name, value, own in (("sun_height_pc", 20.8, "0.0"), ("release", "dr4", "dr3")):
        with pytest.raises(UserError, match=f"{name} is {value}, the model expects {own}"):
            predictor.check_features(expected.model_copy(update={name: value}), "features")


def test_a_recipe_that_removes_dust_accepts_only_its_own_map(predictor: Predictor, full_map: None) -> None:
    own = predictor.card.preprocess
    assert predictor.preprocess_by(None) == predictor.preprocess_by("sfd-nside64") == own
    with pytest.raises(UserError) as refused:
        predictor.preprocess_by("sfd")
    assert str(refused.value).startswith("recipe paper dereddens with the map it was trained with (sfd-nside64)")
    with pytest.raises(UserError, match="dust_map is sfd, the model expects sfd-nside64"):
        predictor.check_features(own.model_copy(update={"dust_map": "sfd"}), "features")


def test_a_recipe_that_takes_dust_as_a_hint_accepts_any_map(hint_bundle: Path, full_map: None) -> None:
    predictor = Predictor(hint_bundle)
    own = predictor.card.preprocess
    assert predictor.preprocess_by(None) == own
    other = predictor.preprocess_by("sfd")
    assert other == own.model_copy(update={"dust_map": "sfd"})
    predictor.check_features(other, "features")
    with pytest.raises(UserError, match=r"sun_height_pc is 20\.8"):
        predictor.check_features(other.model_copy(update={"sun_height_pc": 20.8}), "features")
    with pytest.raises(UserError, match=r"setting dust_map: .*'sfd-nside64' or 'sfd' \(given: 'planck'\)"):
        predictor.preprocess_by("planck")


def test_a_missing_map_is_reported_at_once(hint_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    with pytest.raises(UserError, match="get it with: xpfeh fetch sfd"):
        Predictor(hint_bundle).preprocess_by("sfd")
