"""Chromium, and pages of it that are watched."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from tests.clients.installed import client
from tests.page.watching import Watched, screenshots

Watch = Callable[..., AbstractContextManager[Watched]]

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 380, "height": 760}

# A busy machine takes its time: what a test waits for comes, or never does.
_PATIENCE_MS = 30_000
expect.set_options(timeout=_PATIENCE_MS)


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser]:
    path = client("CHROMIUM_BIN", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def watch(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """Makes a window of its own, with cookies and storage of its own. It takes the options of a browser context."""
    shots = screenshots(tmp_path_factory.mktemp("screenshots"))

    @contextmanager
    def watching(**options: Any) -> Generator[Watched]:
        chosen: dict[str, Any] = {"viewport": WIDE, "reduced_motion": "reduce"} | options
        context = chromium.new_context(**chosen)
        context.set_default_timeout(_PATIENCE_MS)
        try:
            yield Watched(context, shots)
        finally:
            context.close()

    return watching
