"""What TAB offers: ids of features, tags, runs. Fast, silent, and never wrong-footed by a broken file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer  # Typer reads the annotations of these functions when it runs

from orchestrate.errors import OrchestrateError


def features(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """(id, name) of the features in the feature list, but those that were typed already; where there is no list, of those
    in the run."""
    typed = ctx.params.get("features") or ()
    listed = _listed(ctx) or _recorded(ctx)
    return [(fid, name) for fid, name, _ in listed if fid.startswith(incomplete) and fid not in typed]


def selections(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The same with tags, after the sign or separator that was typed already: `+a`, `a,b`."""
    cut = max(incomplete.rfind(sign) for sign in " ,+@") + 1
    typed, word = incomplete[:cut], incomplete[cut:]
    listed = _listed(ctx)
    tags = sorted({tag for _, _, tags in listed for tag in tags})
    offers = [(fid, name) for fid, name, _ in listed] + [(f"tag:{tag}", "features with this tag") for tag in tags]
    return [(typed + offer, meaning) for offer, meaning in offers if offer.startswith(word)]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs, newest first."""
    from orchestrate.cli.context import environment
    from orchestrate.cli.recorded import open_recorded

    try:
        with open_recorded(_start(ctx), environment()) as recorded:
            return [run for run in reversed(recorded.log.runs()) if run.startswith(incomplete)]
    except (OrchestrateError, OSError):
        return []


def _listed(ctx: typer.Context) -> list[tuple[str, str, tuple[str, ...]]]:
    """(id, name, tags) of every feature that can be read; nothing when the file cannot be."""
    from orchestrate.spec.finding import find_config
    from orchestrate.spec.sources import load_document

    try:
        config = find_config(_start(ctx), ctx.params.get("config"))
        entries: Any = load_document(config, str(config)).data.get("features")
    except (OrchestrateError, OSError):
        return []
    return [
        (entry["id"], str(entry.get("name") or ""), tuple(t for t in entry.get("tags") or () if isinstance(t, str)))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)
    ]


def _recorded(ctx: typer.Context) -> list[tuple[str, str, tuple[str, ...]]]:
    """(id, status in a word, no tags) of every feature in the run of --run, else in the newest."""
    from orchestrate.cli.context import environment
    from orchestrate.cli.recorded import open_recorded, plan_of
    from orchestrate.views.rows import LOOKS
    from orchestrate.views.run import build_view

    try:
        with open_recorded(_start(ctx), environment()) as recorded:
            events = recorded.events(recorded.find_run(ctx.params.get("run")))
        view = build_view(plan_of(events), (stored.event for stored in events))
    except (OrchestrateError, OSError):
        return []
    return [(fid, LOOKS[feature.status].word, ()) for fid, feature in view.features.items()]


def _start(ctx: typer.Context) -> Path:
    """The directory that -C names, at either place; else the current one."""
    contexts = [ctx.find_root(), ctx]
    return Path.cwd().joinpath(*(c.params["directory"] for c in contexts if c.params.get("directory")))
