"""Who may do what, admission of Pods, faults, the journal, and starting and stopping."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from rotator.sandbox.apiserver import ApiServer, Call, Rule
from rotator.sandbox.authority import Authority
from tests.apiclient import EMPTY_AUTHS, MERGE_PATCH, Client, client_of, secret

ALL_SECRETS = "/api/v1/secrets"
SECRETS = "/api/v1/namespaces/a/secrets"
PATH = f"{SECRETS}/worker-pull"
BY_NAME = Rule(("get", "list", "watch", "create", "patch"), ("secrets",), resource_names=("worker-pull",))


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A running server with the namespace `a`."""
    with ApiServer() as server:
        server.store.create_namespace("a")
        yield server


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    """A client that may do everything."""
    with client_of(api) as admin:
        yield admin


@pytest.fixture
def rotator(api: ApiServer) -> Iterator[Client]:
    """A client with the smallest rules there are."""
    client = Client(api.url, api.add_user("rotator", [BY_NAME]))
    yield client
    client.close()


def test_unknown_token_is_unauthorized(api: ApiServer) -> None:
    """401 as a Status, also where everybody may read."""
    client = Client(api.url, "wrong")
    for path in (ALL_SECRETS, "/version", "/nonsense"):
        answer = client.get(path)
        assert (answer.status, answer.reason, answer.message) == (401, "Unauthorized", "Unauthorized")
    client.close()


def test_no_token_is_anonymous(api: ApiServer) -> None:
    """Without a token one may read what is public, and nothing else."""
    client = Client(api.url, None)
    answer = client.get(ALL_SECRETS)
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list' in answer.message
    assert client.get("/version").status == 200
    assert api.journal.records[0].user == "system:anonymous"
    client.close()


def test_requested_token_expires() -> None:
    """A ServiceAccount's token is good until the time that the TokenRequest told."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with ApiServer(clock=lambda: now) as api, client_of(api) as admin:
        body = {"spec": {"expirationSeconds": 600}}
        made = admin.post("/api/v1/namespaces/default/serviceaccounts/default/token", body).body["status"]
        account = Client(api.url, made["token"])
        assert made["expirationTimestamp"] == "2026-01-01T00:10:00Z"
        now += timedelta(seconds=599)
        assert account.get("/version").status == 200
        now += timedelta(seconds=1)
        assert account.get("/version").status == 401
        account.close()


def test_replaced_token_is_refused(api: ApiServer) -> None:
    """A user's old token is worth nothing once it is replaced."""
    old = Client(api.url, api.add_user("u"))
    new = Client(api.url, api.replace_token("u"))
    assert (old.get(ALL_SECRETS).status, new.get(ALL_SECRETS).status) == (401, 200)
    old.close()
    new.close()


def test_rules_by_name(api: ApiServer, rotator: Client) -> None:
    """The smallest RBAC: an apply creates the one name, a POST and every other name are 403 (facts, kubernetes)."""
    created = rotator.apply(PATH, secret())
    other = rotator.apply(f"{SECRETS}/other", secret("other"))
    posted = rotator.post(SECRETS, secret())
    assert created.status == 201
    assert (other.status, posted.status, rotator.get(f"{SECRETS}/other").status) == (403, 403, 403)
    assert (rotator.get(ALL_SECRETS).status, rotator.get(ALL_SECRETS, watch="true").status) == (403, 403)
    assert rotator.get(ALL_SECRETS, fieldSelector="metadata.name=worker-pull").status == 200
    assert rotator.get(ALL_SECRETS, fieldSelector="metadata.name!=worker-pull").status == 403
    with rotator.watching(ALL_SECRETS, fieldSelector="metadata.name=worker-pull") as events:
        assert next(events)["type"] == "ADDED"
    assert api.store.get("secrets", "a", "other") is None


