"""Words that nobody says aloud stay out of code, messages, documents and tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BANNED = {
    r"told": "was given, is known, reported",
    r"so many": "at most `n`, the number of, this many",
    r"anew|afresh": "again, from scratch",
    r"whoever": "anyone who, any caller",
    # `None` is Python's; "there is none" and "there is no such star" are English.
    r"(?!there\b)\w+[`'\")]* (is|are) (?-i:none)": "is not one, is invalid, does not exist",
    r"(?!there\b)\w+[`'\")]* is no (?!longer\b|more\b|less\b|worse\b|better\b|reason\b)\w+": "is not a",
    r"in the dark": "shadow",
    r"asked of|asked were": "requested from, required of; target",
    r"beside": "next to, with, compared with; companion, margin",
    r"stands(?! (for|out|in for)\b)": "is, appears",
    r"said": "given, stated; default",
    r"tells? of": "reports, records",
    r"what one must fear": "the dangerous case",
    r"(is|are) meant so": "working as intended",
    r"the way through": "pipeline",
    r"what lies where": "layout",
    r"lies (in|there)": "is in, is there",
    r"goes on|to go on": "continues, resumes; to resume",
    r"of one's own": "own, private, local",
    r"what [\w ]{1,20} (is|are) called": "name of",
    r"(?<!carbon.)(?<!metal.)(poor|rich) stars?": "metal-poor, metal-rich star",
    r"spelt as": "stored as, written as",
}
"""What is banned, with words to take instead. A space also matches a line's end within a paragraph or a comment."""

ALLOWED = {
    ("platform/xpfeh/evaluate/templates/comparison.html", "mean is none"): "Jinja's test, not English",
}
SKIPPED = {"platform/xpfeh/training/LOG.md", "tests/test_words.py"}  # history is not rewritten; this list itself
READ = (
    "*.md", "docs/*.md", "docs/*.py", "infra/**/*.md", "jobs/*.py", "tests/**/*.py",
    "platform/**/*.py", "platform/**/*.md", "platform/**/*.html", "platform/**/*.js", "docs/tutorials/*.ipynb",
    "pyproject.toml",
)  # fmt: skip
FILES = sorted({str(path.relative_to(ROOT)) for glob in READ for path in ROOT.glob(glob)} - SKIPPED)
PATTERNS = {
    re.compile(rf"\b(?:{phrase})\b".replace(" ", r"(?: |\n *(?:# )?)"), re.IGNORECASE): better
    for phrase, better in BANNED.items()
}


@pytest.mark.parametrize("path", FILES)
def test_words(path: str) -> None:
    text = (ROOT / path).read_text().replace("_", " ")  # names are words, too
    found = [
        f"{path}:{1 + text[: hit.start()].count(chr(10))}: {hit[0]!r}, better: {better}"
        for pattern, better in PATTERNS.items()
        for hit in pattern.finditer(text)
        if (path, hit[0]) not in ALLOWED
    ]
    assert not found, "\n".join(found)
