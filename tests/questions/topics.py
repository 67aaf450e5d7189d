"""Threads that questions are asked about: what was said in them, and how someone asks for it weeks later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A thread. `turns` are what the user asked and what the agent answered; `output` is what a tool of the first turn
    said. `questions` are asked for it."""

    turns: tuple[tuple[str, str], ...]
    questions: tuple[str, ...]
    name: str | None = None
    output: str | None = None
    archived: bool = False


TOPICS = (
    Topic(
        (
            (
                "two requests log in at once and one of them gets a 401, look into the auth code",
                "Both requests refresh "
                "the token; the second one sends a refresh token that the first has spent. "
                "It is a race condition in auth.",
            ),
            (
                "fix it",
                "I put a lock around the refresh, keyed by user, and added a test that logs in from two threads.",
            ),
        ),
        ("auth race condition", "login race when the token is refreshed twice", "401 two requests refreshing"),
    ),
    Topic(
        (
            ("the nightly reconciliation takes four hours", "It reconciles invoices one by one, with a query each."),
            ("batch it", "Reconciling now runs in batches of 500; the slow join is gone and it takes eleven minutes."),
        ),
        ("reconciliation slow batching", "nightly reconcile job batches of invoices"),
    ),
    Topic(
        (
            (
                "customers complain that paying takes ten seconds",
                "Checkout calls the tax service three times in a row, and each call is slow. The cart page is fine.",
            ),
            ("do it once", "Checkout asks for taxes once and keeps the answer for the session; it takes 900 ms now."),
        ),
        ("why is checkout slow", "checkout tax service called three times"),
    ),
    Topic(
        (
            (
                "pods get killed with OOM every few hours",
                "The image worker keeps every thumbnail in a module level list. "
                "That is the memory leak; I cleared it after each batch.",
            ),
        ),
        ("memory leak in the image worker", "worker pods OOM killed thumbnails"),
    ),
    Topic(
        (
            (
                "the deploy to staging hangs",
                "The migration waits for a lock that the old pods hold. ALTER TABLE needs an "
                "exclusive lock; I set lock_timeout and retry.",
            ),
        ),
        ("staging deploy hangs on migration lock", "alter table lock timeout migrations"),
        name="Staging deploy",
    ),
    Topic(
        (
            (
                "test_invoice_totals fails one time in ten",
                "It is flaky since it compares floats and depends on the order "
                "of rows. I sorted them and used Decimal.",
            ),
        ),
        ("flaky invoice test", "flaky tests decimal rounding of totals"),
    ),
    Topic(
        (
            (
                "webhooks from stripe are handled twice",
                "Stripe retries after 10 seconds and we have no idempotency key. "
                "I store the event id and skip duplicates.",
            ),
        ),
        ("duplicate stripe webhooks", "stripe events idempotent retries"),
    ),
    Topic(
        (
            (
                "the search page shows deleted products",
                "The index keeps tombstones until it is refreshed. I delete "
                "documents by query when a product goes away.",
            ),
        ),
        ("deleted products still in search", "search index shows deletion tombstones"),
    ),
    Topic(
        (
            (
                "can we move the cron jobs to kubernetes",
                "Yes: each becomes a CronJob with concurrencyPolicy Forbid. I wrote manifests for the seven jobs.",
            ),
        ),
        ("cron jobs to kubernetes", "kubernetes cronjob manifests concurrency"),
        name="CronJobs",
    ),
    Topic(
        (
            (
                "users in Brazil see wrong dates",
                "The report formats dates in UTC; with the timezone of Sao Paulo midnight "
                "falls on the day before. I pass the user's zone.",
            ),
        ),
        ("wrong dates timezone Brazil", "report date off by one time zone Sao Paulo"),
    ),
    Topic(
        (
            (
                "upgrade us to python 3.12",
                "distutils is gone, so setup.py breaks; I moved the build to hatchling and pinned numpy.",
            ),
        ),
        ("python upgrade distutils removed", "moving setup.py to hatchling"),
        name="Python 3.12",
    ),
    Topic(
        (
            (
                "the websocket drops after a minute behind nginx",
                "proxy_read_timeout is 60 seconds. I raised it and send a ping each 25 seconds.",
            ),
        ),
        ("websocket disconnects nginx", "proxy_read_timeout ping"),
    ),
    Topic(
        (
            (
                "uploading a csv of 2 GB kills the api",
                "The handler reads the upload into memory. It streams the file to S3 in parts now.",
            ),
        ),
        ("large csv uploads streaming", "upload to S3 in multipart kills api"),
    ),
    Topic(
        (
            (
                "write a rate limiter for the public api",
                "A token bucket in redis with a lua script: 100 requests a minute for each key, with Retry-After.",
            ),
        ),
        ("rate limiting redis", "token bucket lua script"),
    ),
    Topic(
        (
            (
                "eslint takes three minutes in CI",
                "It type-checks all packages. With project references and a cache of lint results it takes 25 seconds.",
            ),
        ),
        ("eslint slow in CI", "linting cache CI minutes"),
    ),
    Topic(
        (("our docker image has 2 GB", "A multi stage build without the compilers, on a slim base: 180 MB."),),
        ("shrink docker image", "docker image size multi-stage"),
    ),
    Topic(
        (
            (
                "postgres runs at 100% cpu since monday",
                "The planner stopped using the index on orders: statistics were "
                "stale. After ANALYZE the query takes 3 ms.",
            ),
        ),
        ("postgres cpu index not used", "stale statistics planner analyze orders"),
    ),
    Topic(
        (
            (
                "emails land in spam",
                "SPF is fine but DKIM fails, since the relay rewrites the subject. I sign after the relay.",
            ),
        ),
        ("emails spam dkim", "DKIM signature failing relay"),
    ),
    Topic(
        (
            (
                "graphql query for orders does N+1",
                "Each order loads its customer. A dataloader makes two queries of it.",
            ),
        ),
        ("graphql n+1 dataloader", "orders resolver loads customers one by one"),
    ),
    Topic(
        (
            (
                "the mobile app crashes on start for android 9",
                "Proguard strips the class that gson needs. I added a keep rule.",
            ),
        ),
        ("android crash proguard", "app crashing on start gson keep rule"),
    ),
    Topic(
        (
            (
                "kafka consumers lag behind",
                "Rebalancing takes them out for minutes, since max.poll.interval is too short "
                "for our batches. I made batches smaller.",
            ),
        ),
        ("kafka consumer lag rebalance", "kafka consumers lagging poll interval"),
    ),
    Topic(
        (
            (
                "we need dark mode",
                "Colours are CSS variables now, with prefers-color-scheme and a toggle in the settings.",
            ),
        ),
        ("dark mode css variables", "toggle for the dark theme colours"),
        name="Dark mode",
    ),
    Topic(
        (
            (
                "password reset links don't work twice",
                "Mail scanners open the link first and spend it. The link shows a "
                "button now, and only the POST spends it.",
            ),
        ),
        ("password reset link mail scanner", "reset links used up by scanners"),
    ),
    Topic(
        (
            (
                "terraform wants to recreate the database",
                "The engine version drifted after a minor upgrade. I set ignore_changes and imported the state.",
            ),
        ),
        ("terraform recreate database drift", "terraform state import engine version"),
    ),
    Topic(
        (
            (
                "make the ledger double entry",
                "Each posting has a debit and a credit that sum to zero; a constraint trigger checks it at commit.",
            ),
        ),
        ("double entry ledger postings", "debits and credits sum to zero constraint"),
    ),
    Topic(
        (
            (
                "sessions are lost on each deploy",
                "Sessions live in the memory of the process. I moved them to redis with a sliding expiry.",
            ),
        ),
        ("sessions lost after deployment", "session store redis expiry"),
    ),
    Topic(
        (
            (
                "translate the onboarding",
                "I extracted 212 strings for gettext; German and French are done, plurals need a look.",
            ),
        ),
        ("onboarding translation gettext", "translating strings German plurals"),
    ),
    Topic(
        (
            (
                "deadlocks in the orders table each morning",
                "Two jobs update the same rows in different order. Both sort by id now, so the deadlock can't happen.",
            ),
        ),
        ("deadlock orders table", "deadlocks two jobs updating rows in different order"),
    ),
    Topic(
        (
            (
                "S3 costs doubled",
                "Versioning keeps 40 copies of each log. A lifecycle rule expires old versions after a week.",
            ),
        ),
        ("S3 costs lifecycle rule", "bucket versioning expensive expiring old versions"),
    ),
    Topic(
        (
            (
                "which of our endpoints leak personal data",
                "Three: the export, the audit log and the avatar proxy. I redact email addresses in them.",
            ),
        ),
        ("endpoints leaking personal data", "redact emails in audit log export"),
        archived=True,
    ),
    Topic(
        (
            (
                "playwright tests time out on github",
                "The dev server listens on ::1 and the runner looks at 127.0.0.1. I bind both.",
            ),
        ),
        ("playwright timeout github actions", "dev server ipv6 localhost runner"),
    ),
    Topic(
        (
            (
                "add feature flags",
                "Flags live in a table with a percentage; a user's hash decides. There is a page to switch them.",
            ),
        ),
        ("feature flags percentage rollout", "feature flag hash of the user"),
        name="Feature flags",
    ),
    Topic(
        (
            (
                "why do refunds stay pending",
                "The refund job expects a status that the provider renamed from settled to succeeded.",
            ),
        ),
        ("refunds stuck pending", "refund status renamed by provider"),
    ),
    Topic(
        (
            (
                "port the parser from regex to a grammar",
                "A PEG grammar with 40 rules; error messages name line and column.",
            ),
        ),
        ("parser grammar peg", "porting regex parser error messages line column"),
    ),
    Topic(
        (
            (
                "autocomplete in the address form is laggy",
                "It fires a request with each key. Debouncing by 200 ms and aborting the old request helps.",
            ),
        ),
        ("address autocomplete debounce", "laggy autocompletion aborts old requests"),
    ),
    Topic(
        (
            (
                "the build says exit code 137",
                "Let me look.",
            ),
        ),
        ("clang killed while linking libfoo", "linker killed libfoo exit 137"),
        output="c++: fatal error: Killed signal terminated program lld while linking libfoo.so\nexit status 137",
    ),
    Topic(
        (
            (
                "something fails in the import job",
                "It is a broken row, see the output.",
            ),
        ),
        ("UnicodeDecodeError import job latin", "invalid continuation byte customers_de.csv"),
        output="UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe4: invalid continuation byte in "
        "customers_de.csv (probably latin-1)",
    ),
    Topic(
        (("plan the offsite in Café Müller", "I made an agenda: retro, roadmap, hike."),),
        ("offsite agenda cafe muller", "offsite roadmap retro"),
    ),
    Topic(
        (
            (
                "implement undo in the editor",
                "A command stack with inverse operations; typing is merged into one step within a second.",
            ),
        ),
        ("undo stack editor", "editor undoing merges typing"),
    ),
    Topic(
        (
            (
                "the health check flaps",
                "It pings the database with a pool of one connection, so it waits behind queries. "
                "It has a connection of its own now.",
            ),
        ),
        ("health check flapping connection pool", "liveness database ping waits"),
    ),
    Topic(
        (
            (
                "pagination skips rows when new ones come",
                "Offset pagination moves with inserts. Keyset cursors by created_at and id don't.",
            ),
        ),
        ("pagination skipping rows cursor", "keyset instead of offset"),
    ),
    Topic(
        (
            (
                "OAuth login with google fails on safari",
                "Safari blocks the third party cookie of the popup. I use a redirect.",
            ),
        ),
        ("google oauth safari cookies", "safari login popup blocked"),
    ),
    Topic(
        (("the price import rounds wrong", "It uses bankers' rounding. Prices are rounded half up to the cent now."),),
        ("price rounding half up", "import prices rounded wrongly"),
    ),
    Topic(
        (
            (
                "describe how sharding of the events table would go",
                "By tenant, with a directory table; moving a tenant is a copy and a switch. Nothing is built.",
            ),
        ),
        ("sharding events table by tenant", "tenant directory shards plan"),
        name="Sharding plan",
    ),
)
