"""A release's authors and references compared with CITATION.cff, and the package's copy with the original."""

import json
import tomllib
from pathlib import Path

import pytest
import xpfeh
import yaml
from xpfeh.catalog import citation as citation_module
from xpfeh.catalog import zenodo as zenodo_module
from xpfeh.catalog.citation import citation, dois, references
from xpfeh.catalog.zenodo import zenodo_json

ROOT = Path(__file__).parents[2]
_DEPOSIT = {
    "upload_type", "title", "creators", "description", "access_right", "license", "version", "keywords", "language",
    "related_identifiers",
}  # fmt: skip


def test_the_package_contains_the_repositorys_citation() -> None:
    packaged = Path(citation_module.__file__).with_name("CITATION.cff")
    assert packaged.read_bytes() == (ROOT / "CITATION.cff").read_bytes(), "copy CITATION.cff to platform/xpfeh/catalog"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation()["version"] == project["version"] == xpfeh.__version__
    assert citation()["license"] == project["license"]


def test_zenodo_gets_the_citation() -> None:
    metadata = json.loads(zenodo_json("A title", "Stars with [Fe/H] < -2 & more.", "best-0123456789ab"))["metadata"]
    assert set(metadata) == _DEPOSIT
    assert metadata["description"] == "<p>Stars with [Fe/H] &lt; -2 &amp; more.</p>"
    assert metadata["license"] == "mit"
    assert metadata["keywords"] == yaml.safe_load((ROOT / "CITATION.cff").read_text())["keywords"]
    assert [related["identifier"] for related in metadata["related_identifiers"]] == dois()
    assert all(doi.startswith("10.") for doi in dois())


def test_people_are_named_as_zenodo_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [
        {
            "family-names": "Doe",
            "given-names": "Jane",
            "orcid": "https://orcid.org/0000-0002-1694-233X",
            "affiliation": "An Observatory",
            "email": "jane@example.org",
        },
        {"name": "The xpfeh developers"},
    ]
    monkeypatch.setattr(zenodo_module, "citation", lambda: citation() | {"authors": people})
    assert json.loads(zenodo_json("", "", ""))["metadata"]["creators"] == [
        {"name": "Doe, Jane", "affiliation": "An Observatory", "orcid": "0000-0002-1694-233X"},
        {"name": "The xpfeh developers"},
    ]


def test_references_can_be_found() -> None:
    first, *others = references()
    assert first.startswith("Yang et al. 2025, Metallicities of 20 Million Giant Stars")
    assert others[0].startswith("Gaia Collaboration 2023, ")
    assert all("doi:10." in line for line in references())
