"""Takes secrets out of text: first the very values that we know, then what looks like a provider's credential.

Invariant: known values never survive, in no encoding they are commonly printed in; rules are anchored on a fixed word
and run in linear time. Placeholders are `[REDACTED:kind]`; nothing else of the text is changed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from urllib.parse import quote

SHORTEST = 8
"""Characters; a shorter value would take ordinary words out of the text."""
LONG_PART = 24
"""Characters; a shorter line of a value with several of them may be anything."""

SECRET_NAME = re.compile(
    r"(?:API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION|(?<![A-Z]))KEYS?(?![A-Z])|TOKEN|SECRET|PASSW|PASSPHRASE|_PWD\b"
    r"|CREDENTIAL|AUTH(?!OR)|DSN|COOKIE",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r".*_(FILE|PATH|DIR|SOCK|HOST|URL|LIMIT|BUDGET|ID)", re.IGNORECASE)
"""Names that say where something is, or how much; a URL's password is found by its own rule."""

_RULES: tuple[tuple[str, bytes], ...] = (
    # kind, pattern; a group named `keep` is left in place. Of two that begin at one place the upper one counts.
    # also when its end was cut off
    ("private-key", rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:\s{1,4}(?:Proc-Type|DEK-Info):[^\n]{0,200}){0,3}[A-Za-z0-9+/=\s\\:,]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
    ("anthropic", rb"sk-ant-(?<!\wsk-ant-)[A-Za-z0-9_-]{8,300}"),
    ("openai", rb"sk-(?<!\wsk-)(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,300}"),
    ("github", rb"gh(?<!\wgh)[pousr]_[A-Za-z0-9]{30,255}"),
    ("github", rb"github_pat_(?<!\wgithub_pat_)[A-Za-z0-9_]{40,255}"),
    ("gitlab", rb"gl(?<!\wgl)(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[A-Za-z0-9_-]{20,100}"),
    ("aws", rb"A(?<!\wA)(?:[KSB]I|CC)A[A-Z2-7]{16}\b"),
    ("google", rb"AIza(?<!\wAIza)[A-Za-z0-9_-]{35}"),
    ("google-oauth", rb"ya29\.(?<!\wya29\.)[A-Za-z0-9_-]{20,500}"),
    ("google-oauth", rb"GOCSPX-(?<!\wGOCSPX-)[A-Za-z0-9_-]{20,100}"),
    ("slack", rb"x(?<!\wx)(?:ox[abeoprs]-[A-Za-z0-9-]{10,255}|app-[A-Za-z0-9-]{20,255})"),
    ("slack-webhook", rb"(?P<keep>https://hooks\.slack\.com/(?:services|workflows)/)[A-Za-z0-9/_-]{20,200}"),
    ("discord-webhook", rb"(?P<keep>https://discord(?:app)?\.com/api/webhooks/)[0-9]{10,25}/[A-Za-z0-9_-]{20,200}"),
    ("telegram", rb"\b(?:bot)?[0-9]{8,12}:AA[A-Za-z0-9_-]{32,40}"),
    ("stripe", rb"\b[srp]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
    ("stripe-webhook", rb"whsec_(?<!\wwhsec_)[A-Za-z0-9+/=]{20,100}"),
    ("npm", rb"npm_(?<!\wnpm_)[A-Za-z0-9]{30,100}"),
    ("pypi", rb"pypi-(?<!\wpypi-)[A-Za-z0-9_-]{50,500}"),
    ("huggingface", rb"hf_(?<!\whf_)[A-Za-z0-9]{30,100}"),
    ("sendgrid", rb"SG\.(?<!\wSG\.)[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,64}"),
    ("twilio", rb"SK(?<!\wSK)[0-9a-f]{32}\b"),
    ("digitalocean", rb"do(?<!\wdo)[opr]_v1_[a-f0-9]{64}"),
    ("vault", rb"hv(?<!\whv)[srb]\.[A-Za-z0-9_-]{24,300}"),
    ("linear", rb"lin_(?<!\wlin_)(?:api|oauth)_[A-Za-z0-9]{32,100}"),
    ("shopify", rb"shp(?<!\wshp)(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("databricks", rb"dapi(?<!\wdapi)[a-f0-9]{32}\b"),
    ("age", rb"AGE-SECRET-KEY-1(?<!\wAGE-SECRET-KEY-1)[A-Z0-9]{50,70}"),
    ("jwt", rb"eyJ(?<!\weyJ)[A-Za-z0-9_-]{10,2000}+\.eyJ[A-Za-z0-9_-]{10,4000}+\.[A-Za-z0-9_-]{10,1000}"),
    ("url-password", rb"(?P<keep>://[^\s:/@'\"]{0,100}+:)[^\s/@'\"]{3,200}+(?=@)"),
)  # fmt: skip
"""Each pattern begins with its literal, and says only then what may not stand before it: so the search for it is one of
memchr, 0.4 ms per MB, where `\\b` in front would try every place, twenty times slower."""

_ANY_CASE: tuple[tuple[str, bytes], ...] = (
    # looked for in the text in small letters
    ("aws-secret", rb"(?P<keep>aws_se(?:cret_access_key|ssion_token)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[a-z0-9/+=]{30,2000}"),
    ("bearer", rb"(?P<keep>bearer (?<!\wbearer ))[a-z0-9._~+/=-]{20,2000}"),
    ("bearer", rb"(?P<keep>basic (?<!\wbasic ))[a-z0-9._~+/=-]{20,2000}"),
    ("cookie", rb"(?P<keep>cookie:(?<!\wcookie:) {0,3})[^\r\n\"']{8,2000}"),
)  # fmt: skip

_INSIDE: dict[str, re.Pattern[bytes]] = {
    "anthropic": re.compile(rb"k-ant-"),
    "openai": re.compile(rb"k-"),
    "telegram": re.compile(rb":AA"),
    "stripe": re.compile(rb"k_(?:live|test)_"),
    "shopify": re.compile(rb"hp(?:at|ca|pa|ss)_"),
    "jwt": re.compile(rb"\.eyJ"),
}
"""Of kinds that begin with no literal, or with a frequent letter: what is found faster, and without which there is none."""

_EXACT = tuple((kind, re.compile(pattern)) for kind, pattern in _RULES)
_FOLDED = tuple((kind, re.compile(pattern)) for kind, pattern in _ANY_CASE)
_KEY = _EXACT[0][1]

LONGEST = 16 * 1024
"""Characters; more than any rule can match."""
LONGEST_LINE = 64 * 1024
"""Bytes; a longer line is searched in parts that overlap."""


class Redactor:
    """Knows some secret values and the shapes of many. values: by name, such as those of environment variables."""

    def __init__(self, values: Mapping[str, str]) -> None:
        forms = {form for value in values.values() for part in _parts(value) for form in _forms(part)}
        # Longest first, so that a value inside another one does not leave the rest of it standing.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._bytes = tuple(form.encode("utf-8", "surrogateescape") for form in self._forms)

    def redact(self, text: str) -> str:
        """Text without known values and without what looks like a credential. Some 15 ms per MB."""
        values = self._values_in(text)
        if values is not None:
            text = values.sub("[REDACTED:value]", text)
        parts, at = [], 0
        for start, end, kind in _credentials(text):
            parts += [text[at:start], f"[REDACTED:{kind}]"]
            at = end
        return "".join((*parts, text[at:])) if parts else text

    @property
    def known(self) -> tuple[bytes, ...]:
        """The known values in all their forms, longest first: what raw output must not hold, such as an agent's
        transcript, which is to stay what it was otherwise."""
        return self._bytes

    def safe_end(self, text: str) -> int:
        """How much of text, of which more will come, can be redacted now: no secret goes on behind it.

        Up to a line end, as only a private key has several lines; inside of a line only when that is a very long one.
        """
        end = text.rfind("\n") + 1
        if not end and len(text) >= LONGEST_LINE:
            return self._cut_line(text)
        begun = text.rfind("-----BEGIN ", max(0, end - LONGEST), end)
        if begun >= 0 and (key := _KEY.match(_plain(text[begun:end]))) and begun + key.end() == end:
            return text.rfind("\n", 0, begun) + 1
        return end

    def _cut_line(self, text: str) -> int:
        """A place well before the end where no secret is cut in two."""
        cut = len(text) - LONGEST
        near = max(0, cut - LONGEST)
        window = text[near:]
        values = self._values_in(window)
        spans = [(start, end) for start, end, _ in _credentials(window)]
        spans += [match.span() for match in values.finditer(window)] if values is not None else []
        for start, end in sorted(spans, reverse=True):
            if near + start < cut < near + end:
                cut = near + start
        return cut

    def _values_in(self, text: str) -> re.Pattern[str] | None:
        """A pattern for those known values that occur."""
        found = [form for form in self._forms if form in text]
        return re.compile("|".join(map(re.escape, found))) if found else None


class Stream:
    """Redacts output that comes in chunks cut anywhere, so that a secret split over two of them is still taken out.

    Bytes that are no UTF-8 are kept. Holds back the open line (of a very long one its end), and a private key that
    has begun.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""

    @property
    def held(self) -> int:
        """Bytes that wait for more."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """What can be shown now."""
        data = self._held + data
        if len(data) < LONGEST_LINE and b"\n" not in data:
            self._held = data
            return b""
        # A character cut in two is no line end, and far behind any other cut.
        text = data.decode("utf-8", "surrogateescape")
        end = self._redactor.safe_end(text)
        self._held = text[end:].encode("utf-8", "surrogateescape")
        return self._redactor.redact(text[:end]).encode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """What was held back, when nothing more will come."""
        text, self._held = self._held.decode("utf-8", "surrogateescape"), b""
        return self._redactor.redact(text).encode("utf-8", "surrogateescape")


def _plain(text: str) -> bytes:
    """One byte a character, so that places are the same: rules look for ASCII only, and bytes are searched fastest."""
    return text.encode("ascii", "replace")


def _credentials(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of what looks like a credential, in order, apart from one another."""
    data = _plain(text)
    folded = data.lower()
    rules = [(kind, pattern, data) for kind, pattern in _EXACT if _may_occur(kind, data)]
    rules += [(kind, pattern, folded) for kind, pattern in _FOLDED]
    # The next match of each rule; the first of them all is taken, and those that overlap it look again behind it.
    ahead = [(match.start(), n, match) for n, (_, rule, where) in enumerate(rules) if (match := rule.search(where))]
    heapify(ahead)
    done = 0
    while ahead:
        start, n, match = ahead[0]
        kind, rule, where = rules[n]
        if start >= done:
            yield match.end("keep") if "keep" in rule.groupindex else start, match.end(), kind
            done = match.end()
        following = rule.search(where, done)
        if following:
            heapreplace(ahead, (following.start(), n, following))
        else:
            heappop(ahead)


def _may_occur(kind: str, data: bytes) -> bool:
    return kind not in _INSIDE or _INSIDE[kind].search(data) is not None


def _parts(value: str) -> Iterator[str]:
    """The value; of one with several lines also each long line: output is cut, and indented, between lines."""
    if len(value) >= SHORTEST:
        yield value
        lines = value.splitlines()
        yield from (line.strip() for line in lines if len(lines) > 1 and len(line.strip()) >= LONG_PART)


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
