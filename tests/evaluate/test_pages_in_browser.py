"""The comparison and report pages in a real browser: they fit, sort by keyboard and contact no other host."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from xpfeh.evaluate.comparison.page import write_page
from xpfeh.evaluate.comparison.runs import OF_A_RUN, Row, Run
from xpfeh.evaluate.numbers import titles
from xpfeh.evaluate.report import _page
from xpfeh.evaluate.sections.accuracy import accuracy
from xpfeh.evaluate.sections.through_the_plane import through_the_plane

from tests.evaluate.made_up import in_cells, study, whole_sky
from tests.evaluate.test_comparison import kept

pytestmark = pytest.mark.slow  # half a minute of browser; test_comparison covers the rest

_SETTINGS = [f"a_rather_long_setting_{number}" for number in range(20)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of six runs, one of them a finalist."""
    rows = []
    for number, (mae, seconds) in enumerate(((0.07, 9), (0.08, 100), (0.09, None), (0.10, 20), (0.11, 1))):
        settings = {name: str(number) for name in _SETTINGS}
        numbers = {"mae": mae, "mae_error": 0.004, "std": 0.1} | ({} if seconds is None else {"seconds": seconds})
        rows.append(Row([Run(f"{number}" * 32, "tuned", "0", settings, numbers)]))
    trial = rows[0].best
    rows.append(Row([Run("f" * 32, "tuned", "0", dict(trial.parameters), {"mae": 0.12, "mae_error": 0.002}, trial)]))
    runs = [row.best for row in rows]
    out = tmp_path_factory.mktemp("comparison") / "page.html"
    write_page(out, rows, {run.run_id: kept(200, 0.1) for run in runs[:3]}, "xpfeh")
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if (path := shutil.which("chromium")) is None:
        pytest.skip("needs a browser (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    requested, complaints = [], []
    opened.on("request", lambda request: requested.append(request.url))
    opened.on("console", lambda message: complaints.append(message) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(path.as_uri())
    yield opened
    assert complaints == []
    assert {url for url in requested if not url.startswith(("data:", "blob:"))} == {path.as_uri()}
    opened.close()


@pytest.mark.parametrize("width", [1600, 1200, 390])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator(".long").evaluate("box => box.scrollWidth - box.clientWidth")
    assert (table > 0) == (width < 600), "the table scrolls inside itself on a phone, and there alone"
    widest = page.locator(".settings > div").evaluate_all("all => Math.max(...all.map(e => e.clientWidth))")
    assert widest < width, "the settings are read without scrolling"


def test_the_table_is_sorted_by_mouse_and_by_keyboard(page: Page) -> None:
    def first_runs() -> str:
        cells = page.locator("table.sorted tbody tr:first-child td:first-child").all_inner_texts()
        return "".join(cell[0] for cell in cells)

    assert first_runs() == "01234f"
    assert page.get_attribute("th:has-text('MAE')", "aria-sort") == "ascending"
    page.click("button:has-text('cost')")
    assert first_runs() == "40312f", "a run without that number comes last"
    page.focus("button:has-text('cost')")
    page.keyboard.press("Enter")
    assert first_runs() == "13042f"
    assert page.get_attribute("th:has-text('cost')", "aria-sort") == "descending"
    assert page.locator("[aria-sort]").count() == 1
    page.focus("button:has-text('run')")
    page.keyboard.press("Space")
    assert first_runs() == "01234f"
    settings = page.locator("table.sorted tbody:nth-of-type(2) .settings").inner_text()
    assert "a_rather_long_setting_0 1" in settings, "a recipe's settings move with it"


def test_controls_and_the_picture_have_names(page: Page) -> None:
    names = page.locator("button").evaluate_all("all => all.map(e => e.textContent)")
    assert names == ["run", "recipe", "seeds", *titles(OF_A_RUN)]
    assert page.get_attribute("[tabindex]", "aria-label") == "Recipes"
    assert page.locator("img").evaluate("image => image.complete && image.naturalWidth") > 500
    assert "with its standard error" in (page.get_attribute("img", "alt") or "")


def test_a_reports_tables_fit_in_1200_pixels(browser: Browser, tmp_path: Path) -> None:
    """Numbers have as many digits as real ones: 35,000 stars and three models."""
    sky = {name: np.concatenate([values] * 9) for name, values in whole_sky().items()}
    sky["source_id"] = in_cells(len(sky["feh"]))
    made = study(best=sky, paper=sky, xgboost=sky)
    file = tmp_path / "index.html"
    file.write_text(_page(made, [accuracy(made), through_the_plane(made)]))
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())
    hidden = "all => all.map(e => e.scrollWidth - e.clientWidth)"
    assert set(page.locator(".wide:has(table)").evaluate_all(hidden)) == {0}
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "tables scroll inside themselves"
    page.close()
