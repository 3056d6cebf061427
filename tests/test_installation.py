"""`make .venv/ready`: by uv from pip's index, by pip where uv cannot be had; Python, pip and uv are stand-ins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
mkdir -p .venv/bin
cat > .venv/bin/python <<'END'
#!/bin/sh
case "$*" in
  *"pip config list"*) printf '%s\\n' "$SETTINGS" ;;
  *"constraints.txt uv") test "$UV" != absent && cp uv .venv/bin/uv ;;
  "-m compileall"*) touch compiled ;;
  *) echo "pip $*" >> log ;;
esac
END
chmod +x .venv/bin/python
"""
UV = """#!/bin/sh
echo "uv index=$UV_DEFAULT_INDEX $*" >> log
test "$UV" = works
"""
SETTINGS = "global.extra-index-url='file:///more'\nglobal.index-url='https://mirror/simple'"


@pytest.mark.parametrize(
    ("uv", "settings", "variable", "installers"),
    [
        ("works", "", "", ["uv index= "]),
        ("works", SETTINGS, "", ["uv index=https://mirror/simple "]),
        ("works", f":env:.index-url='https://mine'\n{SETTINGS}", "", ["uv index=https://mine "]),
        ("works", f"{SETTINGS}\ninstall.index-url='https://own'", "", ["uv index=https://own "]),
        ("works", SETTINGS, "https://uvs", ["uv index=https://uvs "]),
        ("fails", SETTINGS, "", ["uv index=https://mirror/simple ", "pip "]),
        ("absent", SETTINGS, "", ["pip "]),
    ],
)
def test_who_installs_and_from_where(
    uv: str, settings: str, variable: str, installers: list[str], tmp_path: Path
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in (("python", PYTHON), ("uv", UV)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "UV": uv, "SETTINGS": settings, "UV_DEFAULT_INDEX": variable}
    make = ["make", "--silent", f"PYTHON={tmp_path}/python", ".venv/ready"]
    subprocess.run(make, cwd=tmp_path, env=environment, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.startswith(each) for line, each in zip(lines, installers, strict=True)] == [True] * len(installers)
    assert all(line.endswith("-c constraints.txt -e .[all,dev]") for line in lines)
    assert (tmp_path / ".venv" / "ready").exists()
    assert (tmp_path / "compiled").exists()
