"""The comparison page in a real browser: it fits, sorts by keyboard, asks no other host, and its plots are linked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from xpfeh.evaluate.comparison.page import write_page
from xpfeh.evaluate.comparison.runs import COLUMNS, Row, Run

from tests.evaluate.test_comparison import kept

pytestmark = pytest.mark.slow  # half a minute of browser; test_comparison has the rest

_SETTINGS = [f"a_rather_long_setting_{number}" for number in range(20)]
_PLACE = """([root, x, y]) => {
  const view = Bokeh.index.get_by_id(Bokeh.documents[0].roots()[root].id)
  view.el.scrollIntoView({block: "center"})
  const box = view.el.getBoundingClientRect()
  return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]
}"""
_CHOSEN = """root => Bokeh.documents[0].roots()[root].renderers.map(each => each.data_source.selected.indices)
  .find(indices => indices.length > 0) ?? []"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of six runs, of which one is a finalist."""
    rows = []
    for number, (mae, seconds) in enumerate(((0.07, 9), (0.08, 100), (0.09, None), (0.10, 20), (0.11, 1))):
        settings = {name: str(number) for name in _SETTINGS}
        numbers = {"mae": mae, "mae_error": 0.004, "std": 0.1} | ({} if seconds is None else {"seconds": seconds})
        rows.append(Row([Run(f"{number}" * 32, "tuned", "0", settings, numbers)]))
    trial = rows[0].best
    rows.append(Row([Run("f" * 32, "tuned", "0", dict(trial.parameters), {"mae": 0.12, "mae_error": 0.002}, trial)]))
    runs = [row.best for row in rows]
    curves = {run.run_id: np.array([[500, 0.3 + run.numbers["mae"]], [5000, run.numbers["mae"]]]) for run in runs}
    out = tmp_path_factory.mktemp("comparison") / "page.html"
    write_page(out, rows, curves, {run.run_id: kept(200, 0.1) for run in runs[:3]}, "xpfeh")
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
    asked, complaints = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(path.as_uri())
    opened.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
    yield opened
    assert complaints == []
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {path.as_uri()}
    opened.close()


@pytest.mark.parametrize("width", [1600, 1200, 390])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    # Bokeh lays its plots out anew some time after the window has changed.
    page.wait_for_function(f"document.documentElement.scrollWidth <= {width}", timeout=10_000)
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


def test_a_run_that_is_clicked_stands_out_in_every_plot(page: Page) -> None:
    curves, parallel, panel = 0, 1, 2
    assert page.evaluate(_CHOSEN, curves) == []
    page.mouse.move(*page.evaluate(_PLACE, [curves, 5000, 0.11]))
    page.wait_for_selector(".bk-tooltip-row-value:has-text('44444444')")
    page.wait_for_selector(".bk-tooltip-row-value:has-text('0.1100 dex')")
    page.mouse.click(*page.evaluate(_PLACE, [curves, 5000, 0.11]))
    assert [page.evaluate(_CHOSEN, root) for root in (curves, parallel, panel)] == [[1]] * 3  # the second worst
    page.mouse.click(*page.evaluate(_PLACE, [panel, 0, 0.07]))
    assert [page.evaluate(_CHOSEN, root) for root in (curves, parallel, panel)] == [[5]] * 3


def test_what_is_operated_has_a_name_and_missing_pictures_are_said(page: Page) -> None:
    names = page.locator("button").evaluate_all("all => all.map(e => e.textContent)")
    assert names == ["run", "recipe", "seeds", *(title for title, _ in COLUMNS.values())]
    assert page.get_attribute("[tabindex]", "aria-label") == "Recipes"
    assert page.get_by_text("none kept").count() == 3