def test_apply_that_creates_needs_create(api: ApiServer) -> None:
    """With patch alone an apply changes, but does not create; the refusal speaks of create and has the name."""
    client = Client(api.url, api.add_user("u", [Rule(("patch",), ("secrets",))]))
    answer = client.apply(PATH, secret())
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert answer.message == (
        'secrets "worker-pull" is forbidden: User "u" cannot create resource "secrets" in API group "" '
        'in the namespace "a"'
    )
    api.store.put_secret("a", "worker-pull", {".dockerconfigjson": '{"auths":{}}'})
    assert client.apply(PATH, secret()).status == 200
    client.close()


def test_refusals_are_worded_as_rbac_does(rotator: Client) -> None:
    """Name, user, verb, group and scope stand in the message."""
    lease = rotator.get("/apis/coordination.k8s.io/v1/namespaces/a/leases/x")
    namespaces = rotator.get("/api/v1/namespaces")
    namespace = rotator.get("/api/v1/namespaces/a")
    assert lease.message == (
        'leases.coordination.k8s.io "x" is forbidden: User "rotator" cannot get resource "leases" '
        'in API group "coordination.k8s.io" in the namespace "a"'
    )
    assert namespaces.message == (
        'namespaces is forbidden: User "rotator" cannot list resource "namespaces" in API group "" at the cluster scope'
    )
    assert namespace.message.endswith('in the namespace "a"')


def test_rules_of_one_namespace(api: ApiServer) -> None:
    """A rule bound in a namespace grants nothing elsewhere, nor in the whole cluster."""
    api.store.create_namespace("b")
    rule = Rule(("get", "list"), ("secrets", "namespaces"), namespaces=("a",))
    client = Client(api.url, api.add_user("u", [rule]))
    paths = [SECRETS, "/api/v1/namespaces/a", "/api/v1/namespaces/b/secrets", ALL_SECRETS, "/api/v1/namespaces/b"]
    assert [client.get(path).status for path in paths] == [200, 200, 403, 403, 403]
    client.close()


def test_pod_gets_its_service_accounts_pull_secrets(api: ApiServer) -> None:
    """Admission copies the list at creation, only into a Pod that names none, and never later."""
    api.store.create_service_account("a", "worker", pull_secrets=["worker-pull"])
    bare = api.store.create_pod("a", "bare", "r/x", service_account="worker")
    own = api.store.create_pod("a", "own", "r/x", service_account="worker", pull_secrets=["mine"])
    default = api.store.create_pod("a", "default", "r/x")
    assert bare["spec"]["imagePullSecrets"] == [{"name": "worker-pull"}]
    assert own["spec"]["imagePullSecrets"] == [{"name": "mine"}]
    assert default["spec"]["serviceAccountName"] == "default"
    assert "imagePullSecrets" not in default["spec"]
    api.store.change("serviceaccounts", "a", "default", lambda obj: obj.update(imagePullSecrets=[{"name": "late"}]))
    assert "imagePullSecrets" not in api.store.list("pods", "a")[1]["spec"]
    assert api.store.set_pod_phase("a", "bare", "Running")["status"] == {"phase": "Running"}


def test_pod_without_service_account_is_forbidden(client: Client) -> None:
    """A Pod of an absent ServiceAccount is 403 in the admission plugin's words."""
    spec = {"serviceAccountName": "nope", "containers": [{"name": "main", "image": "x"}]}
    answer = client.post("/api/v1/namespaces/a/pods", {"metadata": {"name": "p"}, "spec": spec})
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert answer.message == (
        'pods "p" is forbidden: error looking up service account a/nope: serviceaccount "nope" not found'
    )


def test_enforced_service_account_rejects_other_pull_secrets(api: ApiServer, client: Client) -> None:
    """With kubernetes.io/enforce-mountable-secrets a Pod may name only what its ServiceAccount references."""
    annotations = {"kubernetes.io/enforce-mountable-secrets": "true"}
    api.store.change("serviceaccounts", "a", "default", lambda obj: obj["metadata"].update(annotations=annotations))
    spec = {"containers": [{"name": "main", "image": "x"}], "imagePullSecrets": [{"name": "mine"}]}
    answer = client.post("/api/v1/namespaces/a/pods", {"metadata": {"name": "p"}, "spec": spec})
    assert answer.status == 403
    assert 'imagePullSecrets[0].name="mine" is not allowed' in answer.message


