"""Dashboard and alerts query existing metrics, by a parser, promtool, and a Prometheus that scrapes a live Ray."""

import ast
import json
import logging
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import promql_parser
import psutil
import pytest
import ray
import requests
import yaml
from xpfeh.cluster import meters as run_meters
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan
from xpfeh.dataset.records import Failure, Record
from xpfeh.files import package_file
from xpfeh.flags import Flag
from xpfeh.serving import meters as endpoint_meters
from xpfeh.serving.config import read_config
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME

from tests.conftest import library_stars
from tests.genuine import datalink_file
from tests.processes import environment, free_port, kill

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "monitoring"
DASHBOARD = {
    panel["title"]: [target["expr"] for target in panel.get("targets", [])]
    for panel in json.loads((FOLDER / "xpfeh.json").read_text())["panels"]
}
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")


def asked(title: str) -> list[str]:
    """The queries of a panel, as Grafana sends them."""
    return [query.replace("$__rate_interval", "5m") for query in DASHBOARD[title]]


QUERIES = [*(query for title in DASHBOARD for query in asked(title)), *(rule["expr"] for rule in RULES)]


# --- names ------------------------------------------------------------------------------------------------------------

EXPORTED = {"Counter": ["ray_{}_total"], "Gauge": ["ray_{}"], "Histogram": ["ray_{}_bucket", "ray_{}_count"]}


@cache
def our_metrics() -> set[str]:
    """The package's metrics, by the names that Ray exports."""
    names = set()
    for path in (ROOT / "platform" / "xpfeh").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXPORTED:
                match node.args:
                    case [ast.Constant(value=str(name)), *_] if name.startswith("xpfeh_"):
                        names |= {exported.format(name) for exported in EXPORTED[node.func.id]}
    return names


@cache
def rays_metrics() -> set[str]:
    """Ray's own metrics that the dashboards use."""
    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    return {name for path in folder.glob("*.py") for name in re.findall(r"\bray_\w+", path.read_text())}


def metrics_of(query: str) -> set[str]:
    """The metrics of a query."""
    found: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_uses_metrics_that_exist(query: str) -> None:
    asked_for = metrics_of(query)
    assert asked_for
    assert asked_for <= our_metrics() | rays_metrics() | {rule.get("record") for rule in RULES}


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for title in DASHBOARD for query in asked(title) for name in metrics_of(query)}
    assert {name for name in our_metrics() if not name.endswith("_count")} <= shown


def test_queries_name_the_endpoint_as_its_configuration_does() -> None:
    text = " ".join(QUERIES)
    config = read_config(ROOT / "serve_configs" / "production.yaml")
    assert set(re.findall(r'application="(\w+)"', text)) == {config.name}
    assert set(re.findall(r'deployment="(\w+)"', text)) == {config.options["name"]}


@pytest.mark.parametrize("wrong", ["sum(", "rate(ray_xpfeh_stars_total)", "ray_xpfeh_starz_total"])
def test_a_wrong_query_is_noticed(wrong: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        test_every_query_uses_metrics_that_exist(wrong)


# --- promtool ---------------------------------------------------------------------------------------------------------


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROMTOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@needs_promtool
def test_promtool_accepts_the_files() -> None:
    done = promtool("check", "config", FOLDER / "prometheus.yml")  # and the rules that it names
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("alerts.yml", "on () sum(", "on () sum(("),
        ("alerts.yml", "severity: page", "severity page"),
        ("prometheus.yml", "rule_files", "rules"),
        ("prometheus.yml", "alerts.yml", "alarms.yml"),
    ],
)
def test_promtool_refuses_a_planted_error(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "monitoring")
    path = tmp_path / "monitoring" / name
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    assert promtool("check", "config", path.with_name("prometheus.yml")).returncode != 0


