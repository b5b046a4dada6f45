"""How long a diagnosis of a large cluster takes: python -m bench.doctor

10,000 Pods in 1,000 namespaces on a real API server, with a Deployment in each; one Pod in a hundred cannot pull. The
whole command runs, start-up, mints and probes included, beside a bare client that only reads the Pods. It takes about
three minutes.
"""

# ruff: noqa: T201, TID251  (benchmarks are modules of no package, print, and measure time)

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench.installed import WRITERS, add_namespace, installed
from bench.tables import show
from tests.doctor.ward import Ward
from tests.installation import Installation

PODS = int(os.environ.get("DOCTOR_PODS", "10000"))
EACH = 10
"""Pods in each namespace."""

ILL = 100
"""One Pod of so many cannot pull."""

RUNS = 3
GOAL = 10
PAGE = 2500


def fill(installation: Installation, number: int) -> None:
    """One namespace with a Deployment and its share of the Pods."""
    ward = Ward(installation, installation.full(f"team-{number}"))
    add_namespace(installation.controlplane.admin, ward.namespace, ["workers"])
    ward.add_deployment("worker")
    for pod in range(EACH):
        name = f"worker-{pod}"
        ward.add_pod(name)
        if (number * EACH + pod) % ILL == 0:
            waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
            status = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
            ward.patch(
                f"pods/{name}/status", {"status": {"containerStatuses": [{**status, "state": {"waiting": waiting}}]}}
            )


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def diagnose(installation: Installation) -> int:
    """Run the command; how many Pods it says cannot pull."""
    findings = json.loads(installation.run("doctor", "-o", "json").stdout)["findings"]
    (pulled,) = (finding for finding in findings if finding["check"] == "images-pulled")
    return sum(len(symptom["objects"]) for symptom in pulled["symptoms"])


def read_pods(installation: Installation) -> None:
    """Every Pod, page by page, with a bare client."""
    token, query = "-", dict[str, str]()
    while token:
        body = installation.controlplane.admin.get("/api/v1/pods", limit=PAGE, **query).body
        token = body["metadata"].get("continue", "")
        query = {"continue": token}


def main() -> None:
    """Measure and print."""
    with installed() as installation:
        with ThreadPoolExecutor(WRITERS) as pool:
            made = seconds(lambda: list(pool.map(lambda number: fill(installation, number), range(PODS // EACH))))
        print(f"{PODS} Pods made in {made:.0f} s", flush=True)
        found = diagnose(installation)
        ours = median(seconds(lambda: diagnose(installation)) for _ in range(RUNS))
        bare = median(seconds(lambda: read_pods(installation)) for _ in range(RUNS))
    title = f"A diagnosis of {PODS} Pods in {PODS // EACH} namespaces"
    rows = [
        ["rotator doctor", f"{ours:.1f} s", f"{ours / bare:.1f}", f"< {GOAL} s"],
        ["a bare client that reads the Pods", f"{bare:.1f} s", "1.0", ""],
    ]
    show(title, ("what", "seen", "/ bare", "goal"), rows)
    print(f"\n{found} of {PODS // ILL} Pods that cannot pull were named")


if __name__ == "__main__":
    main()
