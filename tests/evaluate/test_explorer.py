"""The interactive plots in a real browser, without a request to another host."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from xpfeh.evaluate.explorer import explorer

from tests.evaluate.made_up import held_out


def test_a_selection_shows_in_all_plots_without_another_host(tmp_path: Path) -> None:
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("needs a browser (Debian: apt install chromium)")
    stars = held_out()
    page_file = tmp_path / "page.html"
    page_file.write_text(f"<!doctype html><meta charset=utf-8><body>{explorer(stars)}</body>")
    assert page_file.stat().st_size < 3_000_000
    requested, complaints = [], []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
        source = "Bokeh.documents[0]._all_models.values().find(m => m.type == 'ColumnDataSource')"
        ids = page.evaluate(f"Array.from({source}.data.source_id)")
        page.select_option("select", "G")
        along = page.evaluate(f"Array.from({source}.data.along)")
        box = page.locator(".bk-Figure").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 70, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 480, box["y"] + 280, steps=5)
        page.mouse.up()
        chosen = page.evaluate(f"{source}.selected.indices.length")
        chromium.close()
    given = np.isfinite(stars["FEH"])
    assert ids == [str(each) for each in stars["source_id"][given]]
    np.testing.assert_allclose(along, stars["phot_g_mean_mag"][given], rtol=1e-4)
    assert 0 < chosen <= given.sum()
    assert {url.split(":")[0] for url in requested} == {"file"}
    assert complaints == []
