"""Figures as people read them: durations, money, tokens, counts. Pure; never wider than the figure needs."""

from __future__ import annotations


def render_duration(seconds: float) -> str:
    """Seconds → `0:07`, `12:05`, `1:02:03`; a negative one (clock set back) is `0:00`."""
    whole = max(0, int(seconds))
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def render_rough_duration(seconds: float) -> str:
    """For what is guessed: `~40 s`, `~9 min`, `~2 h 10 min`. Never finer than it deserves."""
    if seconds < 60:
        return f"~{max(10, round(seconds / 10) * 10)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"~{minutes} min"
    hours, minutes = divmod(round(minutes / 10) * 10, 60)
    return f"~{hours} h {minutes} min" if minutes else f"~{hours} h"


def render_money(usd: float, *, estimated: bool = False) -> str:
    """US dollars → `$0.42`; a sum below half a cent shows as `<$0.01`; an estimate is marked with `~`."""
    mark = "~" if estimated else ""
    if 0 < usd < 0.005:
        return f"{mark}<$0.01"
    return f"{mark}${usd:,.2f}"


def render_tokens(count: int) -> str:
    """`950`, `87k`, `1.2M`."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1000:.1f}k" if count < 9_950 else f"{round(count / 1000)}k"
    return f"{count / 1e6:.1f}M" if count < 99_500_000 else f"{round(count / 1e6)}M"


def render_size(count: int) -> str:
    """Bytes → `950 B`, `12 kB`, `3.4 MB`, `1.2 GB` (powers of 1000, as disks are sold)."""
    if count < 1000:
        return f"{count} B"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < scale * 999.5 or unit == "GB":
            value = count / scale
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    raise AssertionError


def count_of(number: int, noun: str, plural: str = "") -> str:
    """`1 check`, `3 checks`, `2 tries`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def first_line(text: str, width: int = 0) -> str:
    """The first line that says something, shortened to width characters (0: as it is)."""
    line = next((stripped for raw in text.splitlines() if (stripped := raw.strip())), "")
    return shorten(line, width) if width else line


def last_line(text: str, width: int = 0) -> str:
    """The last line that says something: where most test programs put their verdict."""
    line = next((stripped for raw in reversed(text.splitlines()) if (stripped := raw.strip())), "")
    return shorten(line, width) if width else line


def shorten(text: str, width: int) -> str:
    """At most width characters, the cut marked by `…`."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


_ASCII = str.maketrans("…·—–×→←≤✓✗◐●○⊘‖’", "~---x><<+xo*.-='")


def to_ascii(text: str) -> str:
    """The same for a terminal that shows ASCII only, sign for sign; what has no counterpart becomes `?`."""
    return text if text.isascii() else text.translate(_ASCII).encode("ascii", "replace").decode()
