"""The environment of the user's commands: a chosen few of our own variables, then the feature's. Pure.

Invariant: nothing reaches a command that is not named here or by the user; above all no credentials of agents, no
variables of git's, and no virtual environment of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrate.core.names import AttemptKey

_PASSED = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
        "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
    }
)  # fmt: skip
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"})


def build_environment(
    environ: Mapping[str, str], *, key: AttemptKey, port: int = 0, env: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """environ: our own. port: first of the attempt's ports, 0 for none. env: the user's, which win over everything but
    what says whose command this is."""
    out = {name: value for name, value in environ.items() if name in _PASSED or name.upper() in _PROXIES}
    out.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    out |= {"TERM": "dumb", "CI": "1", "NO_COLOR": "1"}
    # Python takes cached bytecode for current when a file changed within the same second to the same size, as agents do.
    out["PYTHONDONTWRITEBYTECODE"] = "1"
    if port:
        out |= {"PORT": str(port), "ORCHESTRATE_PORT": str(port)}
    out.update(env)
    out |= {
        "ORCHESTRATE_RUN": key.run,
        "ORCHESTRATE_FEATURE": key.feature,
        "ORCHESTRATE_ATTEMPT": str(key.attempt),
    }
    return out
