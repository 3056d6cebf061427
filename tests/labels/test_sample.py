from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from xpfeh.columns import to_arrays
from xpfeh.commands.read_sample import read_sample
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.flags import Flag
from xpfeh.labels.cuts import training_cuts, usable
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.sample import FEATURES, SPECTRA, FeaturesOrigin, Part, Sample, labelled_stars, split_by_sky
from xpfeh.settings import PreprocessSettings


def test_the_parts_to_judge_by_hold_only_stars_that_pass_every_cut(sample: Sample) -> None:
    stars = sample.part("train", "validation", "test").columns
    assert (stars["logg"] < 3.5).all()
    assert ((stars["bp_rp0"] > 0.7) & (stars["bp_rp0"] < 1.9)).all()
    assert (np.abs(stars["b"]) > 20).all()
    assert (stars["ebv"] < 0.2).all()
    assert (stars["phot_bp_rp_excess_factor"] < 1.15 + 0.19 * stars["bp_rp0"] ** 2).all()
    assert np.isfinite(stars["flux"]).all()


def test_the_origin_counts_the_stars_that_each_cut_left(sample: Sample) -> None:
    *counts, others = sample.origin.stars_left.values()
    assert counts[0] == 6000
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == len(sample.part("train", "validation", "test"))
    assert others == len(sample.part("train-other", "validation-other"))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_other_stars_lie_in_the_same_sky_as_the_part_that_they_join(sample: Sample, part: Part) -> None:
    """Every star with a usable spectrum that fails one of the paper's cuts, or has no [Fe/H], whatever else it is."""
    other = sample.part(f"{part}-other").columns
    assert len(other["feh"]) > 50
    assert set(split_by_sky(other["source_id"], "xpfeh")) == {part}
    assert usable(other).all()
    passed = np.logical_and.reduce(list(training_cuts(other, other["logg"]).values()))
    assert not (passed & np.isfinite(other["feh"])).any()


def test_the_others_are_dwarfs_and_dusty_and_near_the_plane(sample: Sample) -> None:
    other = sample.part("train-other").columns
    for chosen in (other["logg"] > 3.5, other["ebv"] > 0.5, np.abs(other["b"]) < 20):
        assert chosen.mean() > 0.1


def test_every_usable_star_with_a_label_is_in_one_part(sample: Sample, features_dir: Path, labels_file: Path) -> None:
    features = to_arrays(Dataset.at(features_dir).read(FEATURES))
    labelled = np.isin(features["source_id"], read_labels(labels_file).source_id)
    expected = features["source_id"][labelled & usable(features)]
    np.testing.assert_array_equal(np.sort(expected), np.sort(sample.columns["source_id"]))
    assert set(np.unique(sample.columns["part"])) == set(get_args(Part))


def test_no_label_of_a_star_is_lost(sample: Sample, labels_file: Path) -> None:
    labels = read_labels(labels_file)
    rows = np.searchsorted(labels.source_id, sample.columns["source_id"], sorter=np.argsort(labels.source_id))
    rows = np.argsort(labels.source_id)[rows]
    for name in ("feh", "feh_err", "logg", "teff", "alpha_m"):
        np.testing.assert_array_equal(sample.columns[name], getattr(labels, name)[rows])


def test_a_spectrum_is_usable_if_a_model_can_answer_for_it() -> None:
    flags = [0, Flag.FAINT | Flag.ODD_SN, Flag.BAD_SPECTRUM, Flag.NO_DUST, Flag.NO_DUST | Flag.LOW_SN, Flag.NOT_GIANT]
    found = usable({"flags": np.array(flags, dtype=np.uint32)})
    assert found.tolist() == [True, True, False, False, False, True]


def test_a_star_that_is_in_the_features_twice_is_refused(features_dir: Path, labels_file: Path) -> None:
    """It would get another star's label."""
    features = to_arrays(Dataset.at(features_dir).read(["source_id", "flags"]))
    twice = {name: np.append(values, values[7]) for name, values in features.items()}
    origin = FeaturesOrigin("here", PreprocessSettings(), "0" * 16, 6001)
    with pytest.raises(UserError, match=f"here: source_id {features['source_id'][7]} is there 2 times"):
        labelled_stars(twice, origin, read_labels(labels_file))


def test_a_star_without_a_usable_spectrum_is_in_no_part(features_dir: Path, labels_file: Path) -> None:
    features = to_arrays(Dataset.at(features_dir).read(FEATURES))
    broken = np.where(np.arange(6000) % 2, 0, Flag.BAD_SPECTRUM).astype(np.uint32)
    features["flags"] = features["flags"] | broken
    origin = FeaturesOrigin("here", PreprocessSettings(), "0" * 16, 6000)
    stars = labelled_stars(features, origin, read_labels(labels_file))
    found = stars.split({name: features[name][stars.rows] for name in SPECTRA})
    assert not set(found.columns["source_id"]) & set(features["source_id"][::2])
    *_, left, others = found.origin.stars_left.values()
    assert left == len(found.part("train", "validation", "test"))
    assert others == len(found.part("train-other", "validation-other"))


def test_where_m_g_is_known_it_decides_and_not_logg() -> None:
    star = {
        "flags": np.zeros(2, np.uint32),
        "bp_rp0": np.ones(2),
        "m_g": np.array([5.0, np.nan]),
        "phot_bp_rp_excess_factor": np.full(2, 1.2),
        "b": np.full(2, 50.0),
        "ebv": np.zeros(2),
        "g0": np.full(2, 12.0),
    }
    cuts = training_cuts(star, np.array([1.0, 1.0]))
    (giant,) = [passes for name, passes in cuts.items() if name.startswith("giant")]
    assert giant.tolist() == [False, True]
    star["flags"][0] = Flag.NEAR_PLANE
    (height,) = [passes for name, passes in training_cuts(star, np.ones(2)).items() if name.startswith("|Z|")]
    assert height.tolist() == [False, True]


def test_the_split_is_by_cell_and_frozen() -> None:
    rng = np.random.default_rng(0)
    source_id = rng.integers(0, 12 * 4**12, 200_000) * 2**35 + rng.integers(0, 2**35, 200_000)
    parts = split_by_sky(source_id, "xpfeh")
    cells = source_id // (2**35 * 4**7)
    assert len({(cell, part) for cell, part in zip(cells, parts, strict=True)}) == len(np.unique(cells))
    shares = [(parts == name).mean() for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.01)
    frozen = split_by_sky(np.arange(0, 10) * 2**35 * 4**7, "xpfeh").tolist()
    assert frozen == FROZEN
    assert (split_by_sky(source_id, "another") != parts).mean() > 0.3


FROZEN = ["test", "train", "train", "test", "train", "train", "train", "train", "test", "train"]


def test_labels_of_other_stars_or_no_star_left_are_refused(features_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    pl.DataFrame({"source_id": [1, 2], "feh": [0.0, 0.0]}).write_csv(path)
    with pytest.raises(UserError, match="none of its 6000 stars"):
        read_sample(features_dir, path)


def test_incomplete_features_are_refused(features_dir: Path, labels_file: Path, tmp_path: Path) -> None:
    part = next(features_dir.glob("*.parquet"))
    (tmp_path / part.name).write_bytes(part.read_bytes())
    with pytest.raises(UserError, match="not an xpfeh dataset"):
        read_sample(tmp_path, labels_file)