WELL = {
    'ray_serve_deployment_replica_healthy{application="xpfeh",deployment="Endpoint"}': "1x180",
    'ray_serve_num_http_requests_total{application="xpfeh",status_code="200"}': "0+6000x180",
    **{
        f'ray_serve_http_request_latency_ms_bucket{{application="xpfeh",route="/v1/predict",le="{le}"}}': "0+6000x180"
        for le in ("100", "5000", "10000", "+Inf")
    },
    'ray_xpfeh_answers_total{outcome="answered"}': "0+6000x180",
    'ray_xpfeh_flags_total{flag="OUTSIDE_DOMAIN"}': "0+60x180",
    'ray_xpfeh_flags_total{flag="ODD_SN"}': "0+240x180",
    'ray_xpfeh_parts_total{kind="features",outcome="done"}': "0+10x180",
    **{
        f'ray_xpfeh_part_seconds_bucket{{kind="features",le="{le}"}}': f"0+{parts}x180"
        for le, parts in (("1.0", 2), ("3.0", 10), ("10.0", 10), ("30.0", 10), ("100.0", 10), ("+Inf", 10))
    },
    'ray_xpfeh_stars_total{kind="features"}': "0+50000x180",
    'ray_actors{Name="MapWorker(Map(_Worker))",Source="gcs",State="ALIVE"}': "2x180",
    'ray_node_disk_free{instance="one"}': "50x180",
    'ray_node_disk_usage{instance="one"}': "50x180",
    'ray_resources{instance="one",Name="object_store_memory",State="USED"}': "10x180",
    'ray_resources{instance="one",Name="object_store_memory",State="AVAILABLE"}': "90x180",
}
"""Three hours, minute by minute, in which all is well."""
TROUBLE: dict[str, dict[str, str]] = {
    "": {},
    "EndpointDown": {'ray_serve_deployment_replica_healthy{application="xpfeh",deployment="Endpoint"}': "1x170"},
    "EndpointErrors": {'ray_serve_num_http_requests_total{application="xpfeh",status_code="500"}': "0+120x180"},
    "EndpointRefuses": {'ray_serve_num_http_requests_total{application="xpfeh",status_code="429"}': "0+600x180"},
    "EndpointSlow": {
        f'ray_serve_http_request_latency_ms_bucket{{application="xpfeh",route="/v1/predict",le="{le}"}}': "0+5900x180"
        for le in ("100", "5000")
    },
    "OddStars": {'ray_xpfeh_flags_total{flag="ODD_SN"}': "0+240x120 28800+1800x60"},
    "PartsFail": {'ray_xpfeh_parts_total{kind="features",outcome="failed"}': "_x175 1x5"},
    "PartsSlow": {
        f'ray_xpfeh_part_seconds_bucket{{kind="features",le="{le}"}}': "0+9x180" for le in ("3.0", "10.0", "30.0")
    },
    "NoStars": {'ray_xpfeh_stars_total{kind="features"}': "0+50000x160 8000000x20"},
    "DiskFull": {'ray_node_disk_free{instance="one"}': "5x180"},
    "ObjectStoreFull": {
        'ray_resources{instance="one",Name="object_store_memory",State="USED"}': "95x180",
        'ray_resources{instance="one",Name="object_store_memory",State="AVAILABLE"}': "5x180",
    },
}


