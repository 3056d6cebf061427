from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.commands.read_sample import read_sample
from xpfeh.errors import UserError
from xpfeh.flags import Flag
from xpfeh.labels.cuts import training_cuts
from xpfeh.labels.sample import Sample, split_by_sky


def test_the_parts_to_judge_by_hold_only_stars_that_pass_every_cut(sample: Sample) -> None:
    stars = sample.part("train", "validation", "test").columns
    assert (stars["logg"] < 3.5).all()
    assert ((stars["bp_rp0"] > 0.7) & (stars["bp_rp0"] < 1.9)).all()
    assert (np.abs(stars["b"]) > 20).all()
    assert (stars["ebv"] < 0.2).all()
    assert (stars["phot_bp_rp_excess_factor"] < 1.15 + 0.19 * stars["bp_rp0"] ** 2).all()
    assert np.isfinite(stars["flux"]).all()


def test_the_origin_counts_the_stars_that_each_cut_left(sample: Sample) -> None:
    *counts, wide = sample.origin.stars_left.values()
    assert counts[0] == 6000
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == len(sample.part("train", "validation", "test"))
    assert wide == len(sample.part("train-wide", "validation-wide"))


def test_wide_stars_lie_in_the_same_sky_as_the_part_they_widen(sample: Sample) -> None:
    for part in ("train", "validation"):
        wide = sample.part(f"{part}-wide").columns
        assert len(wide["feh"]) > 50
        assert set(split_by_sky(wide["source_id"], "xpfeh")) == {part}
        assert (wide["logg"] < 4.2).all()
        assert (wide["ebv"] < 0.5).all()
        assert (wide["phot_bp_rp_excess_factor"] < 1.15 + 0.19 * wide["bp_rp0"] ** 2).all()
        outside = (wide["logg"] >= 3.5) | (wide["ebv"] >= 0.2) | (np.abs(wide["b"]) <= 20)
        assert outside.all()


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
    with pytest.raises(UserError, match="no dataset of xpfeh"):
        read_sample(tmp_path, labels_file)
