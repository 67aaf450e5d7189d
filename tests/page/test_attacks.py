"""Stored texts never become HTML or a script, whether or not the policy of the page would stop them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.by_night import nightly
from tests.page.attacks import EVIL, TEXTS, plant
from tests.page.browsing import Browsing, browsing
from tests.page.conftest import Watch
from tests.page.exporting import exported
from tests.page.watching import Watched

pytestmark = [pytest.mark.xdist_group("page"), pytest.mark.timeout(400)]

# What stands in the page and only an attack would bring there.
_FOREIGN = r"""() => {
  const elements = "iframe, object, embed, base, link:not([rel=icon]), form[action], template, video, audio, " +
    "svg script, svg use, svg animate, svg foreignObject, body style, " +
    "body script:not([type=module], body > [type='application/json']), meta[http-equiv=refresh]";
  const safe = /^(#|https?:|mailto:|data:image\/(png|jpeg|gif|webp)|blob:)/;
  const isForeign = ({ name, value }) => name.startsWith("on") || name === "srcdoc" || name === "formaction" ||
    (["href", "src", "xlink:href"].includes(name) && !safe.test(value)) || (name === "src" && /^https?:/.test(value));
  return [...document.querySelectorAll(":not(link[rel=icon])")]
    .filter(one => one.matches(elements) || [...one.attributes].some(isForeign))
    .map(one => one.outerHTML.slice(0, 300));
}"""
_TOUCH = """() => {
  const touch = (one, kind) => one.dispatchEvent(new MouseEvent(kind, { bubbles: true }));
  for (const one of document.querySelectorAll("main *")) for (const kind of ["mouseover", "focus"]) touch(one, kind);
  for (const link of document.querySelectorAll(".prose a:not([href^=http])")) link.click();
}"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("attacks") / "home"
    home.mkdir()
    return home, plant(home)


@pytest.fixture(scope="module")
def shown(planted: tuple[Path, list[str]]) -> Generator[Browsing]:
    with browsing(planted[0]) as shown:
        yield shown


def harmless(watched: Watched, where: str, *inside: str) -> None:
    page = watched.page
    assert page.evaluate("window.planted") is None, where
    assert page.evaluate(_FOREIGN) == [], where
    assert watched.asked == [], where
    assert watched.outside(*inside) == [], where
    assert page.url.startswith(inside), where
    assert page.title().endswith("Threadstore"), where


def touch_everything(page: Page) -> None:
    """Open what is folded, move over everything and follow what leads nowhere outside."""
    for _ in range(3):  # what is opened may hold more that is folded
        page.evaluate("document.querySelectorAll('details:not([open])').forEach(one => { one.open = true; })")
        page.evaluate("document.querySelectorAll('main [aria-expanded=false]').forEach(one => one.click())")
    page.evaluate(_TOUCH)


_ALL, _SOME = 1, 6
bypassing = pytest.mark.parametrize(
    ("bypassed", "every"),
    [
        nightly(False, _ALL, id="with the policy"),
        nightly(True, _ALL, id="without the policy"),
        pytest.param(True, _SOME, id="without the policy, some"),
    ],
)
"""The first thread holds all of the texts. Of those that hold one each, some are looked at by day."""


def some_of(ids: list[str], every: int) -> list[str]:
    """The first, and some of the others: pairs of a root and its sub-agent."""
    first, *others = ids
    return [first, *(one for n, one in enumerate(others) if n // 2 % every == 0)]


@bypassing
def test_no_stored_text_runs_or_fetches_anything_in_any_view(
    watch: Watch, shown: Browsing, planted: tuple[Path, list[str]], bypassed: bool, every: int
) -> None:
    ids = some_of(planted[1], every)
    with watch(bypass_csp=bypassed) as watched:
        watched.open(shown.address)
        lists = ["#/", "#/?archived=1", "#/?agents=1", "#/running", "#/stats", "#/?q=planted", "#/?q=click&tools=1"]
        places = [*lists, *(f"#/{view}/{one}" for one in ids for view in ("thread", "tree"))]
        for place in places:
            watched.goto(place)
            touch_everything(watched.page)
            watched.settle()
            harmless(watched, place, shown.url)
        assert watched.refused() == []
        assert watched.faults == []


@bypassing
def test_no_stored_text_runs_or_fetches_anything_in_an_export(
    watch: Watch, planted: tuple[Path, list[str]], tmp_path: Path, bypassed: bool, every: int
) -> None:
    home, (all_texts, *ids) = planted[0], some_of(planted[1], every)
    addresses = [(exported(home, root, tmp_path), [root, *below]) for root, *below in [(all_texts,), *pairs(ids)]]
    with watch(bypass_csp=bypassed) as watched:
        for address, inside in addresses:
            watched.open(address)
            for place in (f"#/{view}/{one}" for one in inside for view in ("thread", "tree")):
                watched.goto(place)
                touch_everything(watched.page)
                watched.settle()
                harmless(watched, f"{address}{place}", *(one for one, _ in addresses))
            assert watched.refused() == []
        assert watched.faults == []


def pairs(ids: list[str]) -> Iterator[tuple[str, ...]]:
    """Each root with its sub-agent."""
    return (tuple(ids[first : first + 2]) for first in range(0, len(ids), 2))


@pytest.mark.parametrize(
    ("injection", "refused"),
    [
        (f"fetch('{EVIL}/').catch(() => 0)", "connect-src"),
        (f"new Image().src = '{EVIL}/x.png'", "img-src"),
        ("document.querySelector('#page').innerHTML = '<b>x</b>'", "trusted"),
        ("document.body.setAttribute('onclick', 'window.planted=1')", "trusted"),
    ],
)
def test_the_policy_of_an_export_refuses_what_slipped_through(
    watch: Watch, planted: tuple[Path, list[str]], tmp_path: Path, injection: str, refused: str
) -> None:
    with watch() as watched:
        page = watched.open(exported(planted[0], planted[1][1], tmp_path))
        assert refused in refusal(page, injection).lower()


def test_stored_texts_are_shown_as_the_texts_they_are(watch: Watch, shown: Browsing) -> None:
    with watch(viewport={"width": 1280, "height": 4_000}) as watched:
        page = watched.open(shown.address)
        watched.settle()
        titles = page.locator("[role=option] .row-title").all_inner_texts()
        listed = "\n".join(titles)
        for text in (TEXTS[0], TEXTS[2], TEXTS[4]):
            assert text in listed


@pytest.mark.parametrize(
    ("injection", "refused"),
    [
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.planted=1'}))",
            "trusted",
        ),
        ("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.planted=1>')", "trusted"),
        ("document.body.setAttribute('onclick', 'window.planted=1')", "trusted"),
        ("document.querySelector('#page').innerHTML = '<b>x</b>'", "trusted"),
        ("new Worker('data:text/javascript,postMessage(1)')", "trusted"),
        (f"new Image().src = '{EVIL}/x.png'", "img-src"),
        (f"fetch('{EVIL}/').catch(() => 0)", "connect-src"),
        (
            "document.body.append(Object.assign(document.createElement('iframe'), {src: 'data:text/html,x'}))",
            "frame-src",
        ),
        (
            "document.body.append(Object.assign(document.createElement('style'), {textContent: '*{color:red}'}))",
            "style-src",
        ),
        (
            "document.head.append(Object.assign(document.createElement('base'), {href: 'http://evil.test/'}))",
            "base-uri",
        ),
        (f"document.body.append(Object.assign(document.createElement('object'), {{data: '{EVIL}/'}}))", "trusted"),
    ],
)
def test_the_policy_refuses_what_slipped_through(watch: Watch, shown: Browsing, injection: str, refused: str) -> None:
    with watch() as watched:
        page = watched.open(shown.address)
        assert refused in refusal(page, injection).lower()
        assert page.evaluate("window.planted") is None
        assert [url for url in watched.outside(shown.url) if EVIL in url] == []


def refusal(page: Page, injection: str) -> str:
    """What the policy says of a script."""
    told: str = page.evaluate(
        f"""() => new Promise(done => {{
          addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
          try {{ {injection} }} catch (error) {{ done(String(error)); }}
        }})"""
    )
    return told
