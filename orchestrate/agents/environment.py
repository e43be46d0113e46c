"""What an agent may see of the user's environment: a whitelist, never everything. Pure.

Invariant: a variable reaches the agent only if this list, the agent's codec or the user names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BASE: tuple[str, ...] = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    # Whose commits they are, and where git reads it; never GIT_DIR and its like, which would point elsewhere.
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "XDG_CONFIG_HOME"),
)
"""Names, or beginnings with * at their end."""


def allowed(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The variables that the base list or `names` (same form) let through."""
    exact, starts = set(), []
    for name in (*BASE, *names):
        if name.endswith("*"):
            starts.append(name[:-1])
        else:
            exact.add(name)
    beginnings = tuple(starts)
    return {name: value for name, value in environ.items() if name in exact or name.startswith(beginnings)}
