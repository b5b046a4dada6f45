"""The credentials in memory and how they come there: minted side by side, probed, backed off after a failure.

One mint per registry is under way at a time, whoever asks; each runs in a daemon thread under its own deadline, so a
hung cloud holds up no other registry and not the end of the process either.
"""

import gc
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog

from rotator import renewal
from rotator.annotations import stamp
from rotator.clock import Clock
from rotator.config import Config, Registry
from rotator.desired import Offers
from rotator.errors import MintError, ProbeRefused, ProbeUnanswered, RotatorError
from rotator.logs import where
from rotator.model import Credential, Offer
from rotator.probe import ALWAYS, Finding, Verdict, probe, replaces
from rotator.providers import Provider
from rotator.rotation.observing import OK, SILENT, Observer

log = structlog.get_logger("rotator.minting")

PublishedUntil = Mapping[str, datetime | None]
"""By host, when the first credential that Pods use now expires; None where some Secret has none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failures of a registry in a row: how many, the last one and its time, and when the next try is."""

    error: RotatorError
    count: int
    failed_at: datetime
    retry_at: datetime

    def waits(self, now: datetime) -> bool:
        """Whether it is too soon for another try; not when the clock was set back since, for then nobody can tell."""
        return self.failed_at <= now < self.retry_at


