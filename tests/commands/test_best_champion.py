"""A challenger is compared with the best champion so far, not the latest; models and registry are stand-ins."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from xpfeh.commands.promote import NotPromotedError, Promotion, promote
from xpfeh.errors import UserError
from xpfeh.experiments import registry
from xpfeh.inference.predictor import with_all_columns
from xpfeh.labels.sample import Sample, SampleOrigin, Split
from xpfeh.settings import RECIPES, PreprocessSettings

from tests.evaluate.made_up import gaussian, held_out

N = 600
STARS = held_out(N, poor=0)
ORIGIN = SampleOrigin(
    preprocess=PreprocessSettings(),
    features="",
    labels_sha256="",
    stars_left={},
    split=Split(salt="sky", healpix_level=5, test_fold=4),
)
SAMPLE = Sample({**STARS, "part": np.full(N, "test")}, ORIGIN)


class Answers:
    """A predictor whose residuals are Gaussian, with the right uncertainties."""

    version = "made-up"
    card = SimpleNamespace(domain_threshold=1.0, recipe=RECIPES["paper"])

    def __init__(self, scatter: float) -> None:
        self.scatter = scatter

    def predict(self, features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        n = len(features["ebv"])
        answers = gaussian(self.scatter * np.random.default_rng(1).standard_normal(n), np.full(n, self.scatter))
        truth = answers.pop("feh") + np.resize(STARS["feh"], n)
        error = answers.pop("FEH_err")
        columns = {name: (truth + values).astype(np.float32) for name, values in answers.items()}
        return with_all_columns(
            {**columns, "FEH_err": error.astype(np.float32), "domain_score": np.zeros(n, np.float32)}
        )


Promote = Callable[..., Promotion]


@pytest.fixture
def promote_against(monkeypatch: pytest.MonkeyPatch) -> Promote:
    """Return a function that promotes a challenger of some scatter against champions of others, latest last."""

    def go(challenger: float, *champions: float | None, force: str | None = None, trees: float = 0.2) -> Promotion:
        scatters = dict(enumerate(champions, start=1))

        def judged(bundle: Path, sample: Sample) -> Answers:
            scatter = challenger if bundle.name == "challenger" else scatters[int(bundle.name)]
            if scatter is None:
                raise UserError("cannot be read")
            return Answers(scatter)

        versions = [str(version) for version in reversed(scatters)]
        monkeypatch.setattr("xpfeh.commands.promote.fair_judge", judged)
        monkeypatch.setattr("xpfeh.commands.promote.boosted_trees", lambda sample, asked: {"FEH": STARS["feh"] + trees})
        monkeypatch.setattr(registry, "candidate_of", lambda run: registry.Candidate(run, "", Path("challenger")))
        monkeypatch.setattr(registry, "champion", lambda: versions[0] if versions else None)
        monkeypatch.setattr(registry, "champions", lambda most: versions[:most])
        monkeypatch.setattr(registry, "fetch", lambda model: Path(model.rpartition("/")[2]))
        monkeypatch.setattr(registry, "count_look", lambda salt: 7)
        monkeypatch.setattr(registry, "make_champion", lambda candidate, before, tags: str(len(scatters) + 1))
        return promote("run", SAMPLE, force)

    return go


def spreads(promotion: Promotion) -> dict[str, float]:
    return {gate.name: gate.high for gate in promotion.gates if gate.name.startswith("spread")}


def test_small_steps_down_do_not_pass(promote_against: Promote) -> None:
    """Each step is 2.5 % worse than the one before; the fourth is 10 % worse than the best."""
    assert promote_against(0.0820, 0.0800).version == "2"
    with pytest.raises(NotPromotedError, match="spread: MAE") as refused:
        promote_against(0.0884, 0.0800, 0.0820, 0.0841, 0.0862)
    assert "compared with version 1, the best on these stars of 4 champions" in refused.value.notes
    assert refused.value.looks == 7


def test_a_champion_that_cannot_be_read_is_named_and_left_out(promote_against: Promote) -> None:
    promotion = promote_against(0.08, None, 0.08)
    assert promotion.notes[0] == "version 1 not compared: cannot be read"
    assert promotion.looks == 7


def test_against_an_unreadable_current_champion_only_force_promotes(promote_against: Promote) -> None:
    with pytest.raises(UserError, match=r"current champion, version 2, cannot be compared .*--force --why"):
        promote_against(0.08, 0.08, None)
    promotion = promote_against(0.08, 0.08, None, force="its features are gone")
    assert promotion.notes[-1].startswith("compared with version 1")


def test_a_first_champion_is_compared_with_boosted_trees(promote_against: Promote) -> None:
    promotion = promote_against(0.08)
    assert promotion.version == "1"
    assert spreads(promotion) == {"spread: MAE, XGBoost's at most": pytest.approx(0.2)}
    with pytest.raises(NotPromotedError, match="XGBoost's at most"):
        promote_against(0.08, trees=0.05)


def test_only_a_model_that_learns_from_the_whole_sky_is_judged_there(
    promote_against: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged_there(promotion: Promotion) -> set[str]:
        return {gate.name for gate in promotion.gates if "giants" in gate.name}

    assert judged_there(promote_against(0.08)) == set()
    monkeypatch.setattr(Answers, "card", SimpleNamespace(domain_threshold=1.0, recipe=RECIPES["best"]))
    numbers = ("bias: median", "calibration: coverage_68", "calibration: coverage_95")
    assert judged_there(promote_against(0.08)) == {
        f"{name}, giants ebv<0.2" for name in numbers
    }  # no star has more dust


def test_without_xgboost_the_first_champion_is_not_compared_and_a_note_says_so(
    promote_against: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(sample: Sample, asked: object) -> None:
        raise UserError("the baseline needs XGBoost: pip install 'xpfeh[baseline]'")

    promote_against(0.08)
    monkeypatch.setattr("xpfeh.commands.promote.boosted_trees", missing)
    promotion = promote("run", SAMPLE)
    assert promotion.notes == ["not compared with XGBoost: the baseline needs XGBoost: pip install 'xpfeh[baseline]'"]
    assert spreads(promotion) == {}


def test_a_model_without_predictions_is_refused_in_one_line(promote_against: Promote) -> None:
    with pytest.raises(UserError, match=r"made-up: predicts \[Fe/H\] for none of the held-out stars"):
        promote_against(np.nan)
