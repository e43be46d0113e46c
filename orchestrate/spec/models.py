"""The files that a person writes, as models: feature list and settings. The docstrings are the reference.

Invariant: strict (no `"3"` for 3), closed (unknown keys are errors), frozen. Defaults come from settings.py and core.plan.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrate.core.names import id_problem
from orchestrate.core.plan import Command, Schedule, StartOn
from orchestrate.core.plan import Feature as PlanFeature

from .settings import KNOWN_AGENTS, Checkpoints, Claude, Containment, Disk, Limits, PermissionMode, Ports, Settings

DEFAULTS = Settings()
DAY = 86_400

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GIT_OWN = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"})


def _is_variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a variable's name has letters, digits and _ only, and does not begin with a digit")
    if name.startswith("ORCHESTRATE_") or name in _GIT_OWN:
        raise ValueError(f"{name} is set by the program itself and cannot be given here")
    return name


def _is_glob(pattern: str) -> str:
    if pattern.startswith(("/", "~", "-")) or ".." in pattern.split("/"):
        raise ValueError("a pattern is relative to the repository's root, without `..`")
    return pattern


def _is_branch(name: str) -> str:
    """The rules for branch names (git-check-ref-format), and no leading dash."""
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//", name)
    wrong = bad or name.startswith(("-", "/", ".")) or name.endswith(("/", ".", ".lock")) or name == "@"
    if name and (wrong or "/." in name or ".lock/" in name):
        raise ValueError("this cannot be the name of a branch")
    return name


def _is_prefix(prefix: str) -> str:
    for part in prefix.split("/"):
        if problem := id_problem(part):
            raise ValueError(f"cannot begin branch names: it {problem}")
    return prefix


def _is_agent(name: str) -> str:
    if name not in KNOWN_AGENTS:
        raise ValueError(f"no agent of that name; known: {', '.join(KNOWN_AGENTS)}")
    return name


def _is_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _as_step(value: Any) -> Any:
    return {"run": value} if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, le=7 * DAY, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, le=DAY, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0.01, le=1_000_000, allow_inf_nan=False)]
Filled = Annotated[str, AfterValidator(_is_filled)]
Glob = Annotated[Filled, AfterValidator(_is_glob)]
Variable = Annotated[str, AfterValidator(_is_variable)]
Agent = Annotated[str, AfterValidator(_is_agent), Field(json_schema_extra={"enum": list(KNOWN_AGENTS)})]


class Strict(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=False
    )

    comment: Any = Field(default=None, alias="_comment")
    """Anything; for people, ignored by the program."""


class Step(Strict):
    """A shell command: a setup step or a check. Plain text is short for `{"run": "…"}`."""

    run: Filled
    """The command, given to `/bin/sh -c` in the worktree. Exit code 0 means that it passed."""
    name: str | None = Field(default=None, min_length=1, max_length=200)
    """What the command is called in reports; the command itself when left out. Each name once in a list."""
    timeout_seconds: Seconds = Command("", "").timeout_s
    """Wall clock; past it the command and everything it started is ended, and it has failed."""
    when: Literal["feature", "integration", "both"] = "both"
    """Where it runs: in the feature's worktree, on the merged tree before integration, or both."""


Steps = list[Annotated[Step, BeforeValidator(_as_step, json_schema_input_type=str | Step)]]


class LimitsTable(Strict):
    """What a run may use up."""

    max_cost_usd: Dollars | None = None
    """US dollars that all agents of one run may cost together. Nothing new starts past it."""
    feature_max_cost_usd: Dollars | None = None
    """US dollars that one feature may cost, unless it has a `max_cost_usd` of its own."""
    max_turns: int | None = Field(default=None, ge=1, le=10_000)
    """Turns that one invocation of an agent may take."""
    stall_seconds: Seconds = Limits().stall_seconds
    """An agent that prints nothing for so long, while none of its tools runs, is ended."""


class PromptsTable(Strict):
    """What every agent is told besides its feature."""

    context_file: str = ""
    """File with what every agent should know about the project; found like a `prompt_file`."""
    quality_rules: list[Filled] = []
    """Rules that every feature has to keep; each is one sentence."""
    template: str = ""
    """File with your own template for prompts, in place of the one that is shipped."""


