"""What is wrong with a kubeconfig, in our own words.

The kubernetes package reads kubeconfigs, but its error texts may quote a user's token, it takes a user that does not
exist for an anonymous one, and of several files it takes the last current-context, where kubectl takes the first.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import yaml
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from rotator.errors import ClusterUnusable


class Cluster(msgspec.Struct, rename="kebab"):
    """Of a cluster, what is checked here."""

    server: str = ""
    certificate_authority: str = ""


class User(msgspec.Struct, rename="kebab"):
    """Of a user, what is checked here: no token and no password."""

    client_certificate: str = ""
    client_key: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")


class Context(msgspec.Struct):
    """A cluster, and as whom."""

    cluster: str
    user: str = ""
    namespace: str = ""


class NamedCluster(msgspec.Struct):
    """An item of `clusters`; `directory` is its file's, where relative paths start."""

    name: str
    cluster: Cluster
    directory: Path = Path()


class NamedUser(msgspec.Struct):
    """An item of `users`; `directory` is its file's, where relative paths start."""

    name: str
    user: User | None = None
    directory: Path = Path()


class NamedContext(msgspec.Struct):
    """An item of `contexts`."""

    name: str
    context: Context


class Document(msgspec.Struct, rename="kebab"):
    """A kubeconfig file."""

    current_context: str = ""
    clusters: list[NamedCluster] | None = None
    contexts: list[NamedContext] | None = None
    users: list[NamedUser] | None = None


class _Named(Protocol):
    name: str


N = TypeVar("N", bound=_Named)


def checked_context(paths: list[Path], context: str | None) -> tuple[str, Context]:
    """The context to use, with its name: that one, or the first file's current one. Raises ClusterUnusable."""
    documents = [_read(path) for path in paths]
    source = ":".join(str(path) for path in paths)
    wanted = context or next((document.current_context for document in documents if document.current_context), "")
    contexts = _by_name(item for document in documents for item in document.contexts or ())
    if wanted not in contexts:
        problem = f"it has no context {wanted!r}" if wanted else "it has no current-context"
        raise unusable(source, problem, f"name one with --context: {', '.join(sorted(contexts)) or 'there is none'}")
    chosen = contexts[wanted].context
    _check_cluster(source, chosen.cluster, _by_name(item for document in documents for item in document.clusters or ()))
    _check_user(source, chosen.user, _by_name(item for document in documents for item in document.users or ()))
    return wanted, chosen


def unusable(source: str, problem: str, hint: str = "") -> ClusterUnusable:
    """The error for this kubeconfig."""
    return ClusterUnusable(f"kubeconfig {source}: {problem}", hint=hint)


LARGEST = 1024 * 1024
"""Characters; a kubeconfig with a hundred clusters has a tenth of it."""

_WRITE = "compare it with what `kubectl config view` prints for a good one"


def _read(path: Path) -> Document:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise unusable(str(path), "it is larger than 1 MiB", "name a kubeconfig")
        document = msgspec.convert(yaml.safe_load(text), Document)
    except FileNotFoundError as error:
        raise unusable(str(path), "there is no such file", "name one with --kubeconfig or KUBECONFIG") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise unusable(str(path), f"it cannot be read ({reason})", "give the path of a readable file") from error
    except UnicodeDecodeError as error:
        raise unusable(str(path), "it is no text in UTF-8", _WRITE) from error
    except yaml.YAMLError as error:
        # The text of the error quotes the line, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise unusable(str(path), f"it is not YAML{place}", _WRITE) from None
    except msgspec.ValidationError as error:
        # The error names types and paths, no values.
        raise unusable(str(path), f"it is no kubeconfig ({error})", _WRITE) from error
    for item in (*(document.clusters or ()), *(document.users or ())):
        item.directory = path.absolute().parent
    return document


def _by_name(items: Iterable[N]) -> dict[str, N]:
    """Of several files the first that defines a name wins, as in kubectl and in the kubernetes package."""
    found: dict[str, N] = {}
    for item in items:
        found.setdefault(item.name, item)
    return found


def _check_cluster(source: str, name: str, clusters: dict[str, NamedCluster]) -> None:
    if name not in clusters:
        raise unusable(source, f"it has no cluster {name!r}, which the context names")
    cluster = clusters[name].cluster
    if not _is_address(cluster.server):
        raise unusable(source, f"the server of cluster {name!r} is no address like https://host:6443")
    _check_files(source, clusters[name].directory, [cluster.certificate_authority])


def _is_address(text: str) -> bool:
    try:
        parsed = parse_url(text)
    except LocationParseError:
        return False
    return parsed.scheme in {"https", "http"} and bool(parsed.host)


def _check_user(source: str, name: str, users: dict[str, NamedUser]) -> None:
    if not name:
        return
    if name not in users:
        raise unusable(source, f"it has no user {name!r}, which the context names")
    user = users[name].user or User()
    _check_files(source, users[name].directory, [user.client_certificate, user.client_key, user.token_file])


def _check_files(source: str, directory: Path, names: Iterable[str]) -> None:
    for path in (directory / name for name in names if name):
        if not path.is_file():
            raise unusable(source, f"it names {path}, and there is no such file")
