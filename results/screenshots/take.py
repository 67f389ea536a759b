"""Takes the README's pictures of the page, light and dark, with Debian's chromium: ``make screenshots``."""

from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
PAGE = (HERE.parent / "leaderboard.html").as_uri()

with sync_playwright() as playwright:
    chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    for scheme in ("light", "dark"):
        page = chromium.new_page(viewport={"width": 1280, "height": 1600}, color_scheme=scheme, reduced_motion="reduce")
        page.goto(f"{PAGE}#domain-flights")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=HERE / f"{scheme}.png")