class Minting:
    """Mints and probes on demand, and remembers what came of it."""

    def __init__(
        self,
        config: Config,
        provider_for: Callable[[Registry], Provider],
        clock: Clock,
        observer: Observer = SILENT,
    ) -> None:
        self._config = config
        self._provider_for = provider_for
        self._providers: dict[str, Provider] = {}
        self._clock = clock
        self._observer = observer
        self._held: dict[str, Credential] = {}
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._failures: dict[str, Failure] = {}
        self._under_way: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def serve(self, config: Config) -> None:
        """Serve another configuration from now on: a registry that stays as it was keeps all that it has."""
        with self._lock:
            alike = [registry for registry in config.registries if registry in self._config.registries]
            names, hosts = {registry.name for registry in alike}, {host for each in alike for host in each.hosts}
            self._config = config
            self._offers = {host: offers for host, offers in self._offers.items() if host in hosts}
            self._held = {name: held for name, held in self._held.items() if name in names}
            self._failures = {name: failure for name, failure in self._failures.items() if name in names}
            self._providers = {name: provider for name, provider in self._providers.items() if name in names}
            self._under_way = {name: future for name, future in self._under_way.items() if name in names}

    @property
    def held(self) -> dict[str, Credential]:
        """The latest credential of each registry that may be published anywhere."""
        return self._held.copy()

    @property
    def offers(self) -> Offers:
        """By host, what may be published: what the registry accepted first, then what it said nothing of."""
        return self._offers.copy()

    def failure(self, registry: str) -> Failure | None:
        """Why the last try failed; None after a success."""
        return self._failures.get(registry)

    def wanted(self, mints: Iterable[str], needed: Iterable[str], now: datetime) -> list[str]:
        """The registries to ask now: those of the plan, and needed ones that failed before, less those backing off."""
        asked = dict.fromkeys([*mints, *(name for name in needed if name in self._failures)])
        return [name for name in asked if not (failure := self._failures.get(name)) or not failure.waits(now)]

    def start(self, registry: str, reason: str, published: PublishedUntil, seen: Credential | None) -> Future[None]:
        """Mint and probe in the background; a mint that is under way already is joined.

        `seen` is the credential that was held when this was decided: if another pass has minted since, that is enough.
        """
        with self._lock:
            if future := self._under_way.get(registry):
                return future
            future = Future()
            if self.held.get(registry) is not seen:
                future.set_result(None)
                return future
            self._under_way[registry] = future
            asked = self._config.registry(registry)
        thread = threading.Thread(
            target=self._renew, args=(asked, reason, published, future), name=f"mint-{registry}", daemon=True
        )
        thread.start()
        return future

    def _renew(self, registry: Registry, reason: str, published: PublishedUntil, future: "Future[None]") -> None:
        try:
            self._mint(registry, reason, published)
        except RotatorError as error:
            self._fail(registry, error, published)
        except Exception as error:  # noqa: BLE001  (a defect in one provider must not stop the others)
            defect = MintError(
                f"registry {registry.name!r}: {type(error).__name__} {where(error)}", hint="please report this"
            )
            self._fail(registry, defect, published)
        finally:
            with self._lock:
                if self._under_way.get(registry.name) is future:
                    del self._under_way[registry.name]
                is_last = not self._under_way
            if is_last:
                # The SDKs leave sessions and clients that refer to themselves. Until they are collected the next ones
                # stand beside them: 8 MiB that would stay (measured, one registry of each cloud).
                gc.collect()
            future.set_result(None)

    def _mint(self, registry: Registry, reason: str, published: PublishedUntil) -> None:
        credential = self._asked(registry)
        log.info(
            "credential.minted",
            registry=registry.name,
            reason=reason,
            expires_at=stamp(credential.expires_at),
            life_s=int(credential.life.total_seconds()),
        )
        findings = self._probe(registry, credential)
        with self._lock:
            if registry not in self._config.registries:
                return  # the configuration has changed meanwhile, and whoever this was for is no longer in it
            unproven = self._offer(registry, credential, findings, published)
            if not unproven:
                self._failures.pop(registry.name, None)
        if unproven:
            raise _withheld(registry, unproven)

    def _asked(self, registry: Registry) -> Credential:
        """What the cloud gives; how that went is told, whatever it was."""
        began, result = monotonic(), MintError.__name__
        try:
            credential = self._provider(registry).mint()
            result = OK
        except RotatorError as error:
            result = error.reason
            raise
        finally:
            self._observer.minted(registry.name, result, monotonic() - began)
        return credential

    def _provider(self, registry: Registry) -> Provider:
        """The registry's provider, built when first needed: a kind that nobody asks for costs no import.

        Building one may take a second, and the configuration change meanwhile: then nobody else is to have it.
        """
        provider = self._providers.get(registry.name) or self._provider_for(registry)
        with self._lock:
            if registry in self._config.registries:
                self._providers[registry.name] = provider
        return provider

    def _probe(self, registry: Registry, credential: Credential) -> list[Finding]:
        if not registry.probe.enabled:
            return [Finding(host, Verdict.OPEN, "the probe is switched off", None) for host in registry.hosts]
        findings: dict[str, Finding] = {}
        began = monotonic()
        # A regional host of ACR may name its login server as the realm, and the other way round.
        trusted = (*registry.hosts, *registry.allow_hosts)

        def ask(host: str) -> None:
            findings[host] = probe(credential, host, registry.probe, trusted, registry.deadline)
            self._observer.probed(registry.name, findings[host].verdict, monotonic() - began)

        threads = [threading.Thread(target=ask, args=(host,), daemon=True) for host in registry.hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        silent = [host for host in registry.hosts if host not in findings]
        for host in silent:
            findings[host] = Finding(host, Verdict.UNKNOWN, f"{host}: the probe broke off", None)
            self._observer.probed(registry.name, Verdict.UNKNOWN, monotonic() - began)
        return [findings[host] for host in registry.hosts]

    def _offer(
        self, registry: Registry, credential: Credential, findings: list[Finding], published: PublishedUntil
    ) -> list[Finding]:
        """Offer the credential for each host as far as its registry's verdict allows; the verdicts that are no yes."""
        next_attempt_at = self._clock() + self._pause(registry.name, published)
        unproven = []
        for finding in findings:
            fields = {"registry": registry.name, "host": finding.host, "verdict": str(finding.verdict)}
            log.info("credential.probed", **fields, message=finding.message)
            until = replaces(finding.verdict, registry.probe.on_unknown, next_attempt_at)
            if until != ALWAYS:
                unproven.append(finding)
            if until is not None:
                self._held[registry.name] = credential
                self._offers[finding.host] = self._ranked(finding.host, Offer(credential, until))
        return unproven

    def _ranked(self, host: str, new: Offer) -> tuple[Offer, ...]:
        """A proven credential stands alone; an unproven one comes after an older proven one, while that lives."""
        if new.replaces == ALWAYS:
            return (new,)
        now = self._clock()
        old = [o for o in self._offers.get(host, ()) if o.replaces == ALWAYS and o.credential.expires_at > now]
        return (*old, new)

    def _fail(self, registry: Registry, error: RotatorError, published: PublishedUntil) -> None:
        retry_after = error.retry_after if isinstance(error, MintError) else None
        pause = self._pause(registry.name, published, retry_after, retryable=error.retryable)
        count = self._count(registry.name) + 1
        now = self._clock()
        with self._lock:
            if registry not in self._config.registries:
                return
            self._failures[registry.name] = Failure(error, count, now, now + pause)
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

    def _pause(
        self,
        name: str,
        published: PublishedUntil,
        retry_after: timedelta | None = None,
        *,
        retryable: bool = True,
    ) -> timedelta:
        ends = list(published.values())
        left = timedelta(0) if None in ends or not ends else min(filter(None, ends)) - self._clock()
        return renewal.backoff(self._count(name) + 1, left, retry_after, retryable=retryable)

    def _count(self, name: str) -> int:
        failure = self._failures.get(name)
        return failure.count if failure else 0


def _withheld(registry: Registry, findings: list[Finding]) -> ProbeRefused | ProbeUnanswered:
    refused = next((finding for finding in findings if finding.verdict is Verdict.REFUSED), None)
    worst = refused or findings[0]
    more = f" (and {len(findings) - 1} more hosts)" if len(findings) > 1 else ""
    if refused:
        message = f"registry {registry.name!r}: the new credential is refused and not published: {worst.message}{more}"
        return ProbeRefused(message, status=worst.status)
    return ProbeUnanswered(f"registry {registry.name!r}: the new credential is not proven: {worst.message}{more}")
