"""How a command ended, as its supervisor tells it over the channel and in the file beside the output.

Invariant: a file that is missing, cut or of another kind is no record, and nothing worse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

How = Literal["exited", "killed", "timeout", "engine_gone", "lost", "lock_held", "not_started"]
"""By itself · at the engine's word · by the supervisor's wall clock · because the engine was gone · its supervisor or reaper
was killed · an earlier command of the attempt still lives · the system could not start it. The last two: nothing ran."""


@dataclass(frozen=True, slots=True)
class Record:
    """exit_code: negative is the signal's number, None: nothing ran. started, ended: Unix seconds; duration_s: by the
    monotonic clock. survivors: processes that outlived the command and were ended; left: that could not be, -1: not known
    here. oom: the system ended it for want of memory. namespace: the PID namespace that it had: `own`, by our right to make one,
    `user`, inside a user namespace, or none. problem: what could not be written."""

    how: How
    exit_code: int | None = None
    errno: int = 0
    why: str = ""
    started: float = 0.0
    ended: float = 0.0
    duration_s: float = 0.0
    survivors: int = 0
    left: int = 0
    oom: bool = False
    namespace: str = ""
    problem: str = ""
    effect: str = ""
    boot: str = ""
    pid: int = 0


def record_path(output: Path) -> Path:
    """Where the record of a command lies whose output goes to that file."""
    return output.with_suffix(".exit")


def lock_path(output: Path) -> Path:
    """The lock of the attempt that the output belongs to."""
    return output.with_name("attempt.lock")


def load_record(path: Path) -> Record | None:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return parse_record(told) if isinstance(told, dict) else None


def parse_record(told: Mapping[str, object]) -> Record | None:
    """Of the fields that we know; None where one has another type than it should."""
    kinds = {field: Record.__dataclass_fields__[field].type for field in told if field in Record.__dataclass_fields__}
    if told.get("how") not in get_args(How) or not all(_is(told[field], str(kind)) for field, kind in kinds.items()):
        return None
    return Record(**{field: told[field] for field in kinds})  # type: ignore[arg-type]


def _is(value: object, kind: str) -> bool:
    match kind:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int)
        case "float":
            return isinstance(value, int | float)
        case "int | None":
            return value is None or isinstance(value, int)
        case _:
            return isinstance(value, str)
