"""The supervisor: started for one command, it owns everything that the command starts, until nothing of it is alive.

Theory of operation. One loop over descriptors: the channel to the engine (its end is the engine's end: the leash), the pipe
from the reaper, the command's output, and a deadline. It never waits for anything else, so that a slow or a stopped engine
keeps it neither from the wall clock nor from the leash.

Invariant: the attempt's lock is held from before the command starts until nothing of it is alive and its record is written.

The order, as the engine sends it: argv, env, cwd: the command, bytes. effect, boot: who it is, on which start of the machine.
lock, record: paths; lock_wait_s: how long to wait for an earlier one. output, errors: paths of the files for its output, empty:
it writes straight to our own stdout and stderr, which are the engine's pipes. secrets: byte strings that no file may hold.
wall_s: how long it may take, 0: for ever; grace_s: between the end of that and SIGKILL. namespace: whether to make one.
durable: whether the record must outlive a loss of power.
"""

from __future__ import annotations

import _signal
import errno
import os
import select
import time

from . import system
from .files import CappedFile, open_lock, sign_lock, try_lock, write_record
from .reaper import KILL_TREE, Reaper
from .relay import Relay
from .wire import Inbox, send

TICK_S = 5.0
"""How often we look at the clock at least."""
GAP_S = 3.0
"""So much later than asked for, and we were stopped, or the machine asleep: deadlines move."""
REAPER_S = 15.0
"""For a reaper to end the tree; after that we do it, without it."""
DRAIN_S = 1.0
"""For output after the end of the tree: only somebody outside of it can still hold the pipe."""


def main(control: int) -> None:
    os.set_inheritable(control, False)
    inbox = Inbox()
    orders: list[tuple[object, ...]] = []
    while not orders:
        data = os.read(control, 1 << 20)
        if not data:
            return
        orders = inbox.feed(data)
    (order,) = orders.pop(0)
    assert isinstance(order, dict)
    Supervisor(control, inbox, order).run(orders)
    os._exit(0)  # without tidying up the interpreter, which takes as long as all else here


