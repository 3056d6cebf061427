import os
import subprocess
import sys
from pathlib import Path

from xpfeh.environment import NO_TELEMETRY

from tests.genuine import datalink_file


def _python(code: str, home: Path) -> str:
    own = {name: value for name, value in os.environ.items() if name not in NO_TELEMETRY}
    variables = {**own, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_empty_home_stays_empty(tmp_path: Path) -> None:
    """ONNX Runtime writes a device identifier and a database of events at import unless prevented."""
    code = "import os, xpfeh; xpfeh.load_model(); print(*(os.environ[name] for name in {}))"
    assert _python(code.format([*NO_TELEMETRY]), tmp_path).split() == [*NO_TELEMETRY.values()]
    assert list(tmp_path.iterdir()) == []


def test_predicting_needs_no_home(tmp_path: Path) -> None:
    star, out = datalink_file("csv", tmp_path), tmp_path / "feh.csv"
    predict = f"from xpfeh.cli.main import main; main(['predict', {str(star)!r}, '--out', {str(out)!r}])"
    _python(predict, home=star)  # a file: nothing can be made in it
    assert len(out.read_text().splitlines()) == 2


def test_a_notebooks_backend_of_matplotlib_does_not_matter_in_the_shell(tmp_path: Path) -> None:
    star, out = datalink_file("csv", tmp_path), tmp_path / "star.png"
    plot = f"from xpfeh.cli.main import main; main(['plot', {str(star)!r}, '--out', {str(out)!r}])"
    _python(f"import os; os.environ['MPLBACKEND'] = 'of_a_notebook'\n{plot}", home=tmp_path)
    assert out.stat().st_size > 0
