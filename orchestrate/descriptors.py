"""How many files this process may have open at once, how many more, and what that is enough for.

Invariant: imports next to nothing, as every command looks at it first; changes nothing but the soft limit, upwards.
"""

from __future__ import annotations

import errno
import os
import resource
from contextlib import suppress


def raise_descriptor_limit() -> int:
    """Let this process, and what it starts, open as many files as it is allowed to. Returns how many that is.

    Programs that still use select() break above 1024 descriptors only if they have as many open, which agents do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    aim = MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MANY_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < aim:
        with suppress(OSError, ValueError):  # macOS has a lower limit than it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
    return descriptor_limit()


MANY_DESCRIPTORS = 65_536
"""More is of no use to us, and programs that close all descriptors one by one become slow."""


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MANY_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def descriptors_left() -> int | None:
    """None where the system does not tell which are open. With not even one left to count them: 0."""
    try:
        used = len(os.listdir("/dev/fd")) - 1  # one is the listing itself
    except OSError as error:
        return 0 if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return max(0, descriptor_limit() - used)


OUR_DESCRIPTORS, AGENT_DESCRIPTORS = 14, 12
"""What an engine has open by itself while one git command runs; and for each agent with its pipes and its supervisor."""


def agents_that_fit(left: int | None, wanted: int) -> int:
    """How many agents may work at once with so many descriptors left, at most `wanted`. 0: not even one."""
    if left is None:
        return wanted
    return max(0, min(wanted, (left - OUR_DESCRIPTORS) // AGENT_DESCRIPTORS))
