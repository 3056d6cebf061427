"""MkDocs hooks: the website has the pages that a forge shows, under their paths, and loads nothing from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
CONTENT = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"),
    *("docs/**/*.md", "docs/**/*.ipynb", "docs/*.png", "infra/**/*.md"),
    *("platform/xpfeh/training/LOG.md", "platform/xpfeh/labels/data/metal_poor.csv"),
]
LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^\s>]*|url\([\"']?https?:[^)]*"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the pages of docs/ by those of the whole repository, so that links between them work as they stand."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    paths = sorted(path for pattern in CONTENT for path in ROOT.glob(pattern))
    return Files([*theme, *(file for path in paths for file in _files(path, config))])


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links to notebooks lead to their pages."""
    return re.sub(r"\.ipynb(#[\w-]+)?\)", r".md\1)", markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail if a page or a style sheet loads anything from another host."""
    built = [path for path in Path(config.site_dir).rglob("*") if path.suffix in (".html", ".css")]
    if found := [f"{path}: {match[0]}" for path in built for match in LOADED.finditer(path.read_text())]:
        raise PluginError("loaded from another host:\n" + "\n".join(found))


def _files(path: Path, config: MkDocsConfig) -> Iterator[File]:
    place = path.relative_to(ROOT)
    if path.suffix != ".ipynb":
        yield File.generated(config, str(place), abs_src_path=str(path))
        return
    pictures = {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    text, resources = MarkdownExporter().from_filename(str(path), resources=pictures)
    yield File.generated(config, str(place.with_suffix(".md")), content=text)
    for name, picture in resources["outputs"].items():
        yield File.generated(config, str(place.parent / name), content=picture)
