"""Files that may be gzip: the content decides, not the name."""

from __future__ import annotations

from pathlib import Path

from isal import igzip, isal_zlib

GZIP_MAGIC = b"\x1f\x8b"
"""The first two bytes of gzip (RFC 1952)."""


def suffix_of(path: str) -> str:
    """Return a file's suffix in lower case, without that of gzip.

    >>> suffix_of("XpContinuousMeanSpectrum_000000-003111.csv.gz")
    '.csv'
    """
    return Path(path.lower().removesuffix(".gz")).suffix


def gunzip(content: bytes) -> bytes:
    """Return the content of a file, decompressed if it is gzip."""
    return igzip.decompress(content) if content.startswith(GZIP_MAGIC) else content


def gunzip_beginning(content: bytes) -> bytes:
    """Return the first bytes of a file, decompressed if it is gzip, from its raw first bytes."""
    return isal_zlib.decompressobj(wbits=31).decompress(content) if content.startswith(GZIP_MAGIC) else content
