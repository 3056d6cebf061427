"""The documents agree with the code: commands and their options, flags, columns, settings, links."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from xpfeh.cli.main import app

from docs.tables import TABLES, with_tables
from docs.website import on_post_build

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGE_IDS = [page.name for page in PAGES]


def commands_of(page: Path) -> list[list[str]]:
    """The words after `xpfeh` of each command in code blocks and in code within lines."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = re.findall(r"`(xpfeh [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line.split("#")[0].split()[1:] for line in [*lines, *spans] if re.match(r"xpfeh [a-z]", line)]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_and_option_exists(page: Path) -> None:
    for words in commands_of(page):
        command = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            names = rest.pop(0).split("|")  # `status|failed|verify` are three commands
            assert set(names) <= set(command.commands), " ".join(words)
            command = command.commands[names[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.split("=")[0].rstrip(",.;)") for word in rest if word.startswith("--")}
        assert used <= known, f"{' '.join(words)}: no {used - known}"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    assert page.read_text() == with_tables(page.read_text()), "`make docs` writes them"


def test_every_table_is_in_a_page() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert sorted(re.findall(r"<!-- table: (\w+) -->", text)) == sorted(TABLES)


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [
        ("page.html", '<a href="https://example.org">a link</a> <img src="picture.png">', False),
        ("page.html", "<img alt='x' src='https://example.org/picture.png'>", True),
        ("page.html", '<script async src="//example.org/script.js"></script>', True),
        ("style.css", "@import url(https://example.org/fonts.css)", True),
    ],
)
def test_a_website_that_loads_from_another_host_is_refused(tmp_path: Path, name: str, text: str, refused: bool) -> None:
    (tmp_path / name).write_text(text)
    config = MkDocsConfig()
    config.site_dir = str(tmp_path)
    with pytest.raises(PluginError, match=r"example\.org") if refused else nullcontext():
        on_post_build(config)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


IMPORTING = [
    *PAGES,
    *sorted((ROOT / "docs/tutorials").glob("*.ipynb")),
    *sorted((ROOT / "tests/benchmarks").glob("*.py")),
]


@pytest.mark.parametrize("path", IMPORTING, ids=lambda path: path.name)
def test_every_import_in_text_exists(path: Path) -> None:
    """Pages, notebooks and programs that benchmarks keep as text are not type-checked."""
    for line in re.findall(r"from xpfeh[\w.]* import [\w, ]+", path.read_text()):
        exec(line, {})  # an ImportError names what is missing
