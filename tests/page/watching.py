"""A page of Chromium, and all that it did besides being shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.base import AXE_SCRIPT  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import BrowserContext, Dialog, Frame, Page, Request

_NOTE_REFUSALS = """
addEventListener("securitypolicyviolation", event => {
  (window.refused ??= []).push(`${event.effectiveDirective} ${event.blockedURI}`);
});
"""
_UNTIL_STILL = """() => new Promise(done => {
  const end = () => { changes.disconnect(); done(); };
  let timer = setTimeout(end, 150);
  const changes = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(end, 150); });
  changes.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
})"""


class Watched:
    def __init__(self, context: BrowserContext, shots: Callable[[str], Path]) -> None:
        self.requests = list[str]()
        self.faults = list[str]()
        """Errors that a script did not catch, and what it wrote to the console as an error."""
        self.asked = list[str]()
        """Dialogs of the browser, as `alert` opens them."""
        self._context, self._shots = context, shots
        self._unanswered = set[Request]()
        context.add_init_script(_NOTE_REFUSALS)
        context.on("request", self._note)
        context.on("requestfinished", self._answered)
        context.on("requestfailed", self._failed)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda told: self.faults.append(told.text) if told.type == "error" else None)
        self.page.on("dialog", self._dismiss)

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)
        if "subscriptions/listen" not in (request.post_data or ""):  # that one is a stream, and stays open
            self._unanswered.add(request)

    def _answered(self, request: Request) -> None:
        self._unanswered.discard(request)

    def _failed(self, request: Request) -> None:
        self._answered(request)
        if request.failure == "csp":  # the policy refused it, so it went nowhere
            self.requests.remove(request.url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.asked.append(dialog.message)
        dialog.dismiss()

    def tab(self) -> Page:
        """Another tab of the same browser."""
        return self._context.new_page()

    def open(self, address: str) -> Page:
        """The page, once its first data is drawn."""
        self.page.goto(address)
        self.ready()
        return self.page

    def ready(self) -> None:
        self.page.locator("body[data-ready]").wait_for()

    def settle(self) -> None:
        """Wait until every request is answered, and nothing on the page changes any more."""
        self.page.evaluate(_UNTIL_STILL)
        while self._unanswered:
            self.page.evaluate(_UNTIL_STILL)

    def goto(self, place: str) -> None:
        """Another view of the page that is open: what stands after the # of its address."""
        self.page.evaluate("place => { location.hash = place; }", place)
        self.settle()

    def shoot(self, name: str) -> None:
        """A picture for people to look at."""
        self.page.screenshot(path=self._shots(name), animations="disabled")

    def refused(self) -> list[str]:
        """What the policy has refused so far."""
        return list(self.page.evaluate("window.refused ?? []"))

    def outside(self, *inside: str) -> list[str]:
        """The requests that went to no address inside, and were not data that the page holds itself."""
        return [url for url in self.requests if not url.startswith((*inside, "data:", "blob:", "about:"))]


def accessibility_faults(frame: Page | Frame) -> list[str]:
    """What axe finds, with the elements it finds it in."""
    frame.evaluate(AXE_SCRIPT)
    found = frame.evaluate("axe.run(document)")
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:200] for node in fault['nodes'][:3]]}"
        for fault in found["violations"]
    ]


def screenshots(folder: Path) -> Callable[[str], Path]:
    """Where pictures go: the folder that THREADSTORE_SCREENSHOTS names, else this one."""
    chosen = os.environ.get("THREADSTORE_SCREENSHOTS")
    target = Path(chosen) if chosen else folder

    def path(name: str) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        return target / f"{name}.png"

    return path
