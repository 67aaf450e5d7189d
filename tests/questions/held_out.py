"""Threads and questions that the ranking was never tuned on: they were written after it, and it was left as it was."""

from __future__ import annotations

from tests.questions.topics import Topic


def _topic(*said: str, asked: tuple[str, ...], name: str | None = None, archived: bool = False) -> Topic:
    """`said` by the user and the agent in turns."""
    return Topic(tuple(zip(said[::2], said[1::2], strict=True)), asked, name, archived=archived)


HELD_OUT = (
    _topic(
        "the sitemap has 404s in it",
        "It lists drafts. I filter by published_at and regenerate it each hour with a cron entry.",
        asked=("broken links in the sitemap", "why does the sitemap contain drafts"),
    ),
    _topic(
        "our go service leaks goroutines",
        "The HTTP client has no timeout, so the goroutines wait for ever. I set ten seconds and close the body.",
        asked=("goroutine leak", "goroutines waiting forever http client without timeout"),
    ),
    _topic(
        "make the invoice pdf look right in Japanese",
        "The font has no CJK glyphs. I embed Noto Sans JP and subset it, so the file stays below 200 KB.",
        asked=("japanese font in pdf invoices", "noto sans cjk glyphs pdf"),
    ),
    _topic(
        "why does git clone take so long in the pipeline",
        "The repository has 3 GB of old videos. A shallow clone with a blob filter takes eight seconds.",
        asked=("shallow clone in the pipeline", "slow git clone old videos"),
    ),
    _topic(
        "rotate the leaked aws key",
        "I made a new key, put it into the vault and revoked the old one; cloudtrail shows no foreign use.",
        "and the history?",
        "git filter-repo removed it from all branches; everyone has to clone again.",
        asked=("leaked aws credentials", "remove secret from git history", "which key did we revoke after the leak"),
    ),
    _topic(
        "the barcode scanner reads every label twice",
        "The reader sends a carriage return and a newline. I debounce scans of the same code within 300 ms.",
        asked=("barcode scanned twice", "scanner double reads debouncing"),
    ),
    _topic(
        "add two factor authentication",
        "TOTP with recovery codes, ten of them, hashed. The QR code is drawn on the server.",
        asked=("2fa totp recovery codes", "how did we do two-factor authentication"),
        name="Two factor",
    ),
    _topic(
        "prometheus eats all the disk",
        "A label holds the user id, so there are two million series. I dropped the label and set retention to 15 days.",
        asked=("prometheus cardinality disk", "too many series in prometheus because of a label"),
    ),
    _topic(
        "our rust build takes 14 minutes",
        "Most of it is linking. With mold and sccache it takes three; debug info went down to line tables.",
        asked=("faster rust builds mold sccache", "rust compile time linking"),
    ),
    _topic(
        "the map is blank in the mobile web view",
        "WebGL is off there. I fall back to raster tiles when no context can be made.",
        asked=("blank map webview", "map fallback raster tiles without webgl"),
    ),
    _topic(
        "customers get each newsletter twice",
        "Two schedulers run since the failover. The job takes an advisory lock now.",
        asked=("newsletter sent twice", "duplicate newsletters scheduler failover", "advisory lock for the scheduler"),
    ),
    _topic(
        "clean up the CSS, it has 9000 lines",
        "Purging what no template uses leaves 1400. I moved the rest to utility classes.",
        asked=("unused css purge", "cleaning up stylesheet utility classes"),
    ),
    _topic(
        "can you explain how our permissions work",
        "Roles hold grants, grants name a resource and a verb, and a policy per tenant may deny. Deny wins.",
        asked=("how do permissions and roles work here", "tenant policy deny wins"),
    ),
    _topic(
        "the sync with Salesforce stopped on Friday",
        "Their API version 49 was retired. I moved to 60; two fields have other names now.",
        asked=("salesforce sync stopped", "salesforce api version retired fields renamed"),
    ),
    _topic(
        "elasticsearch is red after the reboot",
        "Two shards lost their only copy. I restored them from the snapshot of Thursday and set one replica.",
        asked=("elasticsearch cluster red", "restore shards from snapshot"),
    ),
    _topic(
        "unsubscribe links must work without a login",
        "They carry a signed token with the list and the address, good for a year, and List-Unsubscribe-Post is set.",
        asked=("one click unsubscribe signed token", "unsubscribing without logging in"),
    ),
    _topic(
        "numbers in the CSV open as dates in Excel",
        "I quote them as text with a formula prefix, and offer xlsx beside it.",
        asked=("excel turns numbers into dates", "csv opens wrong in excel"),
    ),
    _topic(
        "write the runbook for a region outage",
        "It has the order of steps, who decides, and how to point DNS at Frankfurt; the drill took 22 minutes.",
        asked=("region outage runbook", "failover drill dns frankfurt"),
        name="Outage runbook",
    ),
    _topic(
        "jest runs out of heap",
        "Each suite imports the whole icon set. I mock the barrel file and run with two workers.",
        asked=("jest heap out of memory", "jest icons barrel imports mocked"),
    ),
    _topic(
        "the customer wants SSO with Okta",
        "SAML with just in time users; groups map to roles. Clock skew of two minutes is allowed.",
        asked=("okta saml sso", "single sign-on okta groups mapped to roles"),
    ),
    _topic(
        "prices in Swiss francs are off by a few cents",
        "Francs are rounded to five cents. I round the total, and lines stay exact.",
        asked=("swiss franc rounding", "rounding to five cents CHF total"),
    ),
    _topic(
        "the dashboard shows NaN for new accounts",
        "It divides by the visits of last month, which are zero. It shows a dash then.",
        asked=("NaN on the dashboard", "division by zero new accounts dashboard"),
    ),
    _topic(
        "add an endpoint to export everything we know about a user",
        "It gathers 14 tables into a zip within an hour and mails a link that works for a week. That covers GDPR.",
        asked=("gdpr export of user data", "zip with everything about a user"),
    ),
    _topic(
        "video calls have an echo on firefox",
        "echoCancellation is ignored with a sample rate that we set. I leave the rate to the browser.",
        asked=("echo in firefox calls", "echo cancellation sample rate"),
        archived=True,
    ),
    _topic(
        "helm upgrade says another operation is in progress",
        "A release was left in pending-upgrade when CI was killed. I rolled back to revision 41 and set --atomic.",
        asked=("helm another operation in progress", "helm release stuck in pending upgrade"),
    ),
    _topic(
        "the leaderboard query is too slow for the game",
        "A sorted set in redis keeps scores; rank and the neighbours come in one round trip.",
        asked=("leaderboard sorted set", "game ranking query slow"),
    ),
    _topic(
        "why is the hero image so big on phones",
        "We ship one of 4000 pixels. I made five widths in avif and webp with srcset.",
        asked=("responsive images srcset avif", "hero image too large on mobile"),
    ),
    _topic(
        "decide between grpc and rest for the inventory",
        "REST: three teams consume it from browsers and the payloads are small. I wrote down why.",
        asked=("grpc or rest for inventory", "why did we choose rest over grpc"),
        name="ADR 12",
    ),
    _topic(
        "the backup of last night is empty",
        "pg_dump died at the 2 GB limit of the old filesystem. I stream it to the bucket and check its size.",
        asked=("empty database backup", "pg_dump backup file size limit"),
    ),
    _topic(
        "a customer sees another customer's cart",
        "The CDN caches the page with its Set-Cookie. I mark it private and purge the cache.",
        asked=("wrong cart shown cdn caching", "customer sees someone else's cart"),
    ),
)
