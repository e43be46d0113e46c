"""(c) `orchestrate plan` as a process: read, validate and show a list of 1,000 and of 10,000 features."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from .graphs import layered
from .processes import ORCHESTRATE, wall_times
from .repository import build_repository
from .table import Row

BARE = """\
import json, sys
import networkx as nx

graph = nx.DiGraph()
for f in json.load(open(sys.argv[1]))["features"]:
    graph.add_node(f["id"])
    graph.add_edges_from((d, f["id"]) for d in f["depends_on"])
print(len(list(nx.topological_generations(graph))))
"""


def measure() -> Iterator[Row]:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "bare.py").write_text(BARE, encoding="utf-8")
        build_repository(root, agent="claude")
        commands = {}
        for size in (1_000, 10_000):
            features = [
                {"id": f.id, "name": f.id, "prompt": f"Write {f.id}.", "depends_on": list(f.depends_on)}
                for f in layered(size, 1, width=size // 10)[0]
            ]
            path = root / f"{size}.json"
            path.write_text(json.dumps({"features": features}, indent=1), encoding="utf-8")
            commands[f"plan {size}"] = [ORCHESTRATE, "plan", "--config", path.name, "--json"]
            commands[f"bare {size}"] = [sys.executable, "bare.py", path.name]
        taken = wall_times(commands, times=3, cwd=root)
    for size, limit in ((1_000, None), (10_000, None)):
        baseline = f"json.load and the waves of networkx, {size:,}"
        yield Row("c", f"plan of {size:,}", taken[f"plan {size}"], "s", baseline, taken[f"bare {size}"], limit)
    yield Row("c", "plan of 10,000", taken["plan 10000"], "s", "ten plans of 1,000", 10 * taken["plan 1000"], 1.0)
