"""Where the files lie: the feature list, the user's own settings, the repository around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrate.errors import OrchestrateError

from .sources import FORMATS

LIST_NAMES = tuple(f"feature_list{suffix}" for suffix in FORMATS)
SETTINGS_NAME = "orchestrate.toml"
CONFIG_VARIABLE = "ORCHESTRATE_CONFIG"
"""Environment variable with the path of the feature list, where `--config` is not given."""


def find_config(start: Path, explicit: Path | None = None) -> Path:
    """The feature list: the one named, else in `config/` or beside it, in `start` or the nearest directory above.

    Looks no higher than the repository that `start` is in. Raises OrchestrateError.
    """
    start = start.resolve()
    if explicit is not None:
        path = start / explicit.expanduser()
        if path.is_dir():
            raise OrchestrateError(f"{explicit} is a directory", hint="name the feature list in it")
        if not path.exists():
            raise OrchestrateError(
                f"no feature list at {explicit}", hint="check --config, or make one: orchestrate init"
            )
        return path.parent.resolve() / path.name
    for folder in upwards(start):
        found = lists_in(folder)
        if found:
            return found[0]
    raise OrchestrateError(
        f"no feature list in {start} (looked for config/{LIST_NAMES[0]} and the like)",
        hint="make one: orchestrate init",
    )


def upwards(start: Path) -> Iterator[Path]:
    """`start` and what is above it, up to the repository's root; only `start` outside of a repository."""
    top = repository_of(start) or start
    for folder in (start, *start.parents):
        yield folder
        if folder == top:
            return


def lists_in(folder: Path) -> list[Path]:
    places = (folder / "config", folder)
    return [place / name for place in places for name in LIST_NAMES if (place / name).is_file()]


def explicit_config(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    return Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None


def user_config_path(environ: Mapping[str, str]) -> Path:
    """The user's own settings, for all projects: `~/.config/orchestrate/config.toml`, or where the platform has it."""
    from platformdirs import user_config_path as platform_path

    home = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(home) / "orchestrate" if Path(home).is_absolute() else platform_path("orchestrate", appauthor=False)
    return folder / "config.toml"


def base_of(config: Path) -> Path:
    """The directory that holds `config/`; the list's own directory, if it lies elsewhere."""
    return config.parent.parent if config.parent.name == "config" else config.parent


def shown(path: Path, start: Path) -> str:
    """As short as can be pasted: relative to where the command stands, if below."""
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)


def repository_of(folder: Path) -> Path | None:
    """Root of the git repository around a folder, going by what lies on disk; None if there is none."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)
