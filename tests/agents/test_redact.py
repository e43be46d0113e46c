"""Secrets go, everything else stays. Credentials here are made up, and put together so that no scanner takes them for real."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.redact import LONGEST_LINE, Redactor, Stream, secret_values
from tests.support.effort import ends

ALNUM = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"
HEX = "0123456789abcdef" * 4

SECRETS = {
    "anthropic": "sk-ant-" + "api03-" + ALNUM,
    "openai": "sk-proj-" + ALNUM,
    "github": "ghp_" + ALNUM[:36],
    "github ": "github_pat_" + ALNUM,
    "gitlab": "glpat-" + ALNUM[:20],
    "aws": "AKIA" + "ABCDEFGHIJKLMNOP",
    "google": "AIza" + ALNUM[:35],
    "aws ": "ACCA" + "ABCDEFGHIJKLMNOP",
    "google-oauth": "ya29." + ALNUM,
    "google-oauth ": "GOCSPX-" + ALNUM[:28],
    "slack": "xoxb-" + "123456789012-" + ALNUM[:24],
    "slack ": "xapp-" + "1-A0123-" + ALNUM[:24],
    "telegram": "123456789:AA" + ALNUM[:33],
    "telegram ": "bot123456789:AA" + ALNUM[:33],
    "stripe": "sk_live_" + ALNUM[:24],
    "stripe ": "rk_test_" + ALNUM[:24],
    "stripe-webhook": "whsec_" + ALNUM[:32],
    "npm": "npm_" + ALNUM[:36],
    "pypi": "pypi-" + ALNUM,
    "huggingface": "hf_" + ALNUM[:34],
    "sendgrid": "SG." + ALNUM[:22] + "." + ALNUM[:43],
    "twilio": "SK" + HEX[:32],
    "digitalocean": "dop_v1_" + HEX,
    "vault": "hvs." + ALNUM[:30],
    "linear": "lin_api_" + ALNUM[:40],
    "shopify": "shpat_" + HEX[:32],
    "databricks": "dapi" + HEX[:32],
    "age": "AGE-SECRET-KEY-1" + "Q" * 58,
    "jwt": "eyJ" + ALNUM[:20] + ".eyJ" + ALNUM[:30] + "." + ALNUM[:40],
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\n" + ALNUM + "\n-----END RSA PRIVATE KEY-----",
}
KEPT = {
    "aws-secret": ("aws_secret_access_key = ", ALNUM[:40], ""),
    "slack-webhook": ("https://hooks.slack.com/services/", "T000/B000/" + ALNUM[:24], ""),
    "discord-webhook": ("https://discord.com/api/webhooks/", "123456789012345678/" + ALNUM, ""),
    "url-password": ("postgres://user:", "s3cretpass", "@db.example.com/x"),
    "aws-secret ": ("AWS_SESSION_TOKEN=", ALNUM[:40], ""),
    "bearer": ("Authorization: Bearer ", ALNUM, ""),
    "bearer ": ("AUTHORIZATION: BASIC ", ALNUM, ""),
    "cookie": ("Set-Cookie: ", "session=" + ALNUM, ""),
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "key: {}\nnext", '{{"k": "{}"}}', "X={} Y=1", "({})"])
def test_credentials_are_taken_out(kind: str, frame: str) -> None:
    assert Redactor({}).redact(frame.format(SECRETS[kind])) == frame.format(f"[REDACTED:{kind.strip()}]")


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_around_a_credential_stays(kind: str) -> None:
    before, secret, after = KEPT[kind]
    assert Redactor({}).redact(f"see {before}{secret}{after}") == f"see {before}[REDACTED:{kind.strip()}]{after}"


def test_places_are_right_behind_characters_of_any_width() -> None:
    text = "ä€😀\udcff Bearer {0} ä\u212a {0}"
    assert Redactor({}).redact(text.format(SECRETS["npm"])) == text.replace("{0}", "[REDACTED:bearer]", 1).replace(
        "{0}", "[REDACTED:npm]"
    )


def test_what_begins_first_counts_and_what_follows_it_directly_is_found() -> None:
    text = f"https://bot:{SECRETS['github']}@x {SECRETS['jwt']}.{SECRETS['sendgrid']}"
    assert Redactor({}).redact(text) == "https://bot:[REDACTED:url-password]@x [REDACTED:jwt].[REDACTED:sendgrid]"


@pytest.mark.parametrize(
    "text",
    [
        "commit 5f0c2e8e6e0f4c399a2c0c6f6b1a8d1112345678",
        "5f0c2e8e-6e0f-4c39-9a2c-0c6f6b1a8d11",
        "sha512-" + ALNUM + "==",
        "src/agents/claude_ending.py:120:5: error",
        "https://user@example.com:8080/path",
        "http://127.0.0.1:41000/x@y",
        "bearer of bad news",
        "risk-free task-list-with-many-parts",
        "input_tokens=12345678901234567890",
        "AKIAlowercase",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        *(f"x{secret}" for kind, secret in SECRETS.items() if kind != "private-key"),
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert Redactor({}).redact(text) == text


VALUE = 'p"ss wörd/+&=12'


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_known_values_go_in_every_usual_encoding(shift: int) -> None:
    redactor = Redactor({"MY_SECRET": VALUE})
    inside = base64.b64encode(b"x" * shift + VALUE.encode() + b"tail").decode()
    for text in (VALUE, json.dumps(VALUE), quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode()):
        redacted = redactor.redact(f"<{text}>")
        assert "[REDACTED:value]" in redacted
        assert "12" not in redacted.replace("[REDACTED:value]", "") or len(redacted) < 30
    assert "[REDACTED:value]" in redactor.redact(inside)


def test_a_value_inside_a_longer_one_leaves_nothing_standing() -> None:
    redactor = Redactor({"A": "abcdefgh", "B": "abcdefghijkl"})
    assert redactor.redact("abcdefghijkl abcdefgh") == "[REDACTED:value] [REDACTED:value]"


def test_short_values_are_words() -> None:
    assert Redactor({"A": "main", "B": ""}).redact("main line") == "main line"


def test_the_forms_of_a_value_are_told_longest_first() -> None:
    known = Redactor({"A": "secret/value", "B": "an ümlaut"}).known
    assert {b"secret/value", b"secret%2Fvalue", "an ümlaut".encode()} <= set(known)
    assert list(known) == sorted(known, key=lambda form: -len(form.decode()))


@given(st.text(alphabet=st.characters(categories=("L", "P", "Z")), max_size=300))
def test_prose_is_unchanged(text: str) -> None:
    assert Redactor({"A": "0123456789"}).redact(text) == text


@given(st.recursive(st.just("top-secret-0815"), lambda inner: inner.map(lambda s: json.dumps({"a": s})), max_leaves=3))
def test_no_known_value_survives_in_nested_json(text: str) -> None:
    assert "top-secret-0815" not in Redactor({"A": "top-secret-0815"}).redact(text)


VALUE_OF_LINES = "-----BEGIN KEY-----\n" + ALNUM + "\nend"


def test_a_value_of_several_lines_is_also_found_line_by_line() -> None:
    redactor = Redactor({"A": VALUE_OF_LINES})
    assert redactor.redact(f"<{VALUE_OF_LINES}>") == "<[REDACTED:value]>"
    assert ALNUM.encode() in redactor.known


# ── output that comes in chunks ──────────────────────────────────────────────────────────────────────────────────


def streamed(chunks: Iterable[bytes], values: dict[str, str]) -> bytes:
    stream = Stream(Redactor(values))
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.rest()])


@given(st.data())
def test_wherever_output_is_cut_the_same_comes_out(data: st.DataObject) -> None:
    known = {"A": "top-secret-0815"}
    words = st.sampled_from([*SECRETS.values(), "top-secret-0815", "\n", " ", "ok €\n", "-----BEGIN PUBLIC KEY-----\n"])
    text = "\n".join(data.draw(st.lists(words, max_size=8)))
    whole = text.encode()
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=8))})
    chunks = [whole[start:end] for start, end in pairwise(cuts)]
    assert streamed(chunks, known).decode() == Redactor(known).redact(text)


def test_lines_are_shown_as_they_come() -> None:
    stream = Stream(Redactor({}))
    assert stream.feed(b"one\ntw") == b"one\n"
    assert stream.feed(b"o\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n") == b"two\n"
    assert stream.feed(b"no key goes on like this!\n").startswith(b"[REDACTED:private-key]")


@pytest.mark.parametrize("secret", ["top-secret-0815", SECRETS["github"]])
@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_a_line_without_end_is_cut_beside_secrets(secret: str, shift: int) -> None:
    line = "." * shift + f"{secret} " * 6000
    chunks = [line.encode()[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)]
    shown = streamed(chunks, {"A": "top-secret-0815"})
    assert shown.decode() == Redactor({"A": "top-secret-0815"}).redact(line)


def test_a_line_without_end_does_not_pile_up() -> None:
    stream = Stream(Redactor({}))
    for _ in range(40):
        stream.feed(b"x" * 10_000)
        assert stream.held <= LONGEST_LINE + 10_000


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----" * 4000,
        "eyJ" * 40_000,
        "eyJa-" * 20_000,
        "://a:" * 30_000,
        "sk-" * 40_000,
        "a" * 200_000,
        f"{SECRETS['npm']} {SECRETS['age']} " * 2000,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    """Takes milliseconds; backtracking would take hours."""
    redactor = Redactor({"A": "top-secret-0815"})
    with ends():
        assert "top-secret" not in redactor.redact(f"{text} top-secret-0815")


@pytest.mark.parametrize(
    "name",
    [
        *("ANTHROPIC_API_KEY", "OPENAI_APIKEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD"),
        *("CLAUDE_CODE_OAUTH_TOKEN", "GH_TOKEN", "SENTRY_DSN", "npm_config__auth", "GPG_PASSPHRASE", "SESSION_COOKIE"),
    ],
)
def test_names_that_say_secret(name: str) -> None:
    assert secret_values({name: "a" * 20}) == {name: "a" * 20}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY", "GIT_AUTHOR_NAME", "SSL_KEY_FILE", "KEYMAP"),
        *("MONKEY_MODE", "TOKEN_LIMIT", "AWS_ACCESS_KEY_ID", "KEYBOARD_LAYOUT"),
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert secret_values({name: "/some/ordinary value"}) == {}
