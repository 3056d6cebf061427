"""The page, in a real browser: by keyboard and by file, on a phone's width, without a request to another host."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.genuine import datalink_file

STAR = "5937083312263887616"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("needs a browser (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        yield chromium.new_page(viewport={"width": 390, "height": 844})
        chromium.close()


def test_a_file_is_answered_with_a_picture_and_downloads(page: Page, address: str, tmp_path: Path) -> None:
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(address)
    page.wait_for_selector("text=Answered by the model")
    page.set_input_files("input[type=file]", datalink_file("csv", tmp_path))
    page.wait_for_selector("#picture:not([hidden]) img[src^=blob]")
    assert page.evaluate("document.querySelector('#image').naturalWidth") > 500
    assert STAR in page.inner_text("#rows")  # all 63 bits of it
    assert re.search(r"-?\d\.\d\d ± \d\.\d\d", page.inner_text("#rows"))
    assert "NO_PHOTOMETRY" in page.inner_text("#rows")
    assert STAR in page.get_attribute("#image", "alt")
    with page.expect_download() as download:
        page.click("text=Download FITS")
    assert download.value.path().read_bytes().startswith(b"SIMPLE")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert {url.split("/")[2] for url in asked if not url.startswith("blob:")} == {address.split("/")[2]}
    assert complaints == []


def test_the_keyboard_alone_asks_and_is_told_why_there_is_no_answer(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("text=Answered by the model")
    page.keyboard.press("Tab")
    page.keyboard.type("Arcturus")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status.error")
    assert "whole number" in page.inner_text("#status")
    page.fill("#source-id", STAR)
    page.press("#source-id", "Enter")
    page.wait_for_selector("text=this endpoint asks no archive for it")
    assert STAR in page.inner_text("#rows")


def test_everything_that_is_operated_has_a_name(page: Page, address: str) -> None:
    page.goto(address)
    unnamed = page.eval_on_selector_all(
        "input, button, img, section",
        "all => all.filter(e => !(e.labels?.length || e.textContent.trim() || e.alt || e.hidden"
        " || e.closest('[hidden]') || e.getAttribute('aria-labelledby'))).map(e => e.outerHTML)",
    )
    assert unnamed == []


def test_the_pages_for_programs_load_nothing_from_elsewhere(page: Page, address: str) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/docs")
    page.get_by_text("/v1/predict/file").first.wait_for()
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address.split("/")[2]}
