"""What escapes, and how to see that nothing has. Both modes are tried; where no namespace can be made, one is left out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from orchestrate.supervise.probe import probe_containment

PATIENCE_S = 60.0
"""For anything that must happen; nothing here takes a tenth of it."""

ESCAPES = {
    "plain child": "$S 1000 &",
    "ignores TERM": "(trap '' TERM INT HUP; exec $S 1000) &",
    "nohup": "nohup $S 1000 > nohup.out 2>&1 &",
    "setsid": "setsid $S 1000 &",
    "double fork": "(setsid sh -c '$S 1000 & exit' &)",
    "clean daemon": '(env -i setsid sh -c "exec $S 1000 <&- >&- 2>&-" &)',
    "forks on": "$D/forks-on &",
}
"""Shell code with $S, a program that sleeps, and $D, a directory. All paths are on the command line: so they are found."""

FORKS_ON = '#!/bin/sh\nsetsid "$0" < /dev/null > /dev/null 2>&1 &\n'
"""Never the same process for longer than a moment."""


@cache
def has_namespaces() -> bool:
    record = probe_containment(os.environ["PATH"]).record
    return record is not None and bool(record.namespace)


@pytest.fixture(params=["namespace", "walk"])
def namespaces(request: pytest.FixtureRequest) -> bool:
    """Whether a PID namespace is wanted."""
    if request.param == "namespace" and not has_namespaces():
        pytest.skip("no PID namespace can be made here")
    return bool(request.param == "namespace")


def until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)


def escape_script(directory: Path, escape: str) -> tuple[str, ...]:
    """A command that lets the escape happen, says so in the file `ready`, and goes on itself."""
    sleeper = directory / "sleeper"
    sleeper.symlink_to("/bin/sleep")
    forks_on = directory / "forks-on"
    forks_on.write_text(FORKS_ON)
    forks_on.chmod(0o755)
    code = ESCAPES[escape].replace("$S", str(sleeper)).replace("$D", str(directory))
    return "/bin/sh", "-c", f"{code}\n: > ready.new; mv ready.new ready\nexec {sleeper} 1000"
