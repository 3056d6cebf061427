"""The page, in a real browser: on three widths, by keyboard, by file and by job, without a request to another host."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Page, Route, sync_playwright

from tests.genuine import datalink_file
from tests.serving.test_endpoint import star_json

STAR = "5937083312263887616"
WIDTHS = (1280, 768, 390)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("needs a browser (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        yield chromium.new_page(viewport={"width": 390, "height": 844})
        chromium.close()


@pytest.fixture
def ten_stars(page: Page, address: str, spectra: dict[str, np.ndarray]) -> Iterator[list[str]]:
    """Ten identifiers; the endpoint gets their spectra as if from Gaia's archive: the last star has none."""
    known = {str(spectra["source_id"][i]): star_json(spectra, i) for i in range(9)}

    def with_spectra(route: Route) -> None:
        stars = json.loads(route.request.post_data or "")["stars"]
        body = {"stars": [known.get(str(star["source_id"]), star) for star in stars]}
        headers = {"Accept": route.request.headers["accept"]}
        reply = requests.post(route.request.url, json=body, headers=headers, timeout=60)
        route.fulfill(status=reply.status_code, body=reply.content, content_type=reply.headers["Content-Type"])

    for path in ("predict", "picture"):
        page.route(f"{address}/v1/{path}", with_spectra)
    yield [*known, STAR]
    page.unroute_all()
    page.set_viewport_size({"width": 390, "height": 844})


def lines(page: Page) -> list[str]:
    """The stars of the table, from top to bottom."""
    return page.locator("#rows > tr:not(.open) > td:first-child").all_inner_texts()


