"""A project directory for tests of loading: writes files, loads it, and collects what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrate.errors import InputRefused, Problem
from orchestrate.spec.load import Loaded, load_project, load_settings
from orchestrate.spec.settings import Settings

FEATURE = {"id": "login", "prompt": "Build the login."}


@dataclass
class Project:
    """root: an empty directory that looks like a repository. Nothing outside of it is read but user_config."""

    root: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    flags: dict[str, object] = field(default_factory=dict)
    config: Path | None = None

    def write(self, path: str, content: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return target

    def write_list(self, **keys: Any) -> Path:
        """A feature list in JSON; one sound feature if none is given."""
        return self.write("config/feature_list.json", json.dumps({"features": [FEATURE], **keys}, indent=1))

    def write_features(self, *features: Mapping[str, Any]) -> Path:
        return self.write_list(features=list(features))

    def write_user_settings(self, text: str) -> Path:
        path = self.home / "orchestrate" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def load(self, start: Path | None = None) -> Loaded:
        return load_project(start=start or self.root, config=self.config, environ=self._environ(), flags=self.flags)

    def settings(self) -> tuple[Settings, dict[str, str]]:
        settings, origins = load_settings(
            start=self.root, config=self.config, environ=self._environ(), flags=self.flags
        )
        return settings, {name: str(origin) for name, origin in origins.items()}

    def problems(self) -> tuple[Problem, ...]:
        """What loading refuses, after checking that it changed nothing."""
        before = self.files()
        try:
            self.load()
        except InputRefused as refused:
            assert self.files() == before
            return refused.problems
        return ()

    def problem(self) -> Problem:
        """The only thing that is wrong."""
        problems = self.problems()
        assert len(problems) == 1, problems
        return problems[0]

    def files(self) -> set[Path]:
        return set(self.root.rglob("*"))

    def _environ(self) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(self.home), **self.environ}
