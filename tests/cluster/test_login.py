"""Which cluster, and as whom: kubeconfigs, Pods, and everything that is wrong with them."""

import base64
import json
import os
import ssl
import stat
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import time_machine
import trustme

from rotator.cluster import login
from rotator.cluster.client import Cluster
from rotator.errors import ClusterUnusable
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from tests.cluster.conftest import TOKEN, Connect, WriteKubeconfig

SERVER = "https://api.example:6443"


def document(**changes: object) -> str:
    """A sound kubeconfig with two contexts, but for the changes."""
    return json.dumps(
        {
            "current-context": "blue",
            "contexts": [
                {"name": "blue", "context": {"cluster": "blue", "user": "me"}},
                {"name": "green", "context": {"cluster": "green", "user": "me"}},
            ],
            "clusters": [
                {"name": "blue", "cluster": {"server": SERVER}},
                {"name": "green", "cluster": {"server": "https://green.example"}},
            ],
            "users": [{"name": "me", "user": {"token": TOKEN}}],
        }
        | changes
    )


def cluster(**fields: object) -> str:
    """A kubeconfig whose cluster has these fields."""
    return document(clusters=[{"name": "blue", "cluster": {"server": SERVER} | fields}])


def user(**fields: object) -> str:
    """A kubeconfig whose user has these fields."""
    return document(users=[{"name": "me", "user": fields}])


BAD = base64.b64encode(b"hunter2 is no certificate").decode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is no kubeconfig"),
        ("- a list", "it is no kubeconfig (Expected `object`, got `array`)"),
        ("a: b: c", "it is not YAML (line 1)"),
        ("users:\n- name: x\n  user: {token: hunter2", "it is not YAML (line 3)"),
        ("\x00", "it is not YAML"),
        (document(contexts="blue"), "Expected `array | null`, got `str` - at `$.contexts`"),
        (document(**{"current-context": ""}), "it has no current-context; name one with --context: blue, green"),
        (document(contexts=None), "it has no context 'blue'; name one with --context: there is none"),
        (document(clusters=[]), "it has no cluster 'blue', which the context names"),
        (document(users=[]), "it has no user 'me', which the context names"),
        (cluster(server=""), "the server of cluster 'blue' is no address like https://"),
        (cluster(server="https://a b"), "the server of cluster 'blue' is no address like https://"),
        (cluster(server="https://"), "the server of cluster 'blue' is no address like https://"),
        (cluster(server="api.example:6443"), "the server of cluster 'blue' is no address like https://"),
        (cluster(**{"certificate-authority": "no-ca.pem"}), "no-ca.pem, and there is no such file"),
        (cluster(**{"certificate-authority-data": "x"}), "context 'blue' cannot be used (Error)"),
        (
            cluster(**{"certificate-authority-data": BAD}),
            "context 'blue': its certificate authority is no certificate in PEM",
        ),
        (user(tokenFile="no-token"), "no-token, and there is no such file"),
        (user(**{"client-certificate": "no.crt", "client-key": "no.key"}), "no.crt, and there is no such file"),
        (user(**{"client-certificate-data": BAD, "client-key-data": BAD}), "are no pair in PEM"),
        (user(), "context 'blue' gives no credential"),
        (user(exec={"command": "false", "apiVersion": "v1"}), "context 'blue' gives no credential"),
        (user(exec={"command": "/no/such/plugin", "apiVersion": "v1"}), "context 'blue' gives no credential"),
        (user(**{"auth-provider": {"name": "azure"}}), "context 'blue' gives no credential"),
    ],
)
def test_a_bad_kubeconfig_is_one_line_with_the_remedy(tmp_path: Path, text: str, problem: str) -> None:
    """Whatever is wrong, the error is ClusterUnusable, names the file and the fault, and quotes no secret."""
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClusterUnusable) as caught:
        login.log_in(path, None)
    said = str(caught.value)
    assert problem in said
    assert str(path) in said
    assert "\n" not in said
    assert TOKEN not in said
    assert "hunter2" not in said


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@127.0.0.1:1", "http://a b", "ftp://x", "http://"])
def test_a_proxy_that_cannot_be_used_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """From the kubeconfig or the environment, the message names both places, and not the proxy's password."""
    path = tmp_path / "config"
    path.write_text(cluster(**{"proxy-url": proxy}), encoding="utf-8")
    with pytest.raises(ClusterUnusable, match="proxy-url, or HTTPS_PROXY") as caught:
        login.log_in(path, None)
    assert "hunter2" not in str(caught.value)
    path.write_text(document(), encoding="utf-8")
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ClusterUnusable, match="proxy-url, or HTTPS_PROXY"):
        login.log_in(path, None)
    monkeypatch.setenv("no_proxy", "api.example")
    assert login.log_in(path, None).host == SERVER