class Supervisor:
    def __init__(self, control: int, inbox: Inbox, order: dict[str, object]) -> None:
        self.control, self.inbox, self.order = control, inbox, order
        self.lock = -1
        self.reaper = self.up = self.down = -1
        self.from_reaper = Inbox()
        self.is_init, self.namespace = False, ""
        self.relays: list[Relay] = []
        self.how = ""
        self.why = ""
        self.errno = 0
        self.status: int | None = None
        self.survivors = self.left = 0
        self.was_told = False
        self.refused = ""
        self.started = self.began = 0.0
        self.deadline = self.kill_at = float("inf")
        self.oom_kills = 0

    def run(self, orders: list[tuple[object, ...]]) -> None:
        system.set_name(b"orchestrate-sup")
        system.adopt_orphans()
        ignored = frozenset(
            number
            for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGTERM)
            if _signal.signal(number, _signal.SIG_IGN) == _signal.SIG_IGN
        )
        self.started, self.began = time.time(), time.monotonic()
        if self._take_lock():
            self._start(ignored)
            for order in orders:
                self._obey(order)
            while self.reaper >= 0:
                self._turn()
            self._drain()
        if not self.refused:
            self._conclude()

    # ── the lock ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_lock(self) -> bool:
        order, path = self.order, str(self.order["lock"])
        try:
            self.lock = open_lock(path)
            until = time.monotonic() + _seconds(order["lock_wait_s"])
            while not try_lock(self.lock):
                if time.monotonic() >= until:
                    self.how, self.why = "lock_held", f"{path} is held: an earlier command of this attempt still lives"
                    return False
                if select.select([self.control], [], [], 0.02)[0]:
                    self._hear()
                    if self.how:
                        return False
        except OSError as error:
            self.how, self.errno, self.why = "not_started", error.errno or errno.EIO, path
            return False
        return True

    def _sign(self, reaper_start: str) -> None:
        me = os.getpid()
        holder: dict[str, object] = {
            "boot": self.order["boot"], "pid": me, "started": system.start_time(me),
            "reaper": self.reaper, "reaper_started": reaper_start, "effect": self.order["effect"],
        }  # fmt: skip
        sign_lock(self.lock, holder)

    # ── the start ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, ignored: frozenset[int]) -> None:
        order = self.order
        self.oom_kills = system.oom_kills()
        if order["namespace"]:
            self.namespace, why = system.enter_pid_namespace()
            if why:
                self._refuse(why)
                return
            self.is_init = True
        stdio: tuple[int, int, int] = (0, 1, 2)
        ours: tuple[int, ...] = ()
        if order["output"]:
            out, to_out = os.pipe()
            err, to_err = os.pipe()
            stdio, ours = (0, to_out, to_err), (out, err)
        self.up, up = os.pipe()
        down, self.down = os.pipe()
        self.reaper = os.fork()
        if self.reaper == 0:
            for fd in (self.control, self.up, self.down, *ours):
                os.close(fd)
            Reaper(order, is_init=self.is_init, up=up, down=down, stdio=stdio, ignored=ignored).run()
        reaper_start = system.start_time(self.reaper)
        self._sign(reaper_start)
        for fd in (up, down, *(fd for fd in stdio if fd > 2)):
            os.close(fd)
        if ours:
            secrets = order["secrets"]
            assert isinstance(secrets, tuple)
            files = [CappedFile(str(order[name])) for name in ("output", "errors")]
            files[0].write(b"")  # it is referred to, also when the agent says nothing
            self.relays = [
                Relay(fd, os.dup(sink), file, secrets) for fd, sink, file in zip(ours, (1, 2), files, strict=True)
            ]
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd, inheritable=False)
        self._send(("started", self.reaper, reaper_start))
        if wall_s := _seconds(order["wall_s"]):
            self.deadline = time.monotonic() + wall_s

    def _refuse(self, why: str) -> None:
        """No namespace can be had: nothing has been started, and the engine asks again, without."""
        self.refused = why
        self._send(("refused", why))

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        poll = select.poll()
        if self.control >= 0:
            poll.register(self.control, select.POLLIN)
        poll.register(self.up, select.POLLIN)
        for relay in self.relays:
            if relay.wants_input:
                poll.register(relay.source, select.POLLIN)
            if relay.wants_output:
                poll.register(relay.sink, select.POLLOUT)
        asked_at = time.monotonic()
        wait_s = max(0.0, min(TICK_S, self.deadline - asked_at, self.kill_at - asked_at))
        ready = dict(poll.poll(wait_s * 1000))
        now = time.monotonic()
        gap_s = gap(asked_at, wait_s, now)
        self.deadline += gap_s
        self.kill_at += gap_s
        for relay in self.relays:
            if relay.source in ready:
                relay.pull()
            if relay.sink in ready:
                relay.push()
        if self.up in ready:
            self._hear_reaper()
        if self.control in ready:
            self._hear()
        self._watch_clock(now)

    def _watch_clock(self, now: float) -> None:
        """The wall clock, for an engine that hangs: its own ladder has ended long before."""
        if now >= self.deadline:
            self.deadline, self.kill_at = float("inf"), now + _seconds(self.order["grace_s"])
            self.how = self.how or "timeout"
            self._signal(_signal.SIGTERM)
        elif now >= self.kill_at:
            self.kill_at = float("inf")
            self._kill()

    def _hear(self) -> None:
        """What the engine says; its silence for ever is its end, and that of all this."""
        try:
            data = os.read(self.control, 1 << 16)
        except OSError:
            data = b""
        if data:
            for order in self.inbox.feed(data):
                self._obey(order)
            return
        os.close(self.control)
        self.control = -1
        self.how = self.how or "engine_gone"
        for relay in self.relays:
            relay.drop_sink()
        self._kill()

    def _obey(self, order: tuple[object, ...]) -> None:
        match order:
            case ("signal", int(number)):
                self._signal(number)
            case ("kill",):
                self.how = self.how or "killed"
                self._kill()

    def _signal(self, number: int) -> None:
        """To the command's own group."""
        if self.down >= 0:
            try:
                os.write(self.down, bytes([number]))
            except OSError:
                return  # the reaper is about to end, and says why itself

    def _kill(self) -> None:
        """The whole tree. Of a namespace, process 1 takes all others with it."""
        if self.reaper < 0:
            return
        if self.is_init or self.was_told:
            os.kill(self.reaper, system.KILL)
        else:
            self.was_told = True
            self.kill_at = time.monotonic() + REAPER_S
            self._signal(KILL_TREE)

    def _hear_reaper(self) -> None:
        data = os.read(self.up, 1 << 16)
        if not data:
            self._bury_reaper()
            return
        for said in self.from_reaper.feed(data):
            match said:
                case ("running",):
                    self.started, self.began = time.time(), time.monotonic()
                    self._send(("running",))
                case ("ended", int(status), int(survivors), int(left)):
                    self.status, self.survivors, self.left = status, survivors, left
                case ("failed", int(number), str(what)):
                    self.how, self.errno, self.why = "not_started", number, what
                case ("refused", str(why)):
                    self._refuse(why)

    def _bury_reaper(self) -> None:
        """It has ended: in a namespace, once all others have. Without, whoever is left is ours now."""
        os.waitpid(self.reaper, 0)
        self.reaper = -1
        if self.status is None and not self.how and not self.refused:
            self.how, self.why = "lost", "the process that watched over it was killed"
        os.close(self.up)
        os.close(self.down)
        self.down = -1
        if not self.is_init:
            _, killed, left = system.kill_descendants()
            self.survivors += killed
            if left >= 0 and self.left >= 0:
                self.left = left

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _drain(self) -> None:
        """Nothing is alive that could write: take what the pipes still hold."""
        until = time.monotonic() + DRAIN_S
        for relay in self.relays:
            while relay.source >= 0 and time.monotonic() < until:
                if not select.select([relay.source], [], [], DRAIN_S / 10)[0]:
                    continue
                relay.pull()
            relay.end_source()

    def _conclude(self) -> None:
        """Write the record, let the lock go, and only then see to it that the engine gets the rest."""
        ended, record = time.time(), self._record()
        record["ended"] = ended
        if problem := write_record(str(self.order["record"]), record, durable=bool(self.order["durable"])):
            record["problem"] = record["problem"] or problem
        if self.lock >= 0:
            os.close(self.lock)
        for relay in self.relays:
            while self.control >= 0 and relay.wants_output:
                poll = select.poll()
                poll.register(relay.sink, select.POLLOUT)
                poll.register(self.control, select.POLLIN)
                for fd, _ in poll.poll():
                    if fd == self.control:
                        self._hear()
                    else:
                        relay.push()
            relay.drop_sink()
        self._send(("ended", record))

    def _record(self) -> dict[str, object]:
        status = self.status
        exit_code: int | None = None
        if status is not None:
            exit_code = os.waitstatus_to_exitcode(status)
        elif self.up >= 0 and self.how != "not_started":
            exit_code = -system.KILL
        by_us = self.how in ("killed", "timeout", "engine_gone")
        is_oom = exit_code in (-9, 137) and not by_us and system.oom_kills() > self.oom_kills
        problem = next((relay.file.problem for relay in self.relays if relay.file.problem), "")
        return {
            "effect": self.order["effect"], "boot": self.order["boot"], "pid": os.getpid(),
            "how": self.how or "exited", "exit_code": exit_code, "errno": self.errno, "why": self.why,
            "started": self.started, "duration_s": round(time.monotonic() - self.began, 6),
            "survivors": self.survivors, "left": self.left, "oom": is_oom, "namespace": self.namespace,
            "problem": problem,
        }  # fmt: skip

    def _send(self, value: tuple[object, ...]) -> None:
        """To the engine, if it is still there."""
        if self.control >= 0:
            try:
                send(self.control, value)
            except OSError:
                return


def gap(asked_at: float, wait_s: float, now: float) -> float:
    """For how long we were stopped, or the machine asleep, while we meant to wait no longer than wait_s; 0: we were not."""
    late_s = now - asked_at - wait_s
    return late_s if late_s > GAP_S else 0.0


def _seconds(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
