"""Gets, lists and watches."""

from collections.abc import Iterator

from rotator.sandbox.apiserver import answers, options
from rotator.sandbox.apiserver.answers import Form
from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.etcd import Compacted, Etcd
from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.apiserver.options import EXACT, Options
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.status import expired, not_acceptable, not_found, version_too_large
from rotator.sandbox.apiserver.watch import Scope, Terms, stream
from rotator.sandbox.server import Request, Response

WATCH_SECONDS = 1800.0  # without timeoutSeconds: kube-apiserver --min-request-timeout


class Reading:
    """Answers reads. `bookmark_every`, in seconds, is for watches that begin from now on."""

    def __init__(self, etcd: Etcd) -> None:
        self.bookmark_every = 60.0
        self.generation = 0  # watches that began in an earlier one end
        self._etcd = etcd

    def get(self, request: Request, place: Place) -> Object:
        """The object. Raises a StatusError."""
        self._check_reached(options.version(request))
        obj = self._etcd.get(place.resource.name, place.key)
        if obj is None:
            raise not_found(place.resource, place.name)
        return obj

    def list(self, request: Request, call: Call) -> Response:
        """A list or a page of it. Raises a StatusError."""
        wanted, asked = answers.form(request), options.of_list(request)
        # The watch cache answers for version 0, and gives everything (cacher.go, GetList).
        limit = 0 if asked.version == "0" else asked.limit
        with self._etcd.lock:
            version, start = self._beginning(asked)
            try:
                found = _found(self._etcd, call, start, limit + 1 if limit else None, version)
            except Compacted:
                if asked.token:
                    raise answers.continue_expired(start) from None
                msg = "The resourceVersion for the provided list is too old."
                raise expired(msg) from None
            meta: Object = {"resourceVersion": str(version)}
            if limit and len(found) > limit:
                key = found[limit][0]
                meta["continue"] = answers.continue_token(version, key)
                if not call.selection.tests:
                    resource, prefix = call.place.resource.name, _prefix(call.place)
                    meta["remainingItemCount"] = self._etcd.count(resource, prefix, key, version)
        items = [obj for _, obj in (found[:limit] if limit else found)]
        return answers.of_object(200, answers.shaped_list(call.place.resource, items, meta, wanted))

    def watch(self, request: Request, call: Call) -> Response:
        """The stream of events. Raises a StatusError."""
        wanted, asked = answers.form(request), options.of_watch(request)
        if wanted is Form.PARTIAL_LIST:
            msg = "you requested PartialObjectMetadataList, but the requested object is not a list"
            raise not_acceptable(msg)
        generation = self.generation
        terms = Terms(
            seconds=asked.seconds or WATCH_SECONDS,
            bookmark_every=self.bookmark_every if asked.bookmarks else None,
            wanted=lambda: self.generation == generation and not request.gone(),
            initial=asked.initial,
        )
        scope = Scope(call.place.resource, call.place.namespace, call.selection)
        notices = stream(self._etcd, scope, int(asked.version or 0), terms)
        return Response(200, headers=dict(answers.JSON), chunks=_lines(notices, wanted))

    def _beginning(self, asked: Options) -> tuple[int, str]:
        """The version that is listed, and the first key."""
        if asked.token:
            at, start = answers.continued(asked.token)
            return (self._etcd.version if at == answers.NO_VERSION else at), start
        version = int(asked.version or 0)
        self._check_reached(version)
        return (version if asked.match == EXACT else self._etcd.version), ""

    def _check_reached(self, version: int) -> None:
        """A real server waits for three seconds first."""
        if version > self._etcd.version:
            raise version_too_large(version, self._etcd.version)


def _found(etcd: Etcd, call: Call, start: str, limit: int | None, version: int) -> list[tuple[str, Object]]:
    """The page's keys and objects; of one name by its index, so that no list by name scans."""
    resource, prefix = call.place.resource.name, _prefix(call.place)
    if call.selection.name and version == etcd.version:
        keys = [key for key in etcd.named(resource, call.selection.name) if key.startswith(prefix)]
        pairs = [(key, etcd.get(resource, key)) for key in keys if key >= start]
        return [(key, obj) for key, obj in pairs if obj is not None and call.selection.matches(obj)][:limit]
    at = None if version == etcd.version else version
    return etcd.scan(resource, call.selection.matches, prefix=prefix, start=start, limit=limit, at=at)


def _prefix(place: Place) -> str:
    return f"{place.namespace}/" if place.namespace else ""


def _lines(notices: Iterator[tuple[str, Object]], wanted: Form) -> Iterator[bytes]:
    for kind, obj in notices:
        shown = obj if kind == "ERROR" else answers.shaped(obj, wanted)
        yield answers.encode({"type": kind, "object": shown}) + b"\n"