def test_bytes_that_are_no_text_are_no_kubeconfig(tmp_path: Path) -> None:
    """A binary file is refused as such."""
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ClusterUnusable, match="it is no text in UTF-8"):
        login.log_in(path, None)


@pytest.mark.parametrize(("place", "problem"), [("absent", "there is no such file"), (".", "it cannot be read")])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, place: str, problem: str) -> None:
    """A missing kubeconfig and one that is a directory are told apart, and the path is named."""
    with pytest.raises(ClusterUnusable, match=problem) as caught:
        login.log_in(tmp_path / place, None)
    assert str(tmp_path / place) in caught.value.message


def test_an_unknown_context_names_those_that_exist(tmp_path: Path) -> None:
    """A misspelt --context is answered with the right ones."""
    path = tmp_path / "config"
    path.write_text(document(), encoding="utf-8")
    with pytest.raises(ClusterUnusable, match="no context 'gren'; name one with --context: blue, green"):
        login.log_in(path, "gren")


def test_without_anything_the_remedy_is_named() -> None:
    """No argument, no KUBECONFIG, no file at home, no Pod: say what to give."""
    with pytest.raises(ClusterUnusable, match="name a kubeconfig with --kubeconfig or KUBECONFIG"):
        login.log_in(None, None)


def test_a_named_context_is_used(tmp_path: Path) -> None:
    """--context goes before current-context."""
    path = tmp_path / "config"
    path.write_text(document(), encoding="utf-8")
    assert login.log_in(path, None).host == SERVER
    assert login.log_in(path, "green").host == "https://green.example"


def test_kubeconfigs_are_merged_as_kubectl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several files the first current-context wins, absent files are passed over, users come from any of them."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(document(users=None), encoding="utf-8")
    second.write_text(document(clusters=None, **{"current-context": "green"}), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (tmp_path / "absent", first, second))))
    configuration = login.log_in(None, None)
    assert configuration.host == SERVER
    assert configuration.get_api_key_with_prefix("BearerToken") == f"Bearer {TOKEN}"


def test_the_kubeconfig_at_home_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.kube/config is found, and KUBECONFIG goes before it."""
    home = tmp_path / "home" / ".kube" / "config"
    home.parent.mkdir(parents=True)
    home.write_text(document(), encoding="utf-8")
    assert login.log_in(None, "green").host == "https://green.example"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(ClusterUnusable, match="there is no such file"):
        login.log_in(None, None)


def test_relative_paths_start_at_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token file is looked for beside its kubeconfig, wherever rotator was started."""
    (tmp_path / "token").write_text("beside", encoding="utf-8")
    (tmp_path / "config").write_text(user(tokenFile="token"), encoding="utf-8")
    monkeypatch.chdir("/")
    configuration = login.log_in(tmp_path / "config", None)
    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer beside"


def plugin(tmp_path: Path, script: str) -> dict[str, object]:
    """The `exec` section for a credential plugin that runs this shell script."""
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"command": str(path), "apiVersion": "client.authentication.k8s.io/v1"}}


def test_an_exec_plugin_gives_the_token(tmp_path: Path, kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """What the plugin prints is the token of the requests."""
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "by-exec"}}
    seen: list[str] = []

    def handler(request: Request) -> Response:
        seen.append(request.headers["authorization"])
        return Response.of_json(200, {"metadata": {"name": "a"}})

    with Server(handler) as server:
        connect(kubeconfig(server.url, user=plugin(tmp_path, f"echo '{json.dumps(answer)}'"))).namespace("a")
    assert seen == ["Bearer by-exec"]


