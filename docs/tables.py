"""Writes the tables of flags, columns and settings into the pages, from the code: `make docs`. A test compares.

They are written into the pages, so that a code host shows them too.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
from pydantic.fields import FieldInfo
from xpfeh.columns import CATALOG, FEATURES, describe
from xpfeh.flags import BEYOND_PAPER, MEANING, NOT_GOOD, Flag
from xpfeh.settings import RECIPES, PreprocessSettings, Recipe

PAGES = sorted(Path(__file__).parent.glob("*.md"))
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Return a page's text with each of its tables as the code has it."""
    return PLACE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]}\n{match[3]}", text)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, a newline after each row."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def flags() -> str:
    """Return every flag, and whether it keeps a star from being good."""
    rows = [[str(flag.value), f"`{flag.name}`", _spoils(flag), text] for flag, text in MEANING.items()]
    return markdown(["value", "name", "not good", "meaning"], rows)


def columns(schema: pa.Schema) -> str:
    """Return every column; a `?` marks those that can be null."""
    about = [(f"`{field.name}`{' ?' if field.nullable else ''}", describe(field)) for field in schema]
    return markdown(["column", "unit", "meaning"], [[name, known.unit, known.text] for name, known in about])


def preprocess_settings() -> str:
    """Return every setting of features."""
    fields = PreprocessSettings.model_fields.items()
    rows = [[f"`{name}`", _value(field.default), _meaning(field)] for name, field in fields]
    return markdown(["setting", "default", "meaning"], rows)


def recipe_settings() -> str:
    """Return every setting of a recipe, with the values of the two recipes."""
    paper, best = (RECIPES[name].model_dump() for name in ("paper", "best"))
    fields = [(name, field) for name, field in Recipe.model_fields.items() if name != "name"]
    rows = [[f"`{name}`", _value(paper[name]), _value(best[name]), _meaning(field)] for name, field in fields]
    return markdown(["setting", "`paper`", "`best`", "meaning"], rows)


def _spoils(flag: Flag) -> str:
    return "x" if flag & NOT_GOOD else "(x)" if flag & BEYOND_PAPER else ""


def _meaning(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f"{field.description}{': ' if choices else ''}{', '.join(f'`{choice}`' for choice in choices)}"


def _value(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else re.sub(r"\.0\b", "", json.dumps(value))


TABLES = {
    "flags": flags(),
    "features": columns(FEATURES),
    "catalog": columns(CATALOG),
    "settings": preprocess_settings(),
    "recipes": recipe_settings(),
}

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
