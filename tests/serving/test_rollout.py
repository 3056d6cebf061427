"""A new model under continuous traffic: no request fails, and each answer is that of one of the two models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import xpfeh
from xpfeh.columns import CATALOG, to_table
from xpfeh.commands.serve import champions
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving import deploy as deployment
from xpfeh.serving.config import Config
from xpfeh.serving.deploy import current_args, deploy, rollout
from xpfeh.serving.keys import Keys, Scope
from xpfeh.serving.shadow import Differences
from xpfeh.typing import Columns
from xpfeh.xp.preprocess import preprocess

from tests.serving.load import body_of, load
from tests.serving.test_endpoint import star_json, without_names

OTHER = "pretrained"


def versions_of(models: list[str], stars: dict[str, np.ndarray]) -> Callable[[requests.Response], str]:
    """Judge answers: the version of the model that gave exactly these rows, or ``wrong``."""
    predictors = [Predictor(bundle_folder(model)) for model in models]
    expected = {
        each.version: to_table(estimate(preprocess(stars, each.card.preprocess), each), CATALOG).to_pylist()
        for each in predictors
    }

    def judge(reply: requests.Response) -> str:
        version = str(reply.json()["model_version"])
        return version if [without_names(row) for row in reply.json()["stars"]] == expected[version] else "wrong"

    return judge


@pytest.mark.slow  # half a minute
def test_no_request_fails_through_a_rollout_a_failing_one_and_the_way_back(
    address: str, config: Config, spectra: dict[str, np.ndarray], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Predictor(bundle_folder(model)).version for model in (str(bundle), OTHER))

    def answering() -> str:
        return str(requests.get(f"{address}/v1/health", timeout=60).json()["model_version"])

    body = body_of([star_json(spectra, i) for i in range(3)])
    judge = versions_of([str(bundle), OTHER], {name: values[:3] for name, values in spectra.items()})
    with load(f"{address}/v1/predict", body, judge, clients=3) as seen:
        before, after = rollout(config, OTHER)
        assert (before, answering()) == (str(bundle), second)
        with monkeypatch.context() as patched:  # a folder that only this process sees, say
            patched.setattr(deployment, "_pin", lambda model: model)
            with pytest.raises(UserError, match=r"nowhere: its replicas failed, .*pretrained is still served"):
                rollout(config, "/nowhere")
        assert answering() == second
        assert current_args(config).model == after
        assert rollout(config, before) == (after, before)
        assert answering() == first
    assert set(seen.outcomes()) == {first, second}
    assert min(seen.outcomes().values()) > 10


def test_an_invalid_model_is_refused_before_anything_changes(address: str, config: Config) -> None:
    before = current_args(config)
    with pytest.raises(UserError, match="nowhere: not a model bundle"):
        rollout(config, "/nowhere")
    assert current_args(config) == before


@pytest.mark.slow  # a quarter of a minute
def test_shadow_traffic_compares_a_challenger_that_answers_nobody(
    address: str, config: Config, spectra: dict[str, np.ndarray], bundle: Path, tmp_path: Path
) -> None:
    keys = Keys(tmp_path / "keys.json")
    token, admin = (keys.add(name, scopes, 1000, 10**6) for name, scopes in KEYS.items())
    deploy(replace(config, args=config.args.model_copy(update={"keys": str(keys.path)})), str(bundle))
    rollout(config, OTHER, share=1.0)
    url, stars = f"{address}/v1/predict", {name: values[:20] for name, values in spectra.items()}
    answer = requests.post(
        url,
        json={"stars": [star_json(spectra, i) for i in range(20)]},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert answer.json()["model_version"] == Predictor(bundle).version
    assert (
        requests.get(f"{address}/v1/shadow", headers={"Authorization": f"Bearer {token}"}, timeout=9).status_code == 403
    )
    found: dict[str, Any] = {}
    for _ in range(100):
        reply = requests.get(f"{address}/v1/shadow", headers={"Authorization": f"Bearer {admin}"}, timeout=60)
        if (found := reply.json())["stars"]:
            break
    difference = np.array(xpfeh.predict(stars, OTHER)["FEH"], float) - np.array(xpfeh.predict(stars, bundle)["FEH"])
    assert found["model_version"] == Predictor(bundle_folder(OTHER)).version
    assert (found["stars"], found["mean"]) == (20, pytest.approx(np.nanmean(difference)))
    assert found["largest"] == pytest.approx(np.nanmax(np.abs(difference)))
    deploy(config, str(bundle))


KEYS = {"vienna": (Scope.PREDICT, Scope.READ), "operator": (Scope.ADMIN,)}


@pytest.mark.slow  # a quarter of a minute
def test_each_new_champion_is_followed(
    address: str, config: Config, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter([str(bundle), "/nowhere", str(bundle_folder(OTHER))])
    monkeypatch.setattr("xpfeh.commands.serve.read_config", lambda path: config)
    monkeypatch.setattr("xpfeh.commands.serve.pinned_model", lambda alias: next(names))
    lines = champions("local.yaml", every_s=0.0)
    assert "nowhere: not a model bundle" in next(lines)
    assert next(lines) == f"serving {bundle_folder(OTHER)}, before: {bundle}"
    deploy(config, str(bundle))


def test_differences_are_those_of_all_batches_together() -> None:
    rng = np.random.default_rng(1)
    theirs, ours = rng.normal(size=(2, 50)).astype(np.float32)
    ours[3] = np.nan
    flags = np.zeros(50, np.uint32)
    other = flags.copy()
    other[:7] = 4

    def columns(feh: np.ndarray, flags: np.ndarray, rows: slice) -> Columns:
        return {"source_id": np.arange(50)[rows], "FEH": feh[rows], "flags": flags[rows]}

    found = Differences()
    for rows in (slice(0, 20), slice(20, 50)):
        found.add(columns(theirs, flags, rows), columns(ours, other, rows))
    difference = ours.astype(float) - theirs
    assert found.summary() == {
        "stars": 50,
        "mean": pytest.approx(np.nanmean(difference)),
        "std": pytest.approx(np.nanstd(difference)),
        "largest": pytest.approx(np.nanmax(np.abs(difference))),
        "largest_source_id": int(np.nanargmax(np.abs(difference))),
        "answered_by_one": 1,
        "other_flags": 7,
    }