def test_an_exec_plugin_is_asked_again_before_its_token_expires(
    tmp_path: Path, kubeconfig: WriteKubeconfig, connect: Connect
) -> None:
    """A token that is nearly spent is replaced before a request goes out, without a 401."""
    status = {"token": "by-exec-$$", "expirationTimestamp": "2001-01-01T00:00:00Z"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    seen: list[str] = []

    def handler(request: Request) -> Response:
        seen.append(request.headers["authorization"])
        return Response.of_json(200, {"metadata": {"name": "a"}})

    with Server(handler) as server:
        script = f"cat <<END\n{json.dumps(answer)}\nEND"
        client = connect(kubeconfig(server.url, user=plugin(tmp_path, script)))
        while len(set(seen)) < 2:
            client.namespace("a")
            time.sleep(0.05)
    assert all(token.startswith("Bearer by-exec-") for token in seen)


@pytest.mark.timeout(30)
def test_an_exec_plugin_that_never_ends_is_given_up(
    tmp_path: Path, kubeconfig: WriteKubeconfig, connect: Connect
) -> None:
    """A hanging plugin does not hold rotator: the connection fails within its deadline, and says why."""
    over = tmp_path / "over"
    path = kubeconfig(SERVER, user=plugin(tmp_path, f"while [ ! -e {over} ]; do sleep 0.05; done"))
    try:
        with pytest.raises(ClusterUnusable, match="credential plugin does not end"):
            connect(path, deadline=0.5)
    finally:
        over.touch()


def pod(directory: Path, authority: Authority, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Make it look as if this were a Pod of the server's cluster."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", LOOPBACK)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    authority.write(directory / "ca.crt")
    (directory / "token").write_text("first\n", encoding="utf-8")
    return partial((directory / "token").write_text, "second\n", encoding="utf-8")


def test_a_pods_token_is_read_again_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Pod the projected token is used, without the newline at its end, and read again when a minute has passed."""
    authority = Authority()
    seen: list[str] = []

    def handler(request: Request) -> Response:
        seen.append(request.headers["authorization"].lower())
        return Response.of_json(200, {"metadata": {"name": "a"}})

    def tokens_until(last: str, namespace: Callable[[], object]) -> None:
        while not seen or seen[-1] != last:
            namespace()
            time.sleep(0.05)

    with Server(handler, tls=authority.context(LOOPBACK)) as server:
        rotate = pod(tmp_path, authority, server, monkeypatch)
        with closing(Cluster(partial(login.from_pod, tmp_path))) as client:
            tokens_until("bearer first", partial(client.namespace, "a"))
            rotate()
            with time_machine.travel(time.time() + timedelta(seconds=61).total_seconds()):
                tokens_until("bearer second", partial(client.namespace, "a"))
    assert list(dict.fromkeys(seen)) == ["bearer first", "bearer second"]


def test_a_pods_token_that_vanishes_is_used_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in client-go, a token file that cannot be read is no reason to stop while the old token is honoured."""
    authority = Authority()
    with Server(
        lambda _: Response.of_json(200, {"metadata": {"name": "a"}}), tls=authority.context(LOOPBACK)
    ) as server:
        pod(tmp_path, authority, server, monkeypatch)
        with closing(Cluster(partial(login.from_pod, tmp_path))) as client:
            (tmp_path / "token").unlink()
            with time_machine.travel(time.time() + 61):
                assert client.namespace("a").name == "a"


@pytest.mark.parametrize(
    ("broken", "content"), [("token", None), ("ca.crt", None), ("token", ""), ("ca.crt", "no certificate")]
)
def test_a_pod_without_its_files_says_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, content: str | None
) -> None:
    """A missing or empty projected file is ClusterUnusable, with the directory."""
    pod(tmp_path, Authority(), Server(lambda _: Response()), monkeypatch)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_text(content, encoding="utf-8")
    with pytest.raises(ClusterUnusable) as caught:
        login.from_pod(tmp_path)
    assert str(tmp_path) in caught.value.message


def test_a_pods_own_cluster_comes_before_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Pod nothing needs to be named; a kubeconfig that is named still goes first."""
    pod(tmp_path, Authority(), Server(lambda _: Response()), monkeypatch)
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", tmp_path)
    assert login.log_in(None, None).host == f"https://{LOOPBACK}:0"
    (tmp_path / "config").write_text(document(), encoding="utf-8")
    assert login.log_in(tmp_path / "config", None).host == SERVER


def test_a_client_certificate_is_shown(tmp_path: Path, kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A user with a certificate and key is known to a server that demands one."""
    authority, people = Authority(), trustme.CA()
    me = people.issue_cert("me@example.com", common_name="me")
    me.cert_chain_pems[0].write_to_path(str(tmp_path / "me.crt"))
    me.private_key_pem.write_to_path(str(tmp_path / "me.key"))
    context = authority.context(LOOPBACK)
    context.verify_mode = ssl.CERT_REQUIRED
    people.configure_trust(context)
    ca = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with Server(lambda _: Response.of_json(200, {"metadata": {"name": "a"}}), tls=context) as server:
        path = kubeconfig(server.url, cluster=ca, user={"client-certificate": "me.crt", "client-key": "me.key"})
        assert connect(path).namespace("a").name == "a"
