"""What is masked as a secret, and what is not."""

from __future__ import annotations

import json
import time

import pytest

from mcp_server.models.redaction import Redactor

PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq9\n" * 12 + "ab==\n-----END RSA PRIVATE KEY-----"

SECRETS = {
    "private-key": PEM,
    "aws-access-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-secret-key": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "azure-storage-key": "AccountKey=" + "a1B2" * 21 + "ab==",
    "github-token": "ghp_" + "a1B2" * 9,
    "gitlab-token": "glpat-" + "a1B2" * 5,
    "slack-token": "xoxb-" + "1234567890-abcdef",
    "slack-webhook": "https://hooks.slack.com/services/" + "T00000000/B00000000/XXXXXXXX",
    "google-api-key": "AIza" + "a1B2c" * 7,
    "google-oauth-token": "ya29." + "a1B2" * 6,
    "anthropic-key": "sk-ant-" + "api03-" + "a1B2" * 6,
    "openai-key": "sk-proj-" + "a1B2" * 9,
    "huggingface-token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "stripe-key": "sk_live_" + "a1B2" * 6,
    "npm-token": "npm_" + "a1B2" * 9,
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + "a1B2" * 13,
    "sendgrid-key": "SG." + "a1B2c3D4e5F6g7H8i9J0k1" + "." + "a1B2" * 10 + "abc",
    "telegram-token": "123456789:AA" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".abcdefghijklmnop",
    "authorization-header": "Authorization: Bearer abcdefghijklmnop",
    "password-in-url": "postgres://shop:hunter22@db.example/shop",
    "assigned-secret": "DB_PASSWORD=correct-horse",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_of_each_kind_is_masked_and_counted_once(kind: str) -> None:
    redactor = Redactor()
    masked = redactor.mask(f"before {SECRETS[kind]} after")
    assert f"[redacted:{kind}]" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert redactor.counts() == {kind: 1}
    assert redactor.mask(masked) == masked


@pytest.mark.parametrize("kind", SECRETS)
def test_json_in_which_a_secret_is_masked_is_json_still(kind: str) -> None:
    within = json.dumps({"arguments": json.dumps({"text": SECRETS[kind], "n": 1})})
    masked = json.loads(json.loads(Redactor().mask(within))["arguments"])
    assert f"[redacted:{kind}]" in masked["text"]
    assert masked["n"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the token is missing; pass --token",
        "sk-learn and task-force-one-two-three",
        "01a20581-47b4-7322-81ec-5e29ff6d3d2a",
        "https://example.org:8080/path@2",
        "git@github.com:owner/repository.git",
        "sha256 ac3155390bd8a71683664791a4277aad57e893221e100c8edfedef40ac2ba003",
        "TOKEN=${TOKEN} and PASSWORD=$(pass show x)",
        "max_tokens: 4096, token_count: 12345678",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    redactor = Redactor()
    assert redactor.mask(text) == text
    assert redactor.counts() == {}


def test_of_a_private_key_that_was_cut_off_nothing_is_left() -> None:
    assert Redactor().mask(f"x {PEM[:150]}") == "x [redacted:private-key]"


@pytest.mark.parametrize(
    "unit", ["://", "://a:", "eyJ", "SECRET=", "sk-", "-----BEGIN PRIVATE KEY-----", "xoxb-", "\\n"]
)
def test_no_text_takes_longer_than_its_length_allows(unit: str) -> None:
    text = unit * (500_000 // len(unit))
    begun = time.process_time()
    Redactor().mask(text)
    assert time.process_time() - begun < 5
