"""One tutorial is a fast test; the others take minutes."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tutorials but the first as slow."""
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem != "ten_stars":
            item.add_marker(pytest.mark.slow)