@needs_promtool
@pytest.mark.parametrize("alert", TROUBLE)
def test_each_alert_fires_only_for_its_own_fault(tmp_path: Path, alert: str) -> None:
    series = [{"series": name, "values": values} for name, values in (WELL | TROUBLE[alert]).items()]
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
    query = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "3h", "exp_samples": firing}
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [query]}
    path = tmp_path / "case.yml"
    path.write_text(
        json.dumps({"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "1m", "tests": [case]})
    )
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_fault() -> None:
    assert set(TROUBLE) == {"", *ALERTS}


# --- what is counted --------------------------------------------------------------------------------------------------


class Counted:
    """A stand-in for Ray's meters: their counts, by name and label."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.stars: Counter[tuple[str, str]] = Counter()
        for kind in {"Counter", "Gauge", "Histogram"} & set(vars(module)):
            monkeypatch.setattr(module, kind, lambda name, *_: _Meter(name, self.stars))


@dataclass
class _Meter:
    name: str
    stars: Counter[tuple[str, str]]

    def set_default_tags(self, tags: dict[str, str]) -> None:
        pass

    def inc(self, value: float, tags: dict[str, str] | None = None) -> None:
        assert value > 0  # Ray refuses 0
        self.stars[self.name, "".join((tags or {}).values())] += round(value)

    observe = inc


def test_a_batch_is_counted_as_its_stars_are(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, endpoint_meters)
    draw = np.random.default_rng(0)
    flags = draw.integers(0, 1 << len(Flag), 500).astype(np.uint32)
    scores = draw.lognormal(1, 2, 500).astype(np.float32)
    scores[:3] = np.nan, 0.5, 100.5
    halves = [{"flags": flags[part], "domain_score": scores[part]} for part in (slice(200), slice(200, None))]
    endpoint_meters.Meters("best-1").answered(halves, 7)
    expected = Counter({("xpfeh_answers", "answered"): 500, ("xpfeh_answers", "error"): 7})
    expected.update(("xpfeh_flags", str(flag.name)) for star in flags.tolist() for flag in Flag if star & flag)
    edges = [label["up_to"] for label in endpoint_meters._RANGES]
    expected.update(
        ("xpfeh_domain_scores", next(edge for edge in edges if score <= float(edge)))
        for score in scores.tolist()
        if score == score
    )
    assert +counted.stars == expected


def test_a_part_without_stars_is_done_and_each_part_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted = Counted(monkeypatch, run_meters)
    now = datetime.now(UTC)
    plan = Plan(kind="features", inputs={}, settings=PreprocessSettings(), shards=[], made_by={})
    record = Record(
        shard="part-00000", source="a.csv", source_fingerprint="", model="", rows_read=2, rows_written=0,
        rejected={"no spectrum": 2}, matched={}, kinds={}, fingerprint="", bytes=1, seconds=0.5, finished=now,
        made_by={},
    )  # fmt: skip
    meters = run_meters.PlanMeters(plan)
    with caplog.at_level(logging.INFO, "xpfeh"):
        meters.done(record)
        meters.failed(Failure(shard="part-00001", source="b.csv", reason="b.csv: no such file", trace="", when=now))
    assert counted.stars["xpfeh_parts", "done"] == counted.stars["xpfeh_parts", "failed"] == 1
    assert counted.stars["xpfeh_rejected", "no spectrum"] == 2
    done, failed = map(json.loads, caplog.messages)
    assert done.items() >= {"run": plan.fingerprint(), "shard": "part-00000", "outcome": "done", "rows": 0}.items()
    assert failed.items() >= {"shard": "part-00001", "outcome": "failed", "reason": "b.csv: no such file"}.items()


# --- a live Ray, and a Prometheus -------------------------------------------------------------------------------------

BIN = Path(sys.executable).parent
_VANISHES = """
import sys
from functools import partial
from pathlib import Path
from xpfeh.cluster.run_plan import run_plan
from xpfeh.commands.ingest import make_work, plan_features
from xpfeh.settings import PreprocessSettings

settings = PreprocessSettings()
plan = plan_features([sys.argv[1]], settings)
Path(sys.argv[1]).unlink()
run_plan(sys.argv[2], plan, partial(make_work, settings))
"""


@dataclass
class Watched:
    """A live Ray, and the Prometheus that scrapes it."""

    folder: Path
    session: Path
    variables: dict[str, str]
    prometheus: str

    def get(self, path: str, **parameters: str) -> Any:
        reply = requests.get(f"{self.prometheus}/api/v1/{path}", parameters, timeout=30)
        assert reply.ok, reply.text
        return reply.json()["data"]

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The current series of a query: labels and value."""
        return [(each["metric"], float(each["value"][1])) for each in self.get("query", query=query)["result"]]

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        variables = environment(self.variables)
        words = [str(word) for word in command]
        return subprocess.run(
            words, env=variables, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )

    def lines(self) -> list[dict[str, Any]]:
        """The lines of JSON in the workers' logs."""
        texts = [path.read_text() for path in (self.session / "logs").glob("worker-*.err")]
        return [json.loads(line) for text in texts for line in text.splitlines() if line.startswith('{"time"')]


@contextmanager
def started(log: Path, variables: dict[str, str], *command: object) -> Iterator[None]:
    with log.open("w") as out:
        words = [str(word) for word in command]
        process = psutil.Popen(
            words, env=environment(variables), cwd=log.parent, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        kill(process)


def eventually(what: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 90.0) -> None:
    """Query until the answer is as expected: workers report to Ray every 10 s."""
    end = time.monotonic() + seconds
    while not wanted(found := what()):
        assert time.monotonic() < end, found
        time.sleep(0.5)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if PROMETHEUS is None:
        pytest.skip("needs prometheus: apt-get install prometheus")
    folder, port, own = tmp_path_factory.mktemp("watched"), free_port(), free_port()
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_urlsafe(32)}
    shutil.copy(FOLDER / "alerts.yml", folder)
    # Not in pytest's folder: the paths of Ray's sockets must be short.
    with tempfile.TemporaryDirectory(prefix="xpfeh-", ignore_cleanup_errors=True) as short:
        text = (FOLDER / "prometheus.yml").read_text().replace("/tmp/ray/", f"{short}/").replace("15s", "1s")
        (folder / "prometheus.yml").write_text(text)
        head = (
            BIN / "ray", "start", "--head", "--block", "--num-cpus=2", f"--port={port}", f"--temp-dir={short}",
            f"--dashboard-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}",
            f"--metrics-export-port={free_port()}", "--object-store-memory=150000000", "--disable-usage-stats",
        )  # fmt: skip
        scraper = (
            PROMETHEUS, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{own}",
        )  # fmt: skip
        with started(folder / "head.log", auth, *head), started(folder / "prometheus.log", {}, *scraper):
            variables = {**auth, "RAY_ADDRESS": f"127.0.0.1:{port}"}
            found = Watched(folder, Path(short, "session_latest"), variables, f"http://127.0.0.1:{own}")
            eventually(lambda: _scraped(found), bool)
            yield found


def _scraped(watched: Watched) -> bool:
    with suppress(requests.ConnectionError):
        return bool(watched.ask("ray_node_cpu_count"))
    return False


@pytest.mark.slow
def test_the_stars_of_a_run_are_on_the_dashboard_and_in_the_log(watched: Watched) -> None:
    done = watched.run(BIN / "xpfeh", "ingest", NAME, "--out", "features")
    assert "39,851 written" in done.stdout, done.stdout + done.stderr
    (query,) = asked("Stars written")
    eventually(lambda: watched.ask(query), lambda found: found == [({"kind": "features"}, 39_851.0)])
    (workers,) = asked("Workers")
    ended = workers.replace('State!="DEAD"', 'State="DEAD"')
    eventually(lambda: watched.ask(ended), lambda found: len(found) == 1 and found[0][1] >= 1)
    assert watched.ask(query) == [({"kind": "features"}, 39_851.0)]  # though its workers have ended
    lines = watched.lines()
    assert {line["run"] for line in lines} == {Dataset.at(watched.folder / "features").plan.fingerprint()}
    assert sum(line["rows"] for line in lines if line["outcome"] == "done") == 39_851


@pytest.mark.slow
def test_a_failed_part_fires_an_alert(watched: Watched) -> None:
    star = datalink_file("csv", watched.folder)
    failed = watched.run(sys.executable, "-c", _VANISHES, star, "failing")
    assert f"{star}: no such file" in failed.stderr
    eventually(lambda: watched.ask(ALERTS["PartsFail"]), lambda found: found == [({"kind": "features"}, 1.0)])
    (line,) = [line for line in watched.lines() if line["outcome"] == "failed"]
    assert line["reason"] == f"{star}: no such file"


@pytest.mark.slow
def test_every_panel_of_a_live_endpoint_has_data_and_every_rule_is_healthy(watched: Watched) -> None:
    port, config = free_port(), watched.folder / "serve.yaml"
    local = package_file("xpfeh", "serving/local.yaml").read_text()
    config.write_text(local.replace("port: 8000", f"port: {port}").replace("archive: true", "archive: false"))
    raw = library_stars(0, 50)
    stars = [{name: values[i].tolist() for name, values in raw.items()} | {"rgeo": None} for i in range(50)]
    endpoint, answered = f"http://127.0.0.1:{port}/v1/predict", 'ray_xpfeh_answers_total{outcome="answered"}'
    serve = (BIN / "xpfeh", "serve", "--config", config, "--model", "pretrained")
    with started(watched.folder / "serve.log", watched.variables, *serve):
        eventually((watched.folder / "serve.log").read_text, lambda text: "serving at" in text)
        for asked_for in (stars, [*stars, {"source_id": 1}]):  # the last has no spectrum
            assert requests.post(endpoint, json={"stars": asked_for}, timeout=60).status_code == 200
            assert requests.post(endpoint, b"{", timeout=60).status_code == 422
            # The first are reported before the others are asked: then there is something to compare with.
            eventually(lambda: watched.ask(answered), lambda found: found and found[0][1] >= 50)
        eventually(lambda: watched.ask(answered), lambda found: found[0][1] == 100)
        eventually(lambda: watched.ask('ray_xpfeh_answers_total{outcome="error"}'), lambda found: found[0][1] == 1)
        by_model = "ray_xpfeh_flags_total * on (WorkerId) group_left (model_version) ray_xpfeh_model_info"
        eventually(
            lambda: watched.ask(by_model), lambda found: {each["flag"] for each, _ in found} == set(Flag._member_names_)
        )
        for title in set(DASHBOARD) - {"Workers"}:
            for query in asked(title):
                eventually(lambda query=query: (query, watched.ask(query)), lambda found: bool(found[1]), 30)
        there = set(watched.get("label/__name__/values"))
        recorded = {rule["record"] for rule in RULES if "record" in rule}
        eventually(lambda: recorded - set(watched.get("label/__name__/values")), lambda missing: not missing)
        assert {name for query in QUERIES for name in metrics_of(query)} - recorded <= there
        rules = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
        assert len(rules) == len(RULES)
        assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
