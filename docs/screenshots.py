"""Takes the README's pictures of the Dagster UI, from two that are running. Not run by the tests.

    mathcode sample --output lake         && make ui
    mathcode sample --leaky --output leak && make ui LAKE=leak SOURCES=... (another port)
    python docs/screenshots.py http://127.0.0.1:3000 http://127.0.0.1:3001

Needs Debian's `chromium` and PyPI's `playwright`, which the project itself does not. Text and numbers in
the pictures are those of the lakes that are shown; take them anew when the sample changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright  # pyrefly: ignore[missing-import]

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SETTLE_MS = 5_000

Shot = Callable[[Page, str], None]


def graph(page: Page, base: str) -> None:
    """What one component's filtered documents are made from, two steps back: near enough to read the nodes."""
    page.goto(f"{base}/assets/filtered/open_web_math?view=lineage&lineageScope=upstream&lineageDepth=2")
    page.wait_for_timeout(SETTLE_MS)


def asset(page: Page, base: str) -> None:
    """An asset's page: description, previews, counts, columns, checks, source code."""
    page.goto(f"{base}/assets/attributes/open_web_math")
    page.wait_for_timeout(SETTLE_MS)


def preview(page: Page, base: str) -> None:
    """Documents that a filter drops, with verdict, reason and score."""
    asset(page, base)
    page.locator("text=Show Markdown").nth(1).click()
    page.wait_for_timeout(SETTLE_MS)


def plots(page: Page, base: str) -> None:
    """What the asset reported, over its partitions and over time."""
    page.goto(f"{base}/assets/attributes/cc_en_math_round1")
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_text("Plots", exact=True).click()
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_text("kept_share", exact=True).scroll_into_view_if_needed()
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(SETTLE_MS)


def red_check(page: Page, base: str) -> None:
    """The leaky shard's check, and one click further the evidence."""
    page.goto(f"{base}/assets/attributes/contamination/synthetic?view=checks&checkDetail=contaminated_share")
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_text("Partitions", exact=True).last.click()
    page.wait_for_timeout(SETTLE_MS)
    page.locator("[class*=MiddleTruncate]:visible", has_text="leaky").last.click()
    page.mouse.move(5, 5)  # away from the tooltip
    page.wait_for_timeout(SETTLE_MS)


def evidence(page: Page, base: str) -> None:
    """The matched benchmark items with the spans of the documents."""
    red_check(page, base)
    page.locator("text=Show Markdown").first.click()
    page.wait_for_timeout(SETTLE_MS)


OF_SAMPLE: dict[str, Shot] = {"graph": graph, "asset": asset, "preview": preview, "plots": plots}
OF_LEAKY: dict[str, Shot] = {"red-check": red_check, "evidence": evidence}


def main(sample_url: str, leaky_url: str) -> None:
    """Take every picture, into docs/images."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        for base, shots in ((sample_url, OF_SAMPLE), (leaky_url, OF_LEAKY)):
            for name, take in shots.items():
                take(page, base)
                page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
