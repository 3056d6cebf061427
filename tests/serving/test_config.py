from pathlib import Path

import pytest
from xpfeh.errors import UserError
from xpfeh.files import package_file
from xpfeh.serving.config import read_config

LOCAL = package_file("xpfeh", "serving/local.yaml")
CONFIGS = [LOCAL, *sorted((Path(__file__).parents[2] / "serve_configs").glob("*.yaml"))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_ray_serve_accepts_every_config(path: Path) -> None:
    config = read_config(path)
    assert config.options["backpressure_config"]["status_code"] == 429
    assert config.http_options["request_timeout_s"] > 0
    assert config.options["max_queued_requests"] > 0
    assert config.address.endswith(":8000")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_queued_requests", "max_queue", r"does not know applications\[0\]\.deployments\[0\]\.max_queue"),
        ("num_replicas: 1", "num_replicas: many", "num_replicas"),
        ("      model:", "      modell:", "args.model"),
        ("applications:", "applications: [", "not YAML"),
        ("127.0.0.1", "0.0.0.0", r"host 0\.0\.0\.0 is reachable by others, and no keys protect it"),
    ],
)
def test_an_invalid_config_is_refused_with_its_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(LOCAL.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        read_config(path)


def test_an_ipv6_address_is_in_brackets(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(LOCAL.read_text().replace("127.0.0.1", '"::1"'))
    assert read_config(path).address == "http://[::1]:8000"


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_config(tmp_path / "none.yaml")
