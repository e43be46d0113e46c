"""Takes secrets out of text: first the very values that we know, then what looks like a provider's credential.

Invariant: known values never survive, in no encoding they are commonly printed in; rules are anchored on a fixed word
and run in linear time. Placeholders are `[REDACTED:kind]`; nothing else of the text is changed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

SHORTEST = 8
"""Characters; a shorter value would take ordinary words out of the text."""

SECRET_NAME = re.compile(
    r"(?:API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION|(?<![A-Z]))KEYS?(?![A-Z])|TOKEN|SECRET|PASSW|PASSPHRASE|_PWD\b"
    r"|CREDENTIAL|AUTH(?!OR)|DSN|COOKIE",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r".*_(FILE|PATH|DIR|SOCK|HOST|URL|LIMIT|BUDGET|ID)", re.IGNORECASE)
"""Names that say where something is, or how much; a URL's password is found by its own rule."""

_RULES: tuple[tuple[str, str], ...] = (
    # kind, pattern; a group named `keep` is left in place
    # also when its end was cut off
    ("private-key", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:\s{1,4}(?:Proc-Type|DEK-Info):[^\n]{0,200}){0,3}[A-Za-z0-9+/=\s\\:,]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
    ("anthropic", r"\bsk-ant-[A-Za-z0-9_-]{8,300}"),
    ("openai", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,300}"),
    ("github", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})"),
    ("gitlab", r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[A-Za-z0-9_-]{20,100}"),
    ("aws", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("aws-secret", r"(?P<keep>(?i:aws_secret_access_key|aws_session_token)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[A-Za-z0-9/+=]{30,2000}"),
    ("google", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("google-oauth", r"\b(?:ya29\.[A-Za-z0-9_-]{20,500}|GOCSPX-[A-Za-z0-9_-]{20,100})"),
    ("slack", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}|\bxapp-[A-Za-z0-9-]{20,255}"),
    ("slack-webhook", r"(?P<keep>https://hooks\.slack\.com/(?:services|workflows)/)[A-Za-z0-9/_-]{20,200}"),
    ("discord-webhook", r"(?P<keep>https://discord(?:app)?\.com/api/webhooks/)[0-9]{10,25}/[A-Za-z0-9_-]{20,200}"),
    ("telegram", r"\b(?:bot)?[0-9]{8,12}:AA[A-Za-z0-9_-]{32,40}"),
    ("stripe", r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,255}|\bwhsec_[A-Za-z0-9+/=]{20,100}"),
    ("npm", r"\bnpm_[A-Za-z0-9]{30,100}"),
    ("pypi", r"\bpypi-[A-Za-z0-9_-]{50,500}"),
    ("huggingface", r"\bhf_[A-Za-z0-9]{30,100}"),
    ("sendgrid", r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),
    ("twilio", r"\bSK[0-9a-f]{32}\b"),
    ("digitalocean", r"\bdo[opr]_v1_[a-f0-9]{64}"),
    ("vault", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,300}"),
    ("linear", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,100}"),
    ("shopify", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("databricks", r"\bdapi[a-f0-9]{32}\b"),
    ("age", r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,70}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"),
    ("url-password", r"(?P<keep>://[^\s:/@'\"]{0,100}:)[^\s/@'\"]{3,200}(?=@)"),
    ("bearer", r"(?P<keep>\b(?i:bearer|basic) )[A-Za-z0-9._~+/=-]{20,2000}"),
    ("cookie", r"(?P<keep>\b(?i:set-cookie|cookie): {0,3})[^\r\n\"']{8,2000}"),
)  # fmt: skip

_RULE = re.compile(
    "|".join(f"(?P<r{n}>{pattern.replace('(?P<keep>', f'(?P<k{n}>')})" for n, (_, pattern) in enumerate(_RULES))
)


class Redactor:
    """Knows some secret values and the shapes of many. values: by name, such as those of environment variables."""

    def __init__(self, values: Mapping[str, str]) -> None:
        forms = {form for value in values.values() if len(value) >= SHORTEST for form in _forms(value)}
        # Longest first, so that a value inside another one does not leave the rest of it standing.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._exact = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._bytes = tuple(form.encode() for form in ordered)

    def redact(self, text: str) -> str:
        """Text without known values and without what looks like a credential."""
        if self._exact is not None:
            text = self._exact.sub("[REDACTED:value]", text)
        return _RULE.sub(_replace, text)

    def scrub(self, data: bytes) -> bytes:
        """Raw output without known values: for volumes that no rule could keep up with."""
        for form in self._bytes:
            if form in data:
                data = data.replace(form, b"[REDACTED:value]")
        return data


def _replace(match: re.Match[str]) -> str:
    number = next(n for n in range(len(_RULES)) if match.group(f"r{n}") is not None)
    keep = match.group(f"k{number}") if f"k{number}" in match.re.groupindex else ""
    return f"{keep}[REDACTED:{_RULES[number][0]}]"


def _forms(value: str) -> Iterable[str]:
    """The value as it is, and as base64, URL and JSON would print it."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    for offset in range(3):
        # base64 of the value inside a longer text: three alignments, without the characters its neighbours decide.
        encoded = base64.b64encode(b"\0" * offset + value.encode("utf-8", "replace")).decode()
        start = (0, 2, 3)[offset]
        whole = (len(value.encode("utf-8", "replace")) + offset) // 3 * 4
        if whole - start >= SHORTEST:
            yield encoded[start:whole]
            yield encoded[start:whole].replace("+", "-").replace("/", "_")


def secret_values(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables whose names say that their values are secret."""
    return {
        name: value
        for name, value in environ.items()
        if len(value) >= SHORTEST and SECRET_NAME.search(name) and not _NOT_SECRET.fullmatch(name)
    }
