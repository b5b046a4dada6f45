"""Rolling out, renewing and repairing on a large cluster, beside a bare client: python -m bench.fanout [JSON FILE]

100, 1,000 and 10,000 namespaces (FANOUT_NAMESPACES says others) with five ServiceAccounts each, on a real API server
of their own; one pull secret with three registries. A bare client (`bench.bare`) then sends the same requests to the
same server: its time over ours is the ratio, so 1.0 cannot be exceeded but by chance. Takes about twenty minutes.
"""

# ruff: noqa: T201, TID251  (benchmarks are modules of no package, print, measure time, and chance picks namespaces)

import base64
import itertools
import json
import os
import platform
import random
import secrets
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.bare import BareClient
from bench.heal import Bench, Onlooker
from bench.installed import configure, installed, populate
from bench.meter import Meter, Phase, Tail
from bench.tables import show
from rotator.annotations import RENEWED_AT
from rotator.cluster import request
from rotator.cluster.client import LIGHT, PAGE
from rotator.config import FanOut
from rotator.model import DATA_KEY, DesiredSecret, SecretText, ServiceAccountRecord
from tests.apiclient import PARTIAL_LIST
from tests.installation import Installation
from tests.outside import SECRET
from tests.vitals import Vitals

SIZES = [int(size) for size in os.environ.get("FANOUT_NAMESPACES", "100,1000,10000").split(",")]
ACCOUNTS = ("workers", "builds", "deploys", "tests")
"""With `default`, five in each namespace; rotator serves the first, the bare client the second."""

BARE_SECRET, BARE_ACCOUNT = "bare-pull", "builds"

LIFE = timedelta(minutes=20)
CALM, PRESSING = 0.95, 0.05
"""Shares of a life: with the first nothing is due, with the second all that is older than a minute is."""

SWEEP = 30
PATIENCE = 900.0
FEW = 20
"""Of fewer samples the 99th percentile says nothing."""

CONCURRENCY = FanOut().concurrency
SETTINGS = (
    f"renewal: {{{{at: {{at}}, jitter: 0, sweep: {SWEEP}s}}}}\n"
    f"fanOut: {{{{concurrency: {CONCURRENCY}, perSecond: 10000}}}}\n"  # no pauses: it is to show how fast it can be
)


Objects = list[dict[str, Any]]


@dataclass
class Figures:
    """All that was seen at one size; `bare` has the bare client's seconds for the same requests."""

    namespaces: int
    phases: dict[str, Phase] = field(default_factory=dict)
    vitals: dict[str, Vitals] = field(default_factory=dict)
    bare: dict[str, list[float]] = field(default_factory=dict)
    repairs: list[float] = field(default_factory=list)
    mints: int = 0
    """By a restart."""

    def ratio(self, seconds: float, *phases: str) -> float:
        """The bare client's best time for these phases, divided by ours."""
        return sum(min(self.bare[phase]) for phase in phases) / seconds

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "namespaces": self.namespaces,
            "phases": {name: phase.record() for name, phase in self.phases.items()},
            "bareSeconds": {name: [round(each, 3) for each in took] for name, took in self.bare.items()},
            "residentMiB": {name: round(found.rss, 1) for name, found in self.vitals.items()},
            "peakMiB": {name: round(found.peak, 1) for name, found in self.vitals.items()},
            "repairSeconds": [round(each, 3) for each in self.repairs],
            "mintsOfRestart": self.mints,
        }


