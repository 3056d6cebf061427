"""The documents agree with the code: commands and their options, flags, columns, settings, links."""

import re
from pathlib import Path

import pytest
import typer
from xpfeh.cli.main import app
from xpfeh.columns import CATALOG, FEATURES
from xpfeh.flags import MEANING
from xpfeh.settings import PreprocessSettings, Recipe

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
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_flag_column_and_setting_is_explained() -> None:
    ingest, catalog, train = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("ingest", "catalog", "train"))
    for flag, meaning in MEANING.items():
        assert f"`{flag.name}`" in ingest, flag
        assert meaning.replace("|", r"\|") in ingest, flag
    for name in FEATURES.names:
        assert f"`{name}`" in ingest, name
    for name in CATALOG.names:
        assert f"`{name}`" in catalog, name
    for name in PreprocessSettings.model_fields:
        assert f"`{name}`" in ingest, name
    for name in set(Recipe.model_fields) - {"name"}:
        assert f"`{name}`" in train, name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130
