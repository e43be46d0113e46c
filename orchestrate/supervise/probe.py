"""What of the containment holds on this machine: tried with a real command that leaves a daemon behind, not assumed.

Invariant: nothing that the trial starts is alive afterwards, and its directory is gone.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrate.process import prepare_loop

from .door import Command, namespaces_refused, start
from .record import Record, load_record

_DAEMON = "env -i setsid sleep 300 < /dev/null > /dev/null 2>&1 & exit 0"
"""In a session of its own, and without the tag: by neither would it be found."""


@dataclass(frozen=True, slots=True)
class Containment:
    """record: of a command that left a daemon, None when it could not be run. without: the same, of one that was to have no
    namespace. why: it could not be run, or no namespace be made."""

    record: Record | None
    without: Record | None
    why: str = ""


def probe_containment(path: str) -> Containment:
    """Some 0.2 s. path: PATH of the commands."""
    with TemporaryDirectory(prefix="orchestrate-probe-") as directory:
        try:
            return asyncio.run(_try(Path(directory), {"PATH": path or os.defpath}))
        except OSError as error:
            return Containment(None, None, str(error))


async def _try(directory: Path, env: dict[str, str]) -> Containment:
    prepare_loop()
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    async def leave_a_daemon(*, namespaces: bool) -> Record | None:
        command = Command(
            ("/bin/sh", "-c", _DAEMON), cwd=directory, env=env, tag="probe", namespaces=namespaces,
            lock=directory / "attempt.lock", record=directory / "probe.exit", wall_s=20.0,
        )  # fmt: skip
        await (await start(command, stdout=null, stderr=null)).ended
        return load_record(command.record)

    try:
        record = await leave_a_daemon(namespaces=True)
        return Containment(record, await leave_a_daemon(namespaces=False), namespaces_refused())
    finally:
        os.close(null)
