"""The scene of one example: its world, all that is known of it, and each pass as it is watched.

Nothing here asks rotator what it would do. What is known comes from the clouds (which tokens they issued, and when),
from the API server (each object before and after each write) and from what the machine itself did.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
import time_machine

from rotator import logs
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.config import parse
from rotator.providers import provider_for
from rotator.rotation import Minting, Rotation, passes
from rotator.sandbox.cloud import Cloud
from rotator.sandbox.faults import Fault
from rotator.sandbox.server import Request, Response
from rotator.sandbox.worker import Client, Image, Kubelet, Pull
from tests.apiclient import client_of
from tests.outside import ECR
from tests.scenarios.machine.mishaps import Mishap, Witness
from tests.scenarios.machine.reading import Object, Standing, is_broken, is_due, is_marked, text_of
from tests.scenarios.machine.seen import Issued, Pass, Process, Sight, Write
from tests.scenarios.machine.setting import (
    AUDIENCES,
    COVERED,
    FAILING,
    HOSTS,
    LONGEST_PAUSE,
    REGISTRIES,
    REGISTRIES_OF,
    START,
    Key,
    config_text,
    hosts_of,
)
from tests.scenarios.world import Clock, World, world


class Scene:
    """One example's world. Its clock stands still but for `advance`, so nothing depends on how fast a machine is."""

    def __init__(self) -> None:
        self._open = ExitStack()
        environment = self._open.enter_context(pytest.MonkeyPatch.context())
        directory = Path(self._open.enter_context(TemporaryDirectory(prefix="rotator-scene-")))
        # A busy machine is no slow cloud: what is late is for other tests.
        environment.setattr(passes, "PATIENCE", timedelta(minutes=2))
        self.world: World = self._open.enter_context(world(directory, environment))
        self.world.clock = Clock(self._open.enter_context(time_machine.travel(START, tick=False)))
        self.store = self.world.api.store
        self.client = self._open.enter_context(client_of(self.world.api, "somebody"))
        self.elapsed = timedelta()
        self.modes: dict[str, str] = {}  # by host: "refusing" or "silent"
        self.issued: dict[str, Issued] = {}  # by value
        self.wrote: dict[str, dict[str, Standing]] = {}  # by UID and host, what rotator wrote last
        self.texts: dict[Key, str] = {}  # the first one that it wrote
        self._log = self._open.enter_context(_logging())
        self._kubelet = Kubelet(self._http())
        self._listed = False
        self._started = 0
        self.adopt = False
        self.process = self._start()

    def close(self) -> None:
        """Give everything back."""
        self._open.close()

    # The processes

    def configure(self, *, adopt: bool, listed: bool) -> None:
        """Begin with these settings."""
        self._listed = listed
        self.restart(adopt=adopt)

    def restart(self, *, adopt: bool) -> None:
        """End the process, and begin another without any memory."""
        self.process.cluster.close()
        self.adopt = adopt
        self.process = self._start()

    def _start(self) -> Process:
        # One namespace after the other: side by side they would meet a mishap in another order at each replay.
        text = f"{config_text(adopt=self.adopt, listed=self._listed)}fanOut: {{concurrency: 1}}\n"
        config = parse(text, "config.yaml")
        cluster = Cluster.connect(self.world.api.kubeconfig(self.world.directory / "kubeconfig"))
        self._open.callback(cluster.close)
        self._started += 1
        return Process(self._started, Rotation(config, cluster, Minting(config, provider_for, utc_now)), cluster)

    # Time, clouds and registries

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> None:
        """Let time pass; a negative time sets the clock back, and no time passes."""
        self.world.clock.advance(seconds=by.total_seconds())
        self.elapsed += max(by, timedelta())

    def cloud(self, registry: str) -> Cloud:
        """The cloud of a registry."""
        net = self.world.net
        clouds: dict[str, Cloud] = {"prod": net.aws, "images": net.google, "contoso": net.azure}
        return clouds[registry]

    def gives(self, registry: str) -> bool:
        """Whether its cloud gives tokens."""
        return self.cloud(registry).fault not in FAILING

    def set_host(self, host: str, mode: str | None) -> None:
        """Let a registry refuse whatever it is shown, or answer 503 to everybody, or be well again."""
        hosts = self.world.net.hosts
        hosts.pop(host, None)
        self.modes.pop(host, None)
        good = self.world.net.registries.handler_for(host)
        assert good is not None

        def answer(request: Request) -> Response:
            exchange = request.method == "POST"  # the cloud's own, on the same host
            challenge = mode == "refusing" and "Authorization" not in request.headers
            return good(request) if exchange or challenge else Response(401 if mode == "refusing" else 503)

        if mode is not None:
            hosts[host] = answer
            self.modes[host] = mode

    def recover(self) -> None:
        """End every fault."""
        for registry in REGISTRIES:
            self.cloud(registry).fault = None
        for host in HOSTS:
            self.set_host(host, None)

    # Objects

    def add_namespace(self, name: str, accounts: Iterable[str] = ("workers", "apps")) -> None:
        """A namespace, and a Pod that runs in it."""
        self.store.create_namespace(name)
        for account in accounts:
            self.store.create_service_account(name, account, ["docker-hub"] if account == "apps" else [])
        self.store.create_pod(name, "runs", f"{ECR}/app")

    def copy_secret(self, key: Key, to: str) -> None:
        """What somebody does who thinks that a pull secret is made that way: our marks come with it."""
        secret = self.store.get("secrets", *key) or {}
        meta = {name: secret["metadata"].get(name) or {} for name in ("labels", "annotations")}
        copy = {"metadata": {"name": key[1], **meta}, "type": secret["type"], "data": secret["data"]}
        created = self.store.create("secrets", to, copy)
        self.wrote[created["metadata"]["uid"]] = self.wrote.get(secret["metadata"]["uid"], {}).copy()

    def pull(self, namespace: str, account: str, host: str) -> Pull:
        """Create a Pod and pull its image, as kubelet and registry would."""
        image = Image(host, "app")
        pod = self._kubelet.create(namespace, "new", account, image)
        assert pod is not None
        pull = self._kubelet.pull(pod, image)
        self._kubelet.delete(namespace, "new")
        return pull

    def _http(self) -> Client:
        ca = str(self.world.net.ca_file)
        http = Client(self.world.api.url, self.world.api.add_user("kubelet"), ca, self.world.net.proxy.url, ca)
        self._open.callback(http.close)
        return http

    # What a Secret is, and what it could need

    def is_untouchable(self, secret: Object) -> bool:
        """Whether only a person can put it right."""
        foreign = not is_marked(secret) and not self.adopt
        other_type = secret["type"] != "kubernetes.io/dockerconfigjson"
        return foreign or other_type or bool(secret.get("immutable")) or is_broken(secret)

    def stands(self, secret: Object, host: str) -> Standing | None:
        """The entry of this host, if it is just what rotator wrote last."""
        standing = Standing.of(secret, host)
        wrote = self.wrote.get(secret["metadata"]["uid"], {}).get(host)
        return standing if standing is not None and standing == wrote else None

    def needs(self, sight: Sight, key: Key) -> set[str]:
        """The hosts whose entries could need a write."""
        secret = sight.secrets.get(key)
        hosts = hosts_of(key[1])
        if secret is None:
            return set(hosts)
        if self.is_untouchable(secret):
            return set()
        standing = {host: self.stands(secret, host) for host in hosts}
        return {host for host, entry in standing.items() if entry is None or is_due(*entry.times, self.now)}

    # The pass

    def run(self, *, writing: bool = True, only: str | None = None, mishap: Mishap | None = None) -> Pass:
        """One pass, watched."""
        process, before = self.process, Sight.of(self.store)
        places = [(place, name) for place in COVERED for name in REGISTRIES_OF if only in {None, place}]
        needed = {key: self.needs(before, key) for key in places if before.serves(key[0])}
        tried = {registry for registry in REGISTRIES if self._tries(registry)}
        trouble = process.failed_at.keys() | process.cached
        sound = {registry: times for registry, times in process.held.items() if registry not in trouble}
        witness = Witness(self.store, process.rotation, mishap)
        self.world.forget()
        self._log.seek(0)
        self._log.truncate()
        self.world.api.before_request(witness)
        report = process.rotation.run(write=writing, only=only)
        self.world.api.before_request(None)
        witness.settle()
        seen = Pass(
            process=process,
            writing=writing,
            only=only,
            now=self.now,
            before=before,
            after=Sight.of(self.store),
            writes=tuple(witness.writes),
            requests=self.world.api.journal.records,
            report=report,
            logged=self._log.getvalue(),
            asked={registry: self.cloud(registry).calls.total() for registry in REGISTRIES},
            minted={registry: self._learn(registry) for registry in REGISTRIES},
            needed=needed,
            tried=tried,
            sound=sound,
            disturbed=frozenset(witness.disturbed),
            broken_off=mishap is not None and mishap.what == "the process is stopped" and witness.happened > 0,
            unreferenced=tuple(witness.unreferenced),
        )
        for write in seen.written("secrets"):
            self._remember(write)
        return seen

    def _tries(self, registry: str) -> bool:
        """Whether our process asks for what it needs now: it did not fail lately."""
        failed_at = self.process.failed_at.get(registry)
        return failed_at is None or self.elapsed - failed_at >= LONGEST_PAUSE

    def _learn(self, registry: str) -> int:
        """Enter the token that this registry's cloud issued, and who failed; how many tokens it issued."""
        cloud = self.cloud(registry)
        found = {value: cloud.token(value) for value in cloud.all_secrets() - self.issued.keys()}
        # An access token of Azure's for a registry has a scope; the refresh token, which is the password, has none.
        issued = {
            value: Issued(registry, token.expires_at)
            for value, token in found.items()
            if token and token.audience == AUDIENCES[registry] and not (registry == "contoso" and token.subject)
        }
        self.issued |= issued
        given = next(iter(issued.values()), None)
        if cloud.fault is Fault.NEARLY_SPENT:  # it gives the same token as long as that lives
            ours = [one for one in self.issued.values() if one.registry == registry and one.expires_at > self.now]
            given = ours[-1] if ours else None
        if cloud.calls:
            self._note_outcome(registry, given)
        return len(issued)

    def _note_outcome(self, registry: str, given: Issued | None) -> None:
        process, hosts = self.process, [host for host, name in HOSTS.items() if name == registry]
        process.failed_at.pop(registry, None)
        if given is None or any(host in self.modes for host in hosts):
            process.failed_at[registry] = self.elapsed
        if given is None:
            return
        given.given_at.append(self.now)
        for host in hosts:
            given.verdicts.setdefault((process.number, host), set()).add(self.modes.get(host, "accepted"))
        process.held[registry] = self.now, given.expires_at
        process.cached.discard(registry)
        if self.cloud(registry).fault is Fault.NEARLY_SPENT:
            process.cached.add(registry)

    def _remember(self, write: Write) -> None:
        assert write.after is not None
        self.texts.setdefault(write.key, text_of(write.after))
        known = self.wrote.setdefault(write.after["metadata"]["uid"], {})
        for host in hosts_of(write.key[1]):
            then, now = Standing.of(write.before, host), Standing.of(write.after, host)
            if now is not None and now != then and now.note is not None:
                known[host] = now


@contextmanager
def _logging() -> Iterator[io.StringIO]:
    """What rotator logs at its most talkative, before anything is masked: no value may get even that far."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    silenced = [logging.getLogger(name) for name in ("azure", "boto3", "botocore", "google", "kubernetes", "msal")]
    silenced += [logging.getLogger(name) for name in ("requests", "urllib3")]
    levels = [logger.level for logger in silenced]
    written = io.StringIO()
    logs.configure("debug", "json", written)
    structlog.configure(processors=[step for step in structlog.get_config()["processors"] if step is not logs.mask])
    try:
        yield written
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, before in zip(silenced, levels, strict=True):
            logger.setLevel(before)