def no_wider(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_file_is_answered_with_a_spectrum_and_downloads(
    page: Page, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("text=Answered by the model")
    file = datalink_file("csv", tmp_path)
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector("svg path.flux")
    assert STAR in page.inner_text("#rows")  # all 63 bits of it
    assert re.search(r"-?\d\.\d\d ± \d\.\d\d", page.inner_text("#rows"))
    assert "NO_PHOTOMETRY" in page.inner_text("#rows")
    assert "position from the source_id" in page.inner_text(".meanings")
    for kind, beginning in (("FITS", b"SIMPLE"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            page.click(f"text=Download {kind}")
        assert download.value.path().read_bytes().startswith(beginning)
    assert no_wider(page)
    monkeypatch.chdir(tmp_path)
    page.click("text=Copy as curl")
    curl = shlex.split(page.inner_text("#program"))
    assert STAR in subprocess.run([*curl, "--silent", "--fail"], capture_output=True, text=True, check=True).stdout
    page.click("text=Copy as Python")
    names: dict[str, Any] = {}
    exec(page.inner_text("#program"), names)
    assert str(names["stars"]["source_id"][0]) == STAR
    assert {url.split("/")[2] for url in asked if not url.startswith("blob:")} == {address.split("/")[2]}
    assert complaints == []


def test_the_spectrum_is_read_by_pointer_and_by_keys(page: Page, address: str, ten_stars: list[str]) -> None:
    page.goto(f"{address}/?id={ten_stars[0]}")
    page.locator(".drawing").hover(position={"x": 46, "y": 100})
    assert re.match(r"336 nm: flux \d\.\d{3} ± \d", page.inner_text(".readout"))
    pointer = page.get_by_role("slider", name=f"wavelength in the spectrum of {ten_stars[0]}")
    pointer.press("ArrowRight")
    assert page.inner_text(".readout").startswith("338 nm: ")
    assert pointer.get_attribute("aria-valuetext") == page.inner_text(".readout")
    assert page.get_by_role("img", name=f"Spectrum of {ten_stars[0]}").count() == 1


def test_ten_stars_are_a_row_each_and_sorted_by_keys(page: Page, address: str, ten_stars: list[str]) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{address}/?id={','.join(ten_stars)}")
    page.wait_for_selector("svg")  # the first star is open
    assert lines(page) == ten_stars
    rows = page.locator("#rows > tr:not(.open)")
    assert max(row.evaluate("row => row.offsetHeight") for row in rows.all()) < 40
    assert page.get_by_role("columnheader", name="T_eff").count() == 0  # this model does not have it
    chip = page.locator("#rows .chip[title*=' ']").first
    assert re.fullmatch(r"[A-Z_]+: " + re.escape(f"{chip.get_attribute('title')}. "), chip.text_content() or "")
    head = page.get_by_role("columnheader", name="[Fe/H]")
    orders = []
    for state in ("ascending", "descending", None):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == state
        orders.append(lines(page))
    fehs = page.locator("td[data-what='[Fe/H]']").all_inner_texts()
    known = {i: float(feh.split()[0]) for i, feh in zip(ten_stars, fehs, strict=False) if feh != "none"}
    rest = [i for i in ten_stars if i not in known]  # always last
    assert len(known) > 3
    for order, downwards in ((orders[0], False), (orders[1], True)):
        assert [known[i] for i in order[: len(known)]] == sorted(known.values(), reverse=downwards)
        assert order[len(known) :] == rest
    assert orders[2] == ten_stars
    opener = page.get_by_role("button", name=f"spectrum of {ten_stars[3]}")
    opener.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    page.locator("svg path.flux").nth(1).wait_for()
    opener.press("Enter")
    assert page.locator("tr.open").count() == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_its_window(page: Page, address: str, ten_stars: list[str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/?id={','.join(ten_stars)}")
    page.wait_for_selector("svg")
    assert no_wider(page)
    assert page.get_by_role("cell").filter(has_text=re.compile(f"^{ten_stars[4]}$")).is_visible()
    assert page.get_by_role("columnheader", name="good").get_by_role("button").is_visible()


def test_the_keyboard_alone_works_and_errors_are_shown(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("text=Answered by the model")
    page.keyboard.press("Tab")
    page.keyboard.type("Arcturus")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status.error")
    assert "whole number" in page.inner_text("#status")
    page.fill("#ids", f"Gaia DR3 {STAR}")
    page.press("#ids", "Enter")
    page.wait_for_selector("text=no spectrum was sent")
    assert STAR in page.inner_text("#rows")
    assert page.url == f"{address}/?id={STAR}"
    page.reload()
    page.wait_for_selector("text=no spectrum was sent")
    page.go_back()
    page.wait_for_selector("#answers", state="hidden")


def test_many_stars_are_a_job_that_a_reload_finds_again(page: Page, address: str) -> None:
    job = {"id": "j1", "state": "running", "stars": 1001, "done": 400, "rejected": 3, "error": None}
    job |= {"created": "2026-11-29T12:00:00Z", "expires": "2026-11-30T12:00:00Z"}
    asked = []

    def jobs(route: Route) -> None:
        asked.append(f"{route.request.method} {route.request.url.removeprefix(address)}")
        if route.request.method == "POST":
            assert len(json.loads(route.request.post_data or "")["source_ids"]) == 1001
            route.fulfill(status=202, json={"id": "j1", "state": "queued"})
        elif route.request.method == "DELETE":
            job["state"] = "cancelled"
            route.fulfill(status=204)
        elif "result" in route.request.url:
            route.fulfill(body="source_id\n1\n", content_type="text/csv")
        else:
            route.fulfill(json=job)

    page.route(re.compile("/v1/jobs"), jobs)
    try:
        page.goto(address)
        page.wait_for_selector("text=Answered by the model")
        page.fill("#ids", " ".join(map(str, range(10**18, 10**18 + 1001))))
        page.click("text=Predict")
        page.wait_for_selector("text=400 of 1,001 stars, 3 of them rejected")
        assert page.url == f"{address}/?job=j1"
        page.reload()
        page.wait_for_selector("text=400 of 1,001 stars")
        assert page.get_by_role("progressbar", name="Job j1").evaluate("bar => bar.value / bar.max") == 400 / 1001
        assert no_wider(page)
        job |= {"state": "done", "done": 1001}
        page.reload()
        with page.expect_download() as download:
            page.click("#job-downloads >> text=Download CSV")
        assert download.value.path().read_text() == "source_id\n1\n"
        assert "GET /v1/jobs/j1/result?format=csv" in asked
        assert page.locator("#job-cancel").is_hidden()
        job["state"] = "running"
        page.reload()
        page.click("text=Cancel")
        page.wait_for_selector("text=Job cancelled.")
        assert "DELETE /v1/jobs/j1" in asked
    finally:
        page.unroute_all()


def test_every_control_has_a_name(page: Page, address: str, ten_stars: list[str]) -> None:
    page.goto(f"{address}/?id={ten_stars[0]}")
    page.wait_for_selector("svg")
    unnamed = page.eval_on_selector_all(
        "input, textarea, button, svg, progress, section",
        "all => all.filter(e => !(e.labels?.length || e.textContent.trim() || e.hidden || e.closest('[hidden]')"
        " || e.getAttribute('aria-labelledby') || e.getAttribute('aria-label'))).map(e => e.outerHTML)",
    )
    assert unnamed == []


def test_the_pages_for_programs_load_nothing_from_elsewhere(page: Page, address: str) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/docs")
    page.get_by_text("/v1/predict/file").first.wait_for()
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address.split("/")[2]}
    for part in ("nothing.js", "page.html", "../app.py"):
        assert requests.get(f"{address}/page/{part}", timeout=60).status_code in (404, 422)