def test_every_namespace_has_a_default_service_account(client: Client) -> None:
    """It is there as soon as the namespace is; `default` and `kube-system` are there from the start, for good."""
    client.post("/api/v1/namespaces", {"metadata": {"name": "new"}})
    assert client.get("/api/v1/namespaces/new/serviceaccounts/default").status == 200
    assert client.get("/api/v1/namespaces/kube-system").body["status"] == {"phase": "Active"}
    answer = client.delete("/api/v1/namespaces/default")
    assert (answer.status, answer.message) == (
        403,
        'namespaces "default" is forbidden: this namespace may not be deleted',
    )


def test_throttled_requests_get_retry_after(api: ApiServer, client: Client) -> None:
    """The next N requests are 429 in plain text with Retry-After, the one after is served."""
    api.faults.throttle(2, retry_after=7)
    answers = [client.get(SECRETS) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert isinstance(answers[0].body, str)


def test_failing_requests(api: ApiServer, client: Client) -> None:
    """The next N requests are 500 InternalError."""
    api.faults.fail(1)
    answer = client.get(SECRETS)
    assert (answer.status, answer.reason) == (500, "InternalError")
    assert client.get(SECRETS).status == 200


def test_forbidden_namespace(api: ApiServer, client: Client) -> None:
    """One namespace refuses everything while the others serve."""
    api.faults.forbidden_namespaces.add("a")
    assert (client.get(SECRETS).status, client.get(ALL_SECRETS).status) == (403, 200)
    api.faults.forbidden_namespaces.clear()
    assert client.get(SECRETS).status == 200


def test_server_that_is_down_closes_connections(api: ApiServer, client: Client) -> None:
    """Down means no answer at all."""
    api.faults.down = True
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.get(SECRETS)
    api.faults.down = False
    assert client.get(SECRETS).status == 200


def test_slow_server_is_slow(api: ApiServer) -> None:
    """A delay outlasts a shorter timeout of the client, and does not keep the server from stopping."""
    api.faults.delay = 60.0
    pool = urllib3.PoolManager(retries=False)
    headers = {"Authorization": f"Bearer {api.add_user('u')}"}
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", f"{api.url}{SECRETS}", headers=headers, timeout=0.2)
    api.stop()
    pool.clear()


def test_hook_runs_between_read_and_write(api: ApiServer, client: Client) -> None:
    """A test can change what a client has just read: the client's write then conflicts."""
    api.store.put_secret("a", "worker-pull", {".dockerconfigjson": "{}"})
    body = client.get(PATH).body

    def interfere(call: Call) -> None:
        if call.verb == "update":
            api.before_request(None)
            api.store.put_secret("a", "worker-pull", {".dockerconfigjson": '{"a":1}'})

    api.before_request(interfere)
    assert client.put(PATH, body | {"data": {".dockerconfigjson": EMPTY_AUTHS}}).status == 409


def test_journal_counts_and_keeps_no_bodies(api: ApiServer, client: Client, rotator: Client) -> None:
    """Each request is one record with user, verb, object and status; neither data nor tokens are in it."""
    rotator.apply(PATH, secret())
    rotator.apply(PATH, secret())
    rotator.get(f"{SECRETS}/other")
    client.patch(PATH, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    client.get("/version")
    counts = api.journal.counts
    assert counts["patch", "secrets", 201] == 1
    assert counts["patch", "secrets", 200] == 2
    assert counts["get", "secrets", 403] == 1
    first = api.journal.records[0]
    assert (first.user, first.user_agent, first.namespace, first.name) == ("rotator", "tester/1.0", "a", "worker-pull")
    assert api.journal.records[-1].name == "/version"
    assert EMPTY_AUTHS not in repr(api.journal.records)
    api.journal.clear()
    assert api.journal.records == ()


def test_stop_and_start_keep_the_state(api: ApiServer, client: Client) -> None:
    """A stopped server refuses connections; started again it is the same one at the same address."""
    api.store.put_secret("a", "worker-pull", {".dockerconfigjson": "{}"})
    before, url = client.get(PATH).body, api.url
    api.stop()
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        client.get(PATH)
    api.start()
    assert (client.get(PATH).body, api.url) == (before, url)


def test_stop_ends_watches_and_threads() -> None:
    """After stop no thread is left, not even of an idle watch, and a watcher sees its stream end."""
    before = set(threading.enumerate())
    with ApiServer() as api, client_of(api) as client, client.watching(ALL_SECRETS) as events:
        api.stop()
        with suppress(urllib3.exceptions.HTTPError):  # it may be cut before its last chunk
            assert list(events) == []
    assert set(threading.enumerate()) <= before


def test_concurrent_applies_lose_nothing(api: ApiServer) -> None:
    """Many threads on many Secrets, and on one: every write is there, versions are unique."""
    with client_of(api) as client, ThreadPoolExecutor(8) as pool:

        def write(number: int) -> int:
            config = secret(metadata={"name": "shared", "labels": {f"n{number}": "x"}})
            client.apply(f"{SECRETS}/shared", config, manager=f"m{number}")
            return client.apply(f"{SECRETS}/s{number}", secret(f"s{number}")).status

        assert list(pool.map(write, range(40))) == [201] * 40
    shared = api.store.get("secrets", "a", "shared")
    assert shared is not None
    assert len(shared["metadata"]["labels"]) == 40
    versions = [obj["metadata"]["resourceVersion"] for obj in api.store.list("secrets", "a")]
    assert len(set(versions)) == len(versions) == 41


@pytest.fixture
def official(tmp_path: Path) -> Iterator[tuple[ApiServer, ApiClient]]:
    """A TLS server and the official client, configured by a kubeconfig."""
    with ApiServer(Authority()) as server:
        path = server.kubeconfig(tmp_path / "kubeconfig")
        assert path.stat().st_mode & 0o077 == 0
        with new_client_from_config(str(path)) as client:  # type: ignore[no-untyped-call]  # (the package has no types)
            yield server, client
            client.rest_client.pool_manager.clear()


def test_official_client_over_tls(official: tuple[ApiServer, ApiClient]) -> None:
    """The kubernetes package's ApiClient, set up by our kubeconfig, applies and reads raw bytes."""
    _, client = official
    path = "/api/v1/namespaces/default/secrets/worker-pull"
    assert raw(client, "PATCH", path, secret())[0] == 201
    status, body = raw(client, "GET", path)
    assert (status, json.loads(body)["metadata"]["name"]) == (200, "worker-pull")
    assert raw(client, "GET", f"{path}-2")[0] == 404


def raw(client: ApiClient, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """A raw request as rotator makes them: status and bytes."""
    method, url, headers, content, _ = client.param_serialize(
        method=method,
        resource_path=path,
        query_params=[("fieldManager", "rotator")],
        header_params={"Content-Type": "application/apply-patch+yaml"},
        body=body,
        auth_settings=["BearerToken"],
    )
    response = client.call_api(method, url, headers, content, _request_timeout=20)
    return response.status, response.read()  # type: ignore[no-untyped-call]  # (likewise)


def test_a_wrong_token_is_refused_on_open_paths_too(api: ApiServer) -> None:
    """`/version` answers whoever says nothing; whoever shows a token must show a good one."""
    wrong = {"Authorization": "Bearer wrong"}
    with urllib3.PoolManager() as pool:
        statuses = [pool.request("GET", f"{api.url}/version", headers=headers).status for headers in ({}, wrong)]
    assert statuses == [200, 401]
