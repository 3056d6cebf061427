"""Each star is predicted by the model that has not seen its part of the sky."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.inference.bundle import CARD, read_card
from xpfeh.inference.cross_validated import NONE, CrossValidated, answers
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import TEST_FOLDS, Sample, split_by_sky


@pytest.fixture(scope="module")
def five(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return five copies of one model whose cards claim that each holds out a different fifth."""
    folder = tmp_path_factory.mktemp("five")
    for fold in range(TEST_FOLDS):
        shutil.copytree(bundle, folder / str(fold))
        card = read_card(bundle)
        card = card.model_copy(update={"split": card.split.model_copy(update={"test_fold": fold})})
        (folder / str(fold) / CARD).write_text(card.model_dump_json())
    return [folder / str(fold) for fold in range(TEST_FOLDS)]


def test_every_star_has_one_model_that_has_not_seen_it(five: list[Path], sample: Sample) -> None:
    judge = CrossValidated(five)
    ids = sample.columns["source_id"]
    unseen, taught = judge.unseen_by(ids), judge.taught_by(ids)
    for number, card in enumerate(judge.cards):
        parts = split_by_sky(ids, judge.salt, card.split.test_fold)
        assert set(parts[unseen == number]) == {"test"}
        assert set(parts[taught == number]) <= {"train"}
    assert (unseen != NONE).all()
    assert (taught != NONE).all()
    assert len(np.unique(unseen)) == TEST_FOLDS


def test_one_model_predicts_only_its_fifth(bundle: Path, sample: Sample) -> None:
    judge = CrossValidated([bundle])
    stars = sample.columns
    by = judge.unseen_by(stars["source_id"])
    np.testing.assert_array_equal(by != NONE, np.char.startswith(stars["part"], "test"))
    found = judge.answers(stars, by)
    expected = answers(Predictor(bundle), {name: values[by != NONE] for name, values in stars.items()})
    np.testing.assert_array_equal(found["source_id"], expected["source_id"])
    np.testing.assert_array_equal(found["FEH"], expected["FEH"])
    np.testing.assert_array_equal(found["flags"], expected["flags"])
    assert "flux" not in found


def test_answers_keep_the_order_of_the_stars(five: list[Path], sample: Sample) -> None:
    judge = CrossValidated(five)
    by = judge.unseen_by(sample.columns["source_id"])
    by[::7] = NONE
    found = judge.answers(sample.columns, by)
    np.testing.assert_array_equal(found["source_id"], sample.columns["source_id"][by != NONE])
    slopes = judge.sensitivity(sample.columns, by)
    assert len(slopes) == len(found["FEH"])
    np.testing.assert_array_equal(slopes, Predictor(five[0]).sensitivity(sample.columns)[by != NONE])  # copies of one


def test_models_not_from_one_cross_validation_are_refused(five: list[Path], bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hold out the same fifth"):
        CrossValidated([five[1], five[1]])
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    card = read_card(bundle)
    split = card.split.model_copy(update={"salt": "another"})
    (other / CARD).write_text(card.model_copy(update={"split": split}).model_dump_json())
    with pytest.raises(UserError, match="not from one cross-validation"):
        CrossValidated([five[0], other])
