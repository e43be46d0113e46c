"""(a) What a run costs beyond git: 100 features, an instant agent, 8 at a time, against a shell loop of the same git commands.

A first run records every git command (directory, arguments, input) through a wrapper on PATH, under fixed dates, so that
the loop makes the very same objects: its integration branch must end at the commit where the recorded one did.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from .graphs import layered
from .processes import ENVIRON, ORCHESTRATE
from .repository import build_repository
from .table import Row

FEATURES = 100
PARALLEL = 8
TIMES = 3
CPU_MS = 12.0
"""The engine's own CPU time that a feature may cost."""

DATE = "2026-01-02T03:04:05+00:00"
RECORDER = """\
#!/bin/sh
at={log}/$(date +%s%N).$$
export GIT_AUTHOR_DATE={date} GIT_COMMITTER_DATE={date}
{{ echo "$PWD"; printf '%s\\n' "$#"; for a in "$@"; do printf '%s\\0' "$a"; done; }} > "$at.argv"
env | grep ^GIT_ > "$at.env"
if [ -p /dev/stdin ] || [ -f /dev/stdin ]; then cat > "$at.stdin"; exec {git} "$@" < "$at.stdin"; fi
exec {git} "$@"
"""


def measure() -> Iterator[Row]:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        _build(root, 1)
        alone = min(_run(root, ENVIRON)[1] for _ in range(TIMES))
        _build(root, FEATURES)
        loop = _record(root)
        walls, cpus, loops = [], [], []
        for _ in range(TIMES):
            wall, cpu = _run(root, ENVIRON)
            walls.append(wall)
            cpus.append(cpu)
            loops.append(_replay(root, *loop))
    name = f"{FEATURES} features, {PARALLEL} at a time"
    yield Row("a", name, median(walls), "s", "a shell loop of the same git commands", median(loops), 1.3)
    in_all = median(cpus) / FEATURES * 1000
    beyond = (median(cpus) - alone) / (FEATURES - 1) * 1000
    yield Row("a", "the engine's own CPU, a feature", in_all, "ms", "allowed", CPU_MS, 1.0)
    yield Row("a", "of it beyond a run of one feature", beyond, "ms", "in all", in_all)


def _build(root: Path, count: int) -> None:
    """A repository with that many features, kept under `pristine` to begin from again."""
    features = [
        {"id": f.id, "prompt": "Write.", "depends_on": list(f.depends_on)}
        for f in layered(count, 1, width=FEATURES // 10)[0]
    ]
    shutil.rmtree(root / "pristine", ignore_errors=True)
    (root / "pristine").mkdir()
    build_repository(root / "pristine", features, max_parallel=PARALLEL)


def _restore(root: Path) -> None:
    for path in root.iterdir():
        if path.name not in ("pristine", "log", "bin", "loop.sh"):
            shutil.rmtree(path)
    shutil.copytree(root / "pristine", root / "repo", symlinks=True)


def _run(root: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Wall time and the engine's own CPU time, without its children's, in seconds."""
    _restore(root)
    argv = [ORCHESTRATE, "run", "--yes", "--config", "list.json", "--progress", "none"]
    started = perf_counter()
    with subprocess.Popen(
        argv, cwd=root / "repo", env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        assert run.stdout is not None
        said = run.stdout.read()
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)  # it is over, and its figures are still there
        wall = perf_counter() - started
        fields = Path(f"/proc/{run.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    if run.returncode:
        raise SystemExit(f"the run failed:\n{said.decode()}")
    return wall, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _record(root: Path) -> tuple[Path, str, str]:
    """The loop as a shell script, the branch that it must make, and where that must end."""
    (root / "bin").mkdir()
    (root / "log").mkdir()
    git = shutil.which("git", path=ENVIRON["PATH"])
    recorder = root / "bin" / "git"
    recorder.write_text(RECORDER.format(log=root / "log", date=DATE, git=git), encoding="utf-8")
    recorder.chmod(0o755)
    _run(root, ENVIRON | {"PATH": f"{root / 'bin'}:{ENVIRON['PATH']}"})
    branch, tip = _integration(root)
    calls = sorted((root / "log").glob("*.argv"))
    environ = calls[-1].with_suffix(".env").read_text(encoding="utf-8").splitlines()
    lines = ["#!/bin/sh", *(f"export {shlex.quote(line)}" for line in environ)]
    for call in calls:
        where, _, rest = call.read_text(encoding="utf-8").partition("\n")
        count, _, packed = rest.partition("\n")
        argv = packed.split("\0")[: int(count)]
        stdin = call.with_suffix(".stdin")
        if argv[:1] == ["add"]:  # what the agent did
            lines.append(f"echo made > {shlex.quote(where)}/{shlex.quote(Path(where).name)}.txt")
        given = shlex.quote(str(stdin)) if stdin.exists() else "/dev/null"
        lines.append(f"cd {shlex.quote(where)} && git {shlex.join(argv)} < {given} > /dev/null 2>&1")
    script = root / "loop.sh"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return script, branch, tip


def _replay(root: Path, script: Path, branch: str, tip: str) -> float:
    _restore(root)
    started = perf_counter()
    subprocess.run(["/bin/sh", str(script)], env=ENVIRON, check=False)
    wall = perf_counter() - started
    if _integration(root) != (branch, tip):
        raise SystemExit("the shell loop did not make the branch that the run made")
    return wall


def _integration(root: Path) -> tuple[str, str]:
    """Name and commit of the run's integration branch."""
    listing = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/orch/*/integration"],
        cwd=root / "repo", env=ENVIRON, check=True, capture_output=True, text=True,
    )  # fmt: skip
    name, _, commit = listing.stdout.strip().partition(" ")
    return name, commit