class PortsTable(Strict):
    """Ports for what agents and checks start, so that two worktrees never want the same one."""

    first: int = Field(default=Ports().first, ge=1024, le=65_535)
    """First port of the first worktree; `ORCHESTRATE_PORT` holds the first of each block."""
    count: int = Field(default=Ports().count, ge=1, le=1000)
    """Ports for each worktree."""


class ClaudeTable(Strict):
    """How Claude Code is started."""

    command: Filled = Claude().command
    """The program: a name on PATH, or a path."""
    permission_mode: PermissionMode = Claude().permission_mode
    """Claude Code's own permission mode."""
    allowed_tools: list[Filled] = []
    """Tools that need no permission, in Claude Code's own notation: `Read`, `Bash(npm test:*)`."""
    disallowed_tools: list[Filled] = []
    """Tools that are never allowed, in the same notation."""
    fallback_model: str = ""
    """Model to use while the chosen one is overloaded."""
    pass_env: list[Variable] = []
    """Names of further environment variables that the agent may see; it sees few by default."""
    args: list[Filled] = []
    """Further arguments for the program, one entry each."""


class ScriptedTable(Strict):
    """The scripted agent: plays a script instead of asking a model. For trying a plan without spending."""

    script: str = ""
    """File with what it plays; found like a `prompt_file`."""


class ContainmentTable(Strict):
    """How agents, setup commands and checks are kept together, so that nothing of them is left behind."""

    pid_namespace: Literal["auto", "off"] = Containment().pid_namespace
    """`auto`: each in a process namespace of its own, where the system lets us. `off`: in none, for commands that need
    `sudo`, or start containers without root."""


class CheckpointsTable(Strict):
    """How often the work of running agents is saved, beside their branches and without touching them."""

    every_seconds: Wait = Checkpoints().every_seconds
    """Seconds between two saves of what a running agent has changed. 0: it is saved only when the agent ends."""


class DiskTable(Strict):
    """What a run leaves free on the disks that it writes to."""

    low_mb: int = Field(default=Disk().low_mb, ge=0, le=1_048_576)
    """With less than so many MiB free, a run does not begin, and one that is under way stands still until there is room.
    0: it stands still only when the disk is full."""


class Common(Strict):
    """Settings of a project. They may stand at the top of `orchestrate.toml` or of the feature list, or in its `project`."""

    schema_: str | None = Field(default=None, alias="$schema")
    """Address of the JSON Schema, for editors; ignored by the program."""
    base_branch: Annotated[str, AfterValidator(_is_branch)] = DEFAULTS.base_branch
    """Branch (or tag, or commit) the run starts from. Empty: the repository's default branch."""
    max_parallel: int = Field(default=DEFAULTS.max_parallel, ge=1, le=256)
    """Agents at work at the same time."""
    timeout_seconds: Seconds = DEFAULTS.timeout_seconds
    """Wall clock of all agent work of one attempt at a feature."""
    worktrees_dir: str = DEFAULTS.worktrees_dir
    """Directory for the worktrees. Empty: `<repository>.worktrees`, beside your repository."""
    branch_prefix: Annotated[str, AfterValidator(_is_prefix)] = DEFAULTS.branch_prefix
    """First part of the names of all branches that a run makes."""
    start_on: StartOn = DEFAULTS.start_on
    """A feature starts once its dependencies have passed their checks (`verified`) or are merged (`integrated`)."""
    schedule: Schedule = DEFAULTS.schedule
    """`ready`: start what can start. `waves`: let a whole wave end before the next begins."""
    setup: Steps = []
    """Commands that prepare a fresh worktree, such as `npm ci`; those of a feature follow those of the project."""
    verify: Steps = []
    """Checks that must pass before work counts as done; those of a feature follow those of the project."""
    copy_: list[Glob] = Field(default=[], alias="copy")
    """Patterns of files that git ignores and that a worktree needs all the same, such as `.env`."""
    agent: Agent = DEFAULTS.agent
    """The coding agent: `claude`, or `scripted`."""
    model: str = DEFAULTS.model
    """Model for the agent. Empty: the agent's own default."""
    env: dict[Variable, str] = {}
    """Environment variables for setup commands, agents and checks."""
    max_attempts: int = Field(default=DEFAULTS.max_attempts, ge=1, le=20)
    """Tries at a feature, each from a fresh worktree."""
    max_reworks: int = Field(default=DEFAULTS.max_reworks, ge=0, le=20)
    """Times that failed checks go back to the agent inside one try."""
    retry_backoff_seconds: Wait = DEFAULTS.retry_backoff_seconds
    """Pause before the next try after a fault of the agent's service."""
    limits: LimitsTable = Field(default_factory=LimitsTable)
    """What a run may use up."""
    prompts: PromptsTable = Field(default_factory=PromptsTable)
    """What every agent is told besides its feature."""
    ports: PortsTable = Field(default_factory=PortsTable)
    """Ports for what agents and checks start."""
    claude: ClaudeTable = Field(default_factory=ClaudeTable)
    """How Claude Code is started."""
    scripted: ScriptedTable = Field(default_factory=ScriptedTable)
    """What the scripted agent plays."""
    containment: ContainmentTable = Field(default_factory=ContainmentTable)
    """How agents and checks are kept together."""
    checkpoints: CheckpointsTable = Field(default_factory=CheckpointsTable)
    """How often the work of running agents is saved."""
    disk: DiskTable = Field(default_factory=DiskTable)
    """What a run leaves free on its disks."""


