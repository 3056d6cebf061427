"""Close the figures that each test makes."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _no_picture_stays_open() -> Iterator[None]:
    yield
    plt.close("all")
