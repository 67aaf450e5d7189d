"""Masks what looks like a secret, by the forms that services give their keys.

Each pattern follows the form that the service itself documents, or the rule of the same name in gitleaks
(https://github.com/gitleaks/gitleaks, config/gitleaks.toml, MIT). detect-secrets, the library for this in Python,
looks at lines: of a private key it finds the first one only, so it can't mask one.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

_IS = r"""(?:\\{0,3}["'])?\s{0,3}(?:=>|[:=])\s{0,3}(?:\\{0,3}["'])?"""
"""Between a name and its value, in code, settings and JSON within JSON."""

_BREAK, _BASE64 = r"(?:\s|\\+[nr])", "[A-Za-z0-9+/=]"


class _Kind(NamedTuple):
    """A kind of secret. Only a text that holds one of the `hints` is searched, since searching takes a hundred times as
    long as looking for a hint. The secret is the first group of the pattern, else all of it. No pattern fits what is
    masked already: a mask begins with a bracket."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _kind(name: str, hints: str, pattern: str) -> _Kind:
    return _Kind(name, tuple(hints.split("|")), re.compile(pattern))


_KINDS = (
    _kind(
        *("private-key", "PRIVATE KEY"),
        r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----"
        rf"(?:{_BREAK}*+(?:[A-Za-z-]+: [^\s\\]+|{_BASE64}{{16,}}+))*+"
        rf"(?:{_BREAK}*+{_BASE64}*+(?:{_BREAK}*+-----END[ A-Z0-9_-]{{0,100}}-----|\Z))?",
    ),
    _kind("aws-access-key", "AKIA|ASIA|ABIA|ACCA|A3T", r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    _kind(
        *("aws-secret-key", "ecret|ECRET"),
        rf"(?i:aws_?secret_?(?:access_?)?key){_IS}([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])",
    ),
    _kind("azure-storage-key", "AccountKey=", r"\bAccountKey=([A-Za-z0-9+/]{86}==)"),
    _kind(
        "github-token", "ghp_|gho_|ghu_|ghs_|ghr_|github_pat_", r"\b(?:gh[pousr]_\w{36,255}|github_pat_\w{22,255})\b"
    ),
    _kind("gitlab-token", "gl", r"\bgl(?:pat|ptt|dt|rt|cbt|ft|soat)-[\w-]{20,}"),
    _kind("slack-token", "xox|xapp-", r"\b(?:xox[abeoprs]-|xapp-\d-)[A-Za-z0-9-]{10,}"),
    _kind(
        *("slack-webhook", "hooks.slack.com"),
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}",
    ),
    _kind("google-api-key", "AIza", r"\bAIza[\w-]{35}(?![\w-])"),
    _kind("google-oauth-token", "ya29.", r"\bya29\.[\w-]{20,}"),
    _kind("anthropic-key", "sk-ant-", r"\bsk-ant-[\w-]{20,}"),
    _kind("openai-key", "sk-", r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)?[\w-]{32,}"),
    _kind("huggingface-token", "hf_|api_org_", r"\b(?:hf_|api_org_)[A-Za-z]{34}\b"),
    _kind("stripe-key", "k_test_|k_live_|k_prod_", r"\b[sr]k_(?:test|live|prod)_[A-Za-z0-9]{10,99}\b"),
    _kind("npm-token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    _kind("pypi-token", "pypi-AgEI", r"\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}"),
    _kind("sendgrid-key", "SG.", r"\bSG\.[\w-]{22}\.[\w-]{43}(?![\w-])"),
    _kind("telegram-token", ":AA", r"\b\d{8,10}:AA[\w-]{33}(?![\w-])"),
    _kind("jwt", "eyJ", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    _kind(
        *("authorization-header", "uthorization|UTHORIZATION"),
        rf"(?i:authorization){_IS}(?i:bearer|basic|token)\s+([\w.~+/=-]{{8,}})",
    ),
    _kind("password-in-url", "://", r"""://[^\s/:@"'<>\\]{0,100}:([^\s/@"'<>\\\[]{3,200})@"""),
    _kind(
        *("assigned-secret", "PASSW|SECRET|TOKEN|KEY"),
        r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY)"
        rf"""{_IS}([^\s"'\\,;$<>{{}}()\[\]]{{8,400}})""",
    ),
)


class Redactor:
    """Masks secrets in texts. `found` counts them by kind."""

    def __init__(self) -> None:
        self.found = Counter[str]()

    def mask(self, text: str) -> str:
        """The text with its kind in place of each secret, such as `[redacted:github-token]`."""
        for name, hints, pattern in _KINDS:
            if any(hint in text for hint in hints):
                text = pattern.sub(lambda match, name=name: self._masked(match, name), text)
        return text

    def counts(self) -> dict[str, int]:
        return dict(sorted(self.found.items()))

    def _masked(self, match: re.Match[str], name: str) -> str:
        self.found[name] += 1
        part = 1 if match.re.groups else 0
        start, end = match.start(part) - match.start(), match.end(part) - match.start()
        return f"{match[0][:start]}[redacted:{name}]{match[0][end:]}"
