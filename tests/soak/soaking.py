"""One soak: the world of the demo, faults drawn by a seed, and what is to be said about it in the end."""

import random
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotator.sandbox.demo.replicas import Replica
from rotator.sandbox.demo.stage import HOME, Stage
from rotator.sandbox.demo.workers import Verdict, Workers
from rotator.sandbox.worker import Pull
from tests.soak.audit import Audit
from tests.soak.grounds import AT, Grounds, Line
from tests.soak.growth import FEWEST, grown
from tests.soak.hands import Hands, Harm, plan
from tests.soak.troubles import EVERYBODY, Judged, Troubles
from tests.vitals import Vitals
from tests.waiting import eventually

TICK = 0.1
HELD_UP = 0.5
"""Seconds after which a tick comes so late that the machine had no time for us, nor for rotator."""

LOOK = 0.3
"""Seconds between two looks at the Secrets."""

GLANCE = 5.0
"""Seconds between two looks at the pages."""

REST = 10.0
"""Seconds after each outage: more than a calm stretch."""

BETWEEN = 2.0
"""Seconds between two looks at the vitals."""

AT_REST = 3.0
"""Seconds without a trouble after which a replica is looked at for growth."""

COURSE = 16
"""Looks that are shown of a process's memory."""

HEAD = 12
"""Characters by which a secret is looked for first."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Demands:
    """What a soak has to reach to prove something: renewals, looks by which growth can be judged, and few excuses.

    `excused` is the largest share of pulls that may fail with an excuse: whoever never tries again finds many.
    """

    renewals: int = 1
    looks: int = 0
    excused: float = 1.0


LONG = Demands(renewals=1000, looks=FEWEST, excused=0.05)
"""What the default soak has to reach."""


@dataclass
class Figures:
    """What was counted, and what was wrong."""

    seed: int
    seconds: float
    demands: Demands
    harms: Counter[str] = field(default_factory=Counter)
    pulls: Counter[Verdict] = field(default_factory=Counter)
    failures: list[Pull] = field(default_factory=list)
    mints: int = 0
    renewals: int = 0
    writes: int = 0
    held_up: int = 0
    found: list[str] = field(default_factory=list)
    looks: list[Vitals] = field(default_factory=list)
    leaks: int = 0
    characters: int = 0

    @property
    def wrong(self) -> list[str]:
        """Why this soak failed; empty where all was well."""
        found = [f"pull from {pull.image.host} in {pull.namespace}: {pull.message}" for pull in self.failures]
        found = [*self.found, *found, *grown(self.looks), *self._short]
        if self.leaks:
            found.append(f"{self.leaks} secret values were shown")
        return found

    @property
    def _short(self) -> list[str]:
        """What was too little to prove anything."""
        found = []
        if not self.pulls[Verdict.PULLED]:
            found.append("nothing was pulled")
        if self.pulls[Verdict.EXCUSED] > self.demands.excused * self.pulls.total():
            found.append(
                f"{self.pulls[Verdict.EXCUSED]} of {self.pulls.total()} pulls had an excuse, which is too many"
            )
        if self.renewals < self.demands.renewals:
            found.append(f"{self.renewals} renewals, at least {self.demands.renewals} were to be seen")
        if len(self.looks) < self.demands.looks:
            found.append(f"growth cannot be judged by {len(self.looks)} calm looks, it takes {self.demands.looks}")
        return found

    def rows(self) -> list[tuple[str, str]]:
        """The table."""
        rows = [
            ("seed, seconds", f"{self.seed}, {self.seconds:.0f}"),
            ("outages and deeds", f"{self.harms.total()} of {len(self.harms)} kinds"),
            ("pulls", ", ".join(f"{self.pulls[verdict]} {verdict}" for verdict in Verdict)),
            ("renewals", f"{self.renewals} credentials that took an older one's place in a Secret, each counted once"),
            ("mints asked for, Secret writes", f"{self.mints}, {self.writes}"),
            ("secret values shown", f"{self.leaks} in {self.characters} characters of logs, pages and Events"),
        ]
        if self.held_up:
            rows.append(("times the machine stood still", f"{self.held_up}: it is too busy for a soak"))
        rows.append(("calm looks for growth", f"{len(self.looks)}{'' if len(self.looks) >= FEWEST else ': too few'}"))
        if self.looks:
            quarter = len(self.looks) // 4
            rows += [_vitals("after warm-up", self.looks[quarter]), _vitals("at the end", self.looks[-1])]
            course = self.looks[:: max(len(self.looks) // COURSE, 1)]
            rows.append(("its memory, in MiB", " ".join(f"{look.rss:.0f}" for look in course)))
        return rows


def _vitals(when: str, look: Vitals) -> tuple[str, str]:
    return f"who lives on, {when}", f"{look.rss:.1f} MiB, {look.threads} threads, {look.descriptors} descriptors"


class Soak:
    """One of them; `run` it once."""

    def __init__(
        self, directory: Path, seed: int, seconds: float, life: timedelta, lines: int, demands: Demands
    ) -> None:
        self._stage = Stage(directory, life=life, addresses="127.0.0.1:0")
        self._grounds = Grounds(life, [Line(number) for number in range(lines)])
        self._figures = Figures(seed, seconds, demands)
        self._troubles = Troubles()
        self._audit = Audit(self._stage, self._grounds, self._troubles)
        self._tally = Judged(self._troubles, life.total_seconds() * (1 - AT))
        self._workers = Workers(self._stage, self._tally, lambda _pull: None, self._grounds.images)
        self._under_way: list[tuple[float, Harm]] = []
        self._holders: dict[str, Replica] = {}
        self._pages: dict[str, str] = {}
        self._shown: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> Figures:
        """Everything, with a calm end."""
        with self._stage as stage:
            stage.api.faults.spared.add("kubelet")
            stage.api.before_request(self._audit.before_request)
            self._grounds.prepare(stage)
            self._survivor.start()
            eventually(self._has_served, "the first Secrets")
            for name in self._grounds.homes[::2]:
                self._audit.strange(name)
            stage.start_rotator()
            self._workers.start(list(self._grounds.homes))
            glancing = threading.Thread(target=self._glance, name="glances")
            glancing.start()
            try:
                self._suffer()
            finally:
                self._ended.set()
                glancing.join()
                for _, harm in self._under_way:
                    harm.end()
                self._workers.stop()
            self._sum_up()
        return self._figures

    @property
    def _survivor(self) -> Replica:
        return self._stage.replicas[-1]

    def _has_served(self) -> bool:
        store = self._stage.api.store
        return all(store.get("secrets", name, self._grounds.pull_secret(name)) for name in self._grounds.homes)

    # The time in between ----------------------------------------------------------------------------------------------

    def _suffer(self) -> None:
        chance, seconds = random.Random(self._figures.seed), self._figures.seconds  # noqa: S311  (no secret)
        hands = Hands(self._stage, self._grounds, self._troubles, self._audit, self._workers, chance)
        script = sorted(plan(chance, seconds, REST))
        began = felt = ticked = looked = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            while script and script[0][0] <= now - began:
                self._happen(hands, now, *script.pop(0)[1:])
            if now - ticked > HELD_UP:
                self._figures.held_up += 1
                self._troubles.note(EVERYBODY, now, since=ticked)
            ticked = now
            self._attend(now)
            if now - looked > LOOK:
                looked = now
                self._audit.look(now)
            if now - felt > BETWEEN and self._troubles.is_calm(now, AT_REST) and self._survivor.process:
                felt = now
                self._figures.looks.append(Vitals.of(self._survivor.process.pid))
            time.sleep(TICK)

    def _happen(self, hands: Hands, now: float, lasting: bool, seconds: float) -> None:
        harm = hands.outage(now) if lasting else hands.deed(now)
        self._figures.harms[harm.name] += 1
        if lasting:
            self._under_way.append((now + max(seconds, harm.least), harm))

    def _attend(self, now: float) -> None:
        """Note what is wrong now, and take back what has lasted long enough."""
        for until, harm in list(self._under_way):
            for concern in harm.concerns:
                self._troubles.note(concern, now)
            if now >= until:
                harm.end()
                self._under_way.remove((until, harm))
        if not self._is_led():
            self._troubles.note(EVERYBODY, now)

    def _is_led(self) -> bool:
        """Whether a replica that runs holds the Lease; one that was frozen concerns everybody in any case."""
        for replica in self._stage.replicas:
            for event in replica.news():
                self._note(replica, event)
        lease = self._stage.api.store.get("leases", HOME, "rotator")
        holder = self._holders.get(lease["spec"].get("holderIdentity") or "") if lease else None
        return holder is not None and holder.is_running

    def _note(self, replica: Replica, event: dict[str, str]) -> None:
        match event.get("event", ""):
            case "lease.acquired":
                self._holders = {name: each for name, each in self._holders.items() if each is not replica}
                self._holders[event["identity"]] = replica
            case "daemon.started":
                self._holders = {name: each for name, each in self._holders.items() if each is not replica}
            case "health.listening" | "metrics.listening" as name:
                self._pages[f"{replica.log_file.stem} {name}"] = event["address"]

    # What is looked at ------------------------------------------------------------------------------------------------

    def _glance(self) -> None:
        """In a thread of its own: a replica that is frozen lets whoever asks it wait."""
        while not self._ended.wait(GLANCE):
            for address in list(self._pages.values()):
                for path in ("/metrics", "/healthz", "/readyz"):
                    self._shown.add(_page(address, path))

    def _sum_up(self) -> None:
        figures, stage, tally = self._figures, self._stage, self._tally
        counts = stage.api.journal.counts
        clouds = (stage.net.aws, "GetAuthorizationToken"), (stage.net.google, "generateAccessToken")
        figures.mints = sum(cloud.calls[name] for cloud, name in clouds) + stage.net.azure.calls["exchange"]
        figures.renewals, figures.found = self._audit.renewals, self._audit.found
        figures.writes = counts["patch", "secrets", 200] + counts["patch", "secrets", 201]
        figures.pulls, figures.failures = tally.counts, tally.failures
        shown = "\n".join((stage.written_by_rotator(), *self._shown, *map(str, stage.api.store.list("events"))))
        figures.characters, figures.leaks = len(shown), len(leaked(shown, stage.net.secrets()))


def _page(address: str, path: str) -> str:
    with suppress(OSError), _DIRECT.open(f"http://{address}{path}", timeout=2) as answer:
        return str(answer.read().decode())
    return ""


def leaked(text: str, secrets: set[str]) -> set[str]:
    """The secret values that stand in the text. There are thousands, so each is first looked for by its beginning."""
    heads: dict[str, list[str]] = {}
    for secret in secrets:
        if len(secret) >= HEAD:
            heads.setdefault(secret[:HEAD], []).append(secret)
    places = ((place, text[place : place + HEAD]) for place in range(len(text)))
    return {
        secret for place, head in places if head in heads for secret in heads[head] if text.startswith(secret, place)
    }
