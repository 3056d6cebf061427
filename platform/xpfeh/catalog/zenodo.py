"""What Zenodo asks for when a release is deposited: from CITATION.cff, and from the release itself.

The attributes are those of "Deposit metadata", https://developers.zenodo.org.
"""

from __future__ import annotations

import html
import json

from xpfeh.catalog.citation import citation, dois, full_name

_OPTIONAL = ("affiliation", "orcid")


def zenodo_json(title: str, description: str, version: str) -> str:
    """Return the body that creates a deposition, or describes one: ``POST`` or ``PUT`` of Zenodo's deposit API.

    Parameters
    ----------
    title, description : str
        Of the release, as plain text.
    version : str
        What tells this release from another one: the model's version.

    Examples
    --------
    >>> metadata = json.loads(zenodo_json("[Fe/H] of giants", "For <all>.", "m-1"))["metadata"]
    >>> metadata["upload_type"], metadata["description"], metadata["creators"]
    ('dataset', '<p>For &lt;all&gt;.</p>', [{'name': 'The xpfeh developers'}])
    """
    known = citation()
    creators = [
        {"name": full_name(author)} | {key: _bare(author[key]) for key in _OPTIONAL if key in author}
        for author in known["authors"]
    ]
    metadata = {
        "upload_type": "dataset",
        "title": title,
        "creators": creators,
        "description": f"<p>{html.escape(description, quote=False)}</p>",
        "access_right": "open",
        "license": known["license"].lower(),
        "version": version,
        "keywords": known["keywords"],
        "language": "eng",
        "related_identifiers": [{"identifier": doi, "relation": "cites", "scheme": "doi"} for doi in dois()],
    }
    return json.dumps({"metadata": metadata}, indent=1) + "\n"


def _bare(value: str) -> str:
    """Return an ORCID without its address, which CITATION.cff wants and Zenodo does not; other text as it is."""
    return value.removeprefix("https://orcid.org/")
