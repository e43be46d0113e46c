"""What ends or encloses the processes of agents and checks on this machine, tried and not assumed. For `doctor`.

Invariant: nothing that a trial starts outlives it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from orchestrate.process import run_command_now
from orchestrate.spec.settings import Settings
from orchestrate.supervise.probe import Containment, probe_containment
from orchestrate.supervise.record import Record

Row = tuple[str, Literal["ok", "note", "missing"], str, str]
"""Name, verdict, what was found, what to do."""

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def containment_rows(settings: Settings, environ: Mapping[str, str]) -> Iterator[Row]:
    """A run works without most of this; the more there is, the less can be left behind."""
    tried = probe_containment(environ.get("PATH", ""))
    yield _supervisor_row(tried)
    if sys.platform != "linux":
        yield "daemons", "note", f"{sys.platform}: a daemon that wiped its environment is not found", ""
        return
    yield _subreaper_row(tried.without)
    yield _namespace_row(tried, settings.containment.pid_namespace)
    yield _proc_row()
    yield _bwrap_row(environ)


def _supervisor_row(tried: Containment) -> Row:
    if tried.record is None:
        said = tried.why or "its record cannot be written"
        return "supervisor", "missing", f"no command can be run under one: {said}", "see docs/containment.md"
    return (
        "supervisor",
        "ok",
        "commands run in a session of their own and end when this program does, however it ends",
        "",
    )


def _subreaper_row(without: Record | None) -> Row:
    if without is not None and without.survivors and not without.left:
        return "subreaper", "ok", "a daemon is found as ours and ended, whatever it calls itself", ""
    found = "daemons do not become ours: one that wiped its environment would live on"
    return "subreaper", "note", found, "needs Linux 3.4 or newer, and /proc"


def _namespace_row(tried: Containment, wanted: str) -> Row:
    if wanted == "off":
        return "pid namespace", "note", "switched off by containment.pid_namespace", ""
    match tried.record.namespace if tried.record else "":
        case "own":
            return "pid namespace", "ok", "made as root: the kernel ends all of a command at once", ""
        case "user":
            found = "made inside a user namespace: the kernel ends all of a command at once; sudo does not work there"
            return "pid namespace", "ok", found, ""
        case _:
            found = f"{tried.why or 'none can be made'}: a command's processes are looked for and killed one by one"
            return "pid namespace", "note", found, _why_no_namespaces()


def _proc_row() -> Row:
    if Path("/proc/self/environ").is_file():
        return "/proc", "ok", "readable: what an agent leaves running is found", ""
    return "/proc", "missing", "not mounted: processes that agents leave behind cannot be found", "mount /proc"


def _bwrap_row(environ: Mapping[str, str]) -> Row:
    if shutil.which("bwrap", path=environ.get("PATH")) is None:
        return "bwrap", "note", "not installed: agents are not confined to their worktree", "apt install bubblewrap"
    argv = ("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--die-with-parent", "true")
    try:
        env = {"PATH": environ.get("PATH", os.defpath), "LC_ALL": "C"}
        works = run_command_now(argv, cwd=Path(os.sep), env=env, timeout_s=10).ok
    except OSError:
        works = False
    if works:
        return "bwrap", "ok", "works", ""
    return "bwrap", "note", "installed, but it fails here", _why_no_namespaces()


def _why_no_namespaces() -> str:
    """https://discourse.ubuntu.com/t/spec-unprivileged-user-namespace-restrictions-via-apparmor-in-ubuntu-23-10/37626"""
    try:
        restricted = _APPARMOR.read_text().strip() == "1"
    except OSError:
        restricted = False
    return "sysctl kernel.apparmor_restrict_unprivileged_userns=0" if restricted else "usual inside a container"