class Trial:
    """One size, from an empty cluster to the last figure."""

    def __init__(self, installation: Installation, size: int) -> None:
        self._installation = installation
        self._admin = installation.controlplane.admin
        self._names = [installation.full(f"team-{number}") for number in range(size)]
        self._meter = Meter(installation)
        self.figures = Figures(size)

    def run(self) -> Figures:
        """All phases, one after the other."""
        self._at(CALM)
        populate(self._admin, self._names, ACCOUNTS)
        with self._serving("roll-out") as tail:
            self._look("after its roll-out")
            with self._phase("a sweep"):
                tail.wait_for("pass.finished", PATIENCE, namespace=None)
            self._renew(tail)
            self._look("after a renewal")
        self._bare_roll_out()
        self._bare_renewal()
        before = self._installation.mints()
        with self._serving("restart") as tail:
            self.figures.mints = sum(self._installation.mints().values()) - sum(before.values())
            self._look("after a restart")
            self._repair(tail)
        self._bare_renewal()
        return self.figures

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        with self._meter.phase() as phase:
            yield
        self.figures.phases[name] = phase
        print(f"{self.figures.namespaces} namespaces, {name}: {json.dumps(phase.record())}", flush=True)

    @contextmanager
    def _serving(self, phase: str) -> Iterator[Tail]:
        """Rotator; the phase lasts from its start to the end of its first pass over everything."""
        with ExitStack() as stack:
            with self._phase(phase):
                running = stack.enter_context(self._installation.start("run"))
                self._meter.pid = running.process.pid
                tail = stack.enter_context(closing(Tail(running.err, whole=True)))
                tail.wait_for("pass.finished", PATIENCE, namespace=None)
            yield tail
            running.end()
            self._meter.pid = None

    def _look(self, when: str) -> None:
        if self._meter.pid is not None:
            self.figures.vitals[when] = Vitals.of(self._meter.pid)

    def _at(self, share: float) -> None:
        configure(self._installation, SETTINGS.format(at=share))

    def _renew(self, tail: Tail) -> None:
        """Once all credentials are old enough, let every one of them be due."""
        time.sleep(PRESSING * LIFE.total_seconds())
        with self._phase("renewal"):
            self._at(PRESSING)
            tail.wait_for("pass.finished", PATIENCE, namespace=None, written=len(self._names))
        self._at(CALM)
        tail.wait_for("configuration.reloaded", PATIENCE)

    def _repair(self, tail: Tail) -> None:
        """The same, and meanwhile references are lost, one after the other, each in another namespace."""
        time.sleep(PRESSING * LIFE.total_seconds())
        onlookers = Onlooker(self._admin, "secrets", SECRET), Onlooker(self._admin, "serviceaccounts", ACCOUNTS[0])
        onlookers[1].start()
        bench = Bench(self._installation, *onlookers)
        with self._phase("renewal under repairs"):
            self._at(PRESSING)
            tail.wait_for("secret.written", PATIENCE)
            for name in random.sample(self._names, len(self._names)):
                if tail.find("pass.finished", namespace=None):
                    break
                self.figures.repairs.append(bench.reference_lost(name))
        self._at(CALM)

    def _bare_roll_out(self) -> None:
        """A reference and a Secret in each namespace, as rotator made them."""
        accounts = self._listed("serviceaccounts", BARE_ACCOUNT)
        text, labels, annotations = self._published()

        def batch(account: dict[str, Any]) -> list[request.Request]:
            metadata = account["metadata"]
            namespace = metadata["namespace"]
            record = ServiceAccountRecord(namespace, BARE_ACCOUNT, metadata["uid"], metadata["resourceVersion"])
            secret = DesiredSecret(namespace, BARE_SECRET, SecretText(text), labels, annotations)
            return [request.attach(record, [BARE_SECRET]), request.apply_secret(secret, force=False)]

        self._send("roll-out", [batch(account) for account in accounts])

    def _bare_renewal(self) -> None:
        """New entries in each of these Secrets."""
        text, labels, annotations = self._published()
        text, annotations = _renewed(text), annotations | {RENEWED_AT: f"2026-01-01T00:00:{secrets.randbelow(60):02}Z"}

        def batch(found: dict[str, Any]) -> list[request.Request]:
            metadata = found["metadata"]
            place, version = metadata["namespace"], metadata["resourceVersion"]
            secret = DesiredSecret(place, BARE_SECRET, SecretText(text), labels, annotations, metadata["uid"], version)
            return [request.apply_secret(secret, force=False)]

        lists = [
            (request.list_namespaces(None), LIGHT * PAGE),
            (request.list_all("secrets", None, SECRET), PAGE),
            (request.list_all("serviceaccounts", None, ACCOUNTS[0]), LIGHT * PAGE),
        ]
        with closing(self._bare_client()) as client:
            self.figures.bare.setdefault("reading", []).append(client.read(lists))
        self._send("renewal", [batch(found) for found in self._listed("secrets", BARE_SECRET)])

    def _send(self, phase: str, batches: Sequence[Sequence[request.Request]]) -> None:
        with closing(self._bare_client()) as client:
            serialised = [[client.serialised(each) for each in batch] for batch in batches]
            with self._phase(f"bare {phase}"):
                seconds = client.send(serialised)
        self.figures.bare.setdefault(phase, []).append(seconds)

    def _bare_client(self) -> BareClient:
        controlplane, token = self._installation.controlplane, self._installation.log_in().read_text()
        return BareClient(controlplane.url, token, controlplane.ca_file, CONCURRENCY)

    def _published(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """Text, labels and annotations of one of rotator's Secrets: the others have the same."""
        found = self._installation.secret(self._names[0])
        text = base64.b64decode(found["data"][DATA_KEY]).decode()
        return text, found["metadata"]["labels"], found["metadata"]["annotations"]

    def _listed(self, resource: str, name: str) -> Objects:
        """The objects of this name in all of our namespaces."""
        found: Objects = []
        query: dict[str, object] = {"fieldSelector": f"metadata.name={name}", "limit": PAGE}
        while True:
            page = self._admin.get(f"/api/v1/{resource}", PARTIAL_LIST, **query).body
            found += page["items"] or ()
            if not (token := page["metadata"].get("continue")):
                names = set(self._names)
                return [each for each in found if each["metadata"]["namespace"] in names]
            query["continue"] = token


def _renewed(text: str) -> str:
    """The same with another password of the same length for each host: what does not differ, no server writes."""
    document = json.loads(text)
    for entry in document["auths"].values():
        for key in entry.keys() & {"auth", "password"}:
            entry[key] = base64.b64encode(secrets.token_bytes(len(entry[key]))).decode()[: len(entry[key])]
    return json.dumps(document)


def _quantile(seconds: Sequence[float], percent: int) -> str:
    if len(seconds) < FEW:
        return f"(of {len(seconds)} repairs the longest {1000 * max(seconds):.0f} ms)" if seconds else "none"
    return f"{1000 * statistics.quantiles(seconds, n=100)[percent - 1]:.0f} ms of {len(seconds)}"


def column(found: Figures) -> dict[str, str]:
    """One size's column of the table."""
    phases, vitals = found.phases, found.vitals

    def timed(seconds: float, *phases: str) -> str:
        return f"{seconds:.1f} s ({found.ratio(seconds, *phases):.2f})"

    def cpu(phase: str) -> str:
        return ", ".join(f"{phases[phase].cpu[name]:.1f}" for name in ("rotator", "kube-apiserver", "etcd"))

    renewal, asked = phases["renewal"], phases["renewal"].requests
    return {
        "first roll-out, from the start of the program": timed(phases["roll-out"].seconds, "roll-out"),
        "- its writes alone": timed(phases["roll-out"].writing, "roll-out"),
        "- processor seconds of rotator, API server, etcd": cpu("roll-out"),
        "renewal, from its first read": timed(renewal.passing, "reading", "renewal"),
        "- its writes alone ": timed(renewal.writing, "renewal"),
        "- writes of Secrets, of ServiceAccounts": f"{asked['patch secrets']}, {asked['patch serviceaccounts']}",
        "- requests in all": str(sum(asked.values())),
        "- bytes to etcd": f"{renewal.to_etcd / 1e6:.1f} MB ({_least(found).to_etcd / renewal.to_etcd:.2f})",
        "- processor seconds of rotator, API server, etcd ": cpu("renewal"),
        "a sweep with nothing to do, processor seconds": f"{phases['a sweep'].cpu['rotator']:.2f}",
        "- writes": str(phases["a sweep"].writes),
        "restart with everything fresh": f"{phases['restart'].seconds:.1f} s",
        "- writes, mints": f"{phases['restart'].writes}, {found.mints}",
        "repair during a renewal, p50": _quantile(found.repairs, 50),
        "repair during a renewal, p99": _quantile(found.repairs, 99),
        "resident after a roll-out, a renewal, a restart": ", ".join(f"{each.rss:.0f}" for each in vitals.values())
        + " MiB",
        "the most ever resident": f"{max(each.peak for each in vitals.values()):.0f} MiB",
    }


def _least(found: Figures) -> Phase:
    return found.phases["bare renewal"]


def growth(sizes: Sequence[Figures]) -> list[str]:
    """What a thousand namespaces more cost at rest, from each size to the next."""
    lines = []
    for smaller, larger in itertools.pairwise(sizes):
        thousands = (larger.namespaces - smaller.namespaces) / 1000
        grown = larger.vitals["after a restart"].rss - smaller.vitals["after a restart"].rss
        lines.append(f"{smaller.namespaces} to {larger.namespaces} namespaces: {grown / thousands:.2f} MiB per 1,000")
    return lines


def main() -> None:
    """Measure, print, and write JSON."""
    sizes = []
    for size in SIZES:
        with installed(life=LIFE) as installation:
            sizes.append(Trial(installation, size).run())
    columns = [column(found) for found in sizes]
    rows = [[what, *(each[what] for each in columns)] for what in columns[0]]
    show("Fan-out; in brackets the ratio to a bare client", ("namespaces", *map(str, SIZES)), rows)
    print("\nresident memory grows:", *growth(sizes), sep="\n")
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "dist/bench.json")
    path.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()}
    path.write_text(json.dumps({"machine": machine, "sizes": [found.record() for found in sizes]}, indent=1))
    print(f"\nall figures are in {path}")


if __name__ == "__main__":
    main()
