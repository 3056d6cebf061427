"""The metadata that Zenodo requires for a deposition: from CITATION.cff, and from the release itself.

The attributes are those of "Deposit metadata", https://developers.zenodo.org.
"""

from __future__ import annotations

import html
import json

from xpfeh.catalog.citation import citation, dois, full_name

_OPTIONAL = ("affiliation", "orcid")
_ORCID = "https://orcid.org/"  # CITATION.cff needs the URL, Zenodo the identifier alone


def zenodo_json(title: str, description: str, version: str) -> str:
    """Return the request body that creates or updates a deposition: ``POST`` or ``PUT`` in Zenodo's deposit API.

    Parameters
    ----------
    title, description : str
        Plain text.
    version : str
        Identifies this release: the model's version.

    Examples
    --------
    >>> metadata = json.loads(zenodo_json("[Fe/H] of giants", "For <all>.", "m-1"))["metadata"]
    >>> metadata["upload_type"], metadata["description"], metadata["creators"]
    ('dataset', '<p>For &lt;all&gt;.</p>', [{'name': 'The xpfeh developers'}])
    """
    known = citation()
    creators = [
        {"name": full_name(author)} | {key: author[key].removeprefix(_ORCID) for key in _OPTIONAL if key in author}
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
