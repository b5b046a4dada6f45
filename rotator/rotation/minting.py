"""The credentials in memory and how they come there: minted side by side, probed, backed off after a failure.

One mint per registry is under way at a time, whoever asks; each runs in a daemon thread under its own deadline, so a
hung cloud holds up no other registry and not the end of the process either.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from rotator import renewal
from rotator.annotations import stamp
from rotator.clock import Clock
from rotator.config import Config, Registry
from rotator.errors import MintError, ProbeRefused, ProbeUnanswered, RotatorError
from rotator.logs import where
from rotator.model import Credential
from rotator.probe import Finding, Verdict, probe, publish_unknown
from rotator.providers import Provider

log = structlog.get_logger("rotator.minting")


@dataclass(frozen=True, slots=True)
class Failure:
    """The failures of a registry in a row: how many, the last one, and when the next try is."""

    error: RotatorError
    count: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Minted:
    """A credential in memory and the hosts whose registry took it (or could not be asked, as the policy allows)."""

    credential: Credential
    publishable: frozenset[str]


class Minting:
    """Mints and probes on demand, and remembers what came of it."""

    def __init__(self, config: Config, provider_for: Callable[[Registry], Provider], clock: Clock) -> None:
        self._config = config
        self._provider_for = provider_for
        self._providers: dict[str, Provider] = {}
        self._clock = clock
        self._minted: dict[str, Minted] = {}
        self._failures: dict[str, Failure] = {}
        self._under_way: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    @property
    def held(self) -> dict[str, Credential]:
        """The credentials in memory by registry."""
        return {name: minted.credential for name, minted in self._minted.copy().items()}

    @property
    def supply(self) -> dict[str, Credential]:
        """The credentials that may be published, by host."""
        return {host: m.credential for m in self._minted.copy().values() for host in m.publishable}

    def failure(self, registry: str) -> Failure | None:
        """Why the last try failed; None after a success."""
        return self._failures.get(registry)

    def wanted(self, mints: Iterable[str], needed: Iterable[str], now: datetime) -> list[str]:
        """The registries to ask now: those of the plan, and needed ones that failed before, less those backing off."""
        asked = dict.fromkeys([*mints, *(name for name in needed if name in self._failures)])
        return [name for name in asked if not (failure := self._failures.get(name)) or failure.retry_at <= now]

    def start(self, registry: str, reason: str, published: Mapping[str, datetime | None]) -> Future[None]:
        """Mint and probe in the background; a mint that is under way already is joined.

        `published`: by host, when the credential that Pods use now expires; None where some Secret has none.
        """
        with self._lock:
            if future := self._under_way.get(registry):
                return future
            future = self._under_way[registry] = Future()
        thread = threading.Thread(
            target=self._renew, args=(registry, reason, published, future), name=f"mint-{registry}", daemon=True
        )
        thread.start()
        return future

    def _renew(self, name: str, reason: str, published: Mapping[str, datetime | None], future: "Future[None]") -> None:
        registry = self._config.registry(name)
        try:
            self._mint(registry, reason, published)
        except RotatorError as error:
            self._fail(registry, error, published)
        except Exception as error:  # noqa: BLE001  (a defect in one provider must not stop the others)
            defect = MintError(f"registry {name!r}: {type(error).__name__} {where(error)}", hint="please report this")
            self._fail(registry, defect, published)
        finally:
            with self._lock:
                del self._under_way[name]
            future.set_result(None)

    def _mint(self, registry: Registry, reason: str, published: Mapping[str, datetime | None]) -> None:
        credential = self._provider(registry).mint()
        log.info(
            "credential.minted",
            registry=registry.name,
            reason=reason,
            expires_at=stamp(credential.expires_at),
            life_s=int(credential.life.total_seconds()),
        )
        findings = self._probe(registry, credential)
        publishable = frozenset(finding.host for finding in findings if self._may_publish(registry, finding, published))
        if publishable:
            self._minted[registry.name] = Minted(credential, publishable)
        withheld = [finding for finding in findings if finding.host not in publishable]
        if withheld:
            raise _withheld(registry, withheld)
        self._failures.pop(registry.name, None)

    def _provider(self, registry: Registry) -> Provider:
        """The registry's provider, built when first needed: a kind that nobody asks for costs no import."""
        if registry.name not in self._providers:
            self._providers[registry.name] = self._provider_for(registry)
        return self._providers[registry.name]

    def _probe(self, registry: Registry, credential: Credential) -> list[Finding]:
        if not registry.probe.enabled:
            return [Finding(host, Verdict.OPEN, "the probe is switched off", None) for host in registry.hosts]
        findings: dict[str, Finding] = {}
        # A regional host of ACR may name its login server as the realm, and the other way round.
        trusted = (*registry.hosts, *registry.allow_hosts)

        def ask(host: str) -> None:
            findings[host] = probe(credential, host, registry.probe, trusted, registry.deadline)

        threads = [threading.Thread(target=ask, args=(host,), daemon=True) for host in registry.hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        silent = [host for host in registry.hosts if host not in findings]
        findings |= {host: Finding(host, Verdict.UNKNOWN, f"{host}: the probe broke off", None) for host in silent}
        return [findings[host] for host in registry.hosts]

    def _may_publish(self, registry: Registry, finding: Finding, published: Mapping[str, datetime | None]) -> bool:
        fields = {"registry": registry.name, "host": finding.host, "verdict": str(finding.verdict)}
        log.info("credential.probed", **fields, message=finding.message)
        if finding.verdict is not Verdict.UNKNOWN:
            return finding.verdict is not Verdict.REFUSED
        next_attempt_at = self._clock() + self._pause(registry.name, published, None)
        old = published.get(finding.host)
        return publish_unknown(registry.probe.on_unknown, old_expires_at=old, next_attempt_at=next_attempt_at)

    def _fail(self, registry: Registry, error: RotatorError, published: Mapping[str, datetime | None]) -> None:
        retry_after = error.retry_after if isinstance(error, MintError) else None
        pause = self._pause(registry.name, published, retry_after)
        count = self._count(registry.name) + 1
        self._failures[registry.name] = Failure(error, count, self._clock() + pause)
        log.error(
            "mint.failed",
            registry=registry.name,
            reason=error.reason,
            message=error.message,
            hint=error.hint,
            retryable=error.retryable,
            failures=count,
            next_attempt_in_s=round(pause.total_seconds(), 1),
        )

    def _pause(self, name: str, published: Mapping[str, datetime | None], retry_after: timedelta | None) -> timedelta:
        ends = list(published.values())
        left = timedelta(0) if None in ends or not ends else min(filter(None, ends)) - self._clock()
        return renewal.backoff(self._count(name) + 1, left, retry_after)

    def _count(self, name: str) -> int:
        failure = self._failures.get(name)
        return failure.count if failure else 0


def _withheld(registry: Registry, findings: list[Finding]) -> ProbeRefused | ProbeUnanswered:
    refused = next((finding for finding in findings if finding.verdict is Verdict.REFUSED), None)
    worst = refused or findings[0]
    more = f" (and {len(findings) - 1} more hosts)" if len(findings) > 1 else ""
    message = f"registry {registry.name!r}: the new credential is not published: {worst.message}{more}"
    return ProbeRefused(message, status=worst.status) if refused else ProbeUnanswered(message)