class Project(Common):
    """The project: what it is called, where it lies, and any of the settings."""

    name: str = ""
    """Name in plans and reports. Empty: the repository's directory."""
    description: str = ""
    """What the project is, in a sentence or two; every agent is told."""
    repo_path: str = ""
    """The repository, relative to the directory that holds `config/`. Empty: that directory."""


class SettingsFile(Common):
    """`orchestrate.toml`, or the user's own `config.toml`: settings without features."""

    project: Project = Field(default_factory=Project)
    """The project; settings may stand here or at the top, but each only once."""


class FeatureEntry(Strict):
    """One unit of work, for one agent in one worktree."""

    id: str
    """Name in branches and commands: letters, digits, `-`, `_`, `.`; at most 63 characters; unique."""
    name: str = ""
    """Title for people. Empty: the id."""
    description: str = ""
    """What it is, in a sentence or two. Is the prompt, if there is no other."""
    prompt: str | None = None
    """What the agent is told. Either this or `prompt_file`."""
    prompt_file: str | None = None
    """File with the prompt, relative to the repository or to the directory that holds `config/`; `prompts/` may be left out."""
    depends_on: list[str] = []
    """Ids of features whose code this one builds on; it starts from their work."""
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    """Your wish for the order: lower comes first, where the dependencies leave a choice."""
    tags: list[Filled] = []
    """Words to select features by, as in `--select tag:core`."""
    agent: Agent | None = None
    """Agent for this feature, in place of the project's."""
    model: str | None = None
    """Model for this feature, in place of the project's."""
    verify: Steps = []
    """Further checks, after the project's."""
    setup: Steps = []
    """Further setup commands, after the project's."""
    touches: list[Glob] = []
    """Patterns of the files that may change. Empty: any."""
    timeout_seconds: Seconds | None = None
    """In place of the project's."""
    max_attempts: int | None = Field(default=None, ge=1, le=20)
    """In place of the project's."""
    max_reworks: int | None = Field(default=None, ge=0, le=20)
    """In place of the project's."""
    max_cost_usd: Dollars | None = None
    """US dollars that this feature may cost, over all its tries."""
    estimated_tokens: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Your estimate; cost and duration in the plan are derived from it."""
    creates: list[Filled] = []
    """What it brings into being, such as classes; features that depend on it are told."""
    uses: list[Filled] = []
    """What it uses of its dependencies; the agent is told."""
    env: dict[Variable, str] = {}
    """Environment variables, in addition to the project's."""
    expects_changes: bool = PlanFeature("").expects_changes
    """Whether it is a failure if nothing was changed."""


class FeatureListFile(SettingsFile):
    """The feature list: what is to be built, and any of the settings."""

    features: list[FeatureEntry] = Field(min_length=1, max_length=100_000)
    """The features, in any order."""
