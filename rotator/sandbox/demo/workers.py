"""The workers: Pods created all the time in every namespace and pulled as a kubelet would, and a tally of the pulls."""

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import requests

from rotator.sandbox.demo.stage import ACCOUNT, IMAGES, Stage
from rotator.sandbox.worker import Image, Kubelet, Pull

KUBELETS = 3
PAUSE = 0.05
"""Seconds between two Pods of one kubelet."""

SHOWN = 24
"""Pulls of a namespace that the screen remembers."""


class Verdict(StrEnum):
    """How a pull went: `excused` is a failure that the misfortune of the moment explains."""

    PULLED = "pulled"
    EXCUSED = "excused"
    FAILED = "failed"


@dataclass
class Tally:
    """Every pull so far. Thread-safe."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    by_host: dict[str, Counter[Verdict]] = field(default_factory=dict)
    recent: dict[str, deque[Verdict]] = field(default_factory=dict)
    failures: list[Pull] = field(default_factory=list)
    _excuses: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def excuse(self, namespace: str, reason: str, seconds: float) -> None:
        """Until it heals, and no longer than so many seconds, a failure in this namespace has a reason."""
        with self._lock:
            self._excuses[namespace] = (reason, time.monotonic() + seconds)

    def healed(self, namespace: str) -> None:
        """From now on a failure in this namespace is a failure."""
        with self._lock:
            self._excuses.pop(namespace, None)

    def excused(self, namespace: str) -> str | None:
        """The reason why a Pod that is created now may fail to pull."""
        reason, until = self._excuses.get(namespace, ("", 0.0))
        return reason if time.monotonic() < until else None

    def count(self, pull: Pull, excuse: str | None) -> Verdict:
        """Enter one pull; `excuse` is that of the moment when its Pod was created."""
        verdict = Verdict.PULLED if pull.ok else Verdict.EXCUSED if excuse else Verdict.FAILED
        with self._lock:
            self.counts[verdict] += 1
            self.by_host.setdefault(pull.image.host, Counter())[verdict] += 1
            self.recent.setdefault(pull.namespace, deque(maxlen=SHOWN)).append(verdict)
            if verdict is Verdict.FAILED:
                self.failures.append(pull)
        return verdict


class Workers:
    """Some kubelets, each with a Pod at a time; `images` names what the Pods of a namespace run."""

    def __init__(
        self,
        stage: Stage,
        tally: Tally,
        failed: Callable[[Pull], None],
        images: Callable[[str], Sequence[Image]] = lambda _namespace: IMAGES,
    ) -> None:
        self._stage = stage
        self._tally = tally
        self._failed = failed
        self._images = images
        self._namespaces: list[str] = []
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, namespaces: list[str]) -> None:
        """Begin to create Pods in these namespaces."""
        self._namespaces = list(namespaces)
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(KUBELETS)]
        for thread in self._threads:
            thread.start()

    def add(self, namespace: str) -> None:
        """Create Pods in this namespace too."""
        self._namespaces.append(namespace)

    def stop(self) -> None:
        """Let each kubelet finish its Pod."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        client = self._stage.client()
        kubelet = Kubelet(client)
        for serial, (namespace, image) in enumerate(self._turns(number)):
            if self._stopped.wait(PAUSE):
                break
            self._one_pod(kubelet, namespace, f"worker-{number}-{serial}", image)
        client.close()

    def _one_pod(self, kubelet: Kubelet, namespace: str, name: str, image: Image) -> None:
        excuse = self._tally.excused(namespace)
        try:
            pod = kubelet.create(namespace, name, ACCOUNT, image)
            if pod is None:
                return
            pull = kubelet.pull(pod, image)
            kubelet.delete(namespace, name)
        except requests.RequestException as error:
            pull = Pull(namespace, name, image, ok=False, message=f"no answer ({type(error).__name__})")
        # The misfortune may also have come between the Pod's creation and its pull.
        if self._tally.count(pull, excuse or self._tally.excused(namespace)) is Verdict.FAILED:
            self._failed(pull)

    def _turns(self, number: int) -> Iterator[tuple[str, Image]]:
        """Every namespace with every one of its images, each kubelet from another start."""
        for turn in itertools.count(number * len(IMAGES)):
            names = self._namespaces
            around, place = divmod(turn, len(names))
            images = self._images(names[place])
            yield names[place], images[(around + place) % len(images)]
