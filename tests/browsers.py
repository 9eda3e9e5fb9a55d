"""A browser for tests: Chromium as the system has it, driven by Playwright, where both are installed; pages that may say
nothing in their console, ask no other machine, and ask the reader nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["browsing", "silent", "until", "watched"]


@contextmanager
def browsing() -> Iterator[Any]:
    """A headless browser; skips whatever needs it where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def watched(page: Any, *own: str) -> list[str]:
    """What a page says and asks that it should not, from now on: requests of other addresses than those that begin with
    ``own``, words in the console, errors, dialogs."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith(("data:", "blob:", *own)) or said.append(request.url))
    return said


def until(page: Any, expression: str, *given: Any, seconds: float = 30.0) -> None:
    """Wait for an expression of JavaScript to become true. Playwright's own waiting evaluates words in the page, which a
    strict policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, *given):
        assert time.monotonic() < end, f"not true within {seconds:g} s: {expression}"
        page.wait_for_timeout(50)


@contextmanager
def silent(browser: Any, *own: str, **how: Any) -> Iterator[Any]:
    """A page of its own, of which nothing is heard."""
    context = browser.new_context(**how)
    page = context.new_page()
    said = watched(page, *own)
    yield page
    context.close()
    allowed = getattr(context, "allowed", None)  # what a test brings about, and a browser tells in its console
    assert [each for each in said if allowed is None or allowed not in each] == []
