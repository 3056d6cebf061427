"""A release's authors and the works it is based on: CITATION.cff, of which the package contains a copy.

The file is in the Citation File Format 1.2.0, https://doi.org/10.5281/zenodo.5171937.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml


@lru_cache(maxsize=1)
def citation() -> dict[str, Any]:
    """Return the contents of CITATION.cff.

    Examples
    --------
    >>> citation()["title"], citation()["license"]
    ('xpfeh', 'MIT')
    """
    return yaml.safe_load((files("xpfeh.catalog") / "CITATION.cff").read_text())


def full_name(author: Mapping[str, str]) -> str:
    """Return a person's or an organisation's name.

    Examples
    --------
    >>> full_name({"family-names": "Yang", "given-names": "Lin"}), full_name({"name": "Gaia Collaboration"})
    ('Yang, Lin', 'Gaia Collaboration')
    """
    return author["name"] if "name" in author else f"{author['family-names']}, {author['given-names']}"


def references() -> list[str]:
    """Return the works that a release is based on, one line each; the method's paper comes first.

    Examples
    --------
    >>> references()[0]
    'Yang et al. 2025, Metallicities of 20 Million Giant Stars Based on Gaia XP spectra, doi:10.12149/101604 (catalog)'
    """
    return [_line(work) for work in citation()["references"]]


def dois() -> list[str]:
    """Return the DOIs of those works.

    Examples
    --------
    >>> dois()[0]
    '10.12149/101604'
    """
    return [doi for work in citation()["references"] for doi, _ in _identifiers(work)]


def bibtex() -> str:
    """Return BibTeX for the software and those works; BibTeX ignores the text before the entries.

    Examples
    --------
    >>> print(bibtex().split("\\n\\n")[1])
    @software{xpfeh,
      title = {{xpfeh}},
      author = {{The xpfeh developers}},
      version = {0.1.0},
    }
    """
    own = citation()
    software = _entry("software", own["title"], own, {"version": own["version"], "doi": own.get("doi")})
    return "\n\n".join([own["message"], software, *map(_article, own["references"])])


def _article(work: Mapping[str, Any]) -> str:
    first = work["authors"][0]
    key = f"{first.get('family-names') or first['name']}{work['year']}".replace(" ", "")
    doi, of_what = (_identifiers(work) or [("", "")])[0]
    fields = {"year": work["year"], "journal": work.get("journal"), "volume": work.get("volume")}
    fields |= {"pages": work.get("start")}
    fields |= {"note": f"doi:{doi}{of_what}"} if of_what else {"doi": doi}
    return _entry("article", key, work, fields)


def _entry(kind: str, key: str, work: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    # Braces keep BibTeX from splitting an organisation's name and from lowercasing a title.
    authors = [f"{{{each['name']}}}" if "name" in each else full_name(each) for each in work["authors"]]
    every = {
        "title": f"{{{work['title']}}}",
        "author": " and ".join(authors).replace("{and others}", "others"),
        **fields,
    }
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{text}}}," for name, text in every.items() if text), "}"])


def _line(work: Mapping[str, Any]) -> str:
    first, *others = work["authors"]
    who = first.get("family-names") or first["name"]
    end = "".join(f", doi:{doi}{of_what}" for doi, of_what in _identifiers(work))
    return f"{who}{' et al.' if others else ''} {work['year']}, {work['title']}{end}"


def _identifiers(work: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a work's DOIs, each with the part of the work it refers to in parentheses, if not the work itself."""
    own = [(work["doi"], "")] if "doi" in work else []
    return own + [(each["value"], f" ({each['description']})") for each in work.get("identifiers", ())]
