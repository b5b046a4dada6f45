"""Which cluster, and as whom: a kubeconfig, or the ServiceAccount of the Pod that we run in.

The kubernetes package reads both and keeps the credential fresh. Its error texts are not shown, for they may quote a
token.
"""

import os
from pathlib import Path

from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config import load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader
from urllib3.exceptions import LocationParseError
from urllib3.util import make_headers, parse_url

from rotator.cluster.kubeconfig import checked_context, unusable
from rotator.cluster.tls import certificate_problem
from rotator.errors import ClusterUnusable

HOME_KUBECONFIG = "~/.kube/config"
DEFAULT_NAMESPACE = "default"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def log_in(kubeconfig: Path | None, context: str | None) -> Configuration:
    """The configuration of the kubeconfig that is named (argument, KUBECONFIG), else the Pod's, else ~/.kube/config.

    Naming a context means a kubeconfig too. Raises ClusterUnusable.
    """
    paths = _kubeconfigs(kubeconfig, context)
    return from_kubeconfig(paths, context) if paths else from_pod(SERVICE_ACCOUNT)


def own_namespace(kubeconfig: Path | None, context: str | None) -> str:
    """The Pod's namespace, or that of the context, where kubectl would look first. Raises ClusterUnusable."""
    paths = _kubeconfigs(kubeconfig, context)
    if paths:
        return checked_context(paths, context)[1].namespace or DEFAULT_NAMESPACE
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"this Pod's namespace cannot be read from {SERVICE_ACCOUNT}/namespace"
        raise ClusterUnusable(msg, hint="name it in the configuration: leaderElection.namespace") from error


def _kubeconfigs(kubeconfig: Path | None, context: str | None) -> list[Path]:
    """The files that are named, or the one at home; none: we run in a Pod. Raises ClusterUnusable."""
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if not named and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return []
    if named:
        paths = [Path(path).expanduser() for path in named.split(os.pathsep) if path]
        # kubectl passes over files of KUBECONFIG that do not exist; one that is named alone must.
        return [path for path in paths if path.exists()] or paths[:1]
    home = Path(HOME_KUBECONFIG).expanduser()
    if not home.exists():
        msg = f"no cluster is named: there is no {HOME_KUBECONFIG}, and this is no Pod"
        raise ClusterUnusable(msg, hint="name a kubeconfig with --kubeconfig or KUBECONFIG")
    return [home]


TRY_KUBECTL = "see what `kubectl version` says with this kubeconfig and context"


def from_kubeconfig(paths: list[Path], context: str | None) -> Configuration:
    """The configuration of a context of these files. Raises ClusterUnusable."""
    source = os.pathsep.join(str(path) for path in paths)
    chosen, _ = checked_context(paths, context)
    configuration = Configuration()
    try:
        load_kube_config(source, chosen, configuration)  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001  (what is wrong in a kubeconfig ends in any error of the package)
        raise unusable(source, f"context {chosen!r} cannot be used ({type(error).__name__})", TRY_KUBECTL) from None
    if configuration.host.startswith("https://") and not configuration.api_key and not configuration.cert_file:
        # The package logs a plugin's failure and goes on as an anonymous user.
        hint = "its user needs a token, a certificate, or an exec plugin that works when run by hand"
        raise unusable(source, f"context {chosen!r} gives no credential", hint)
    if problem := certificate_problem(configuration):
        raise unusable(source, f"context {chosen!r}: {problem}")
    return _with_proxy(configuration)


def from_pod(directory: Path) -> Configuration:
    """The configuration of the Pod that we run in: environment, and the projected files of its ServiceAccount.

    Raises ClusterUnusable.
    """
    configuration = Configuration()
    try:
        loader = InClusterConfigLoader(f"{directory}/token", f"{directory}/ca.crt")  # type: ignore[no-untyped-call]
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except Exception as error:
        msg = f"this Pod's ServiceAccount cannot be used: {directory} needs a token and ca.crt"
        hint = "check automountServiceAccountToken, and KUBERNETES_SERVICE_HOST and _PORT"
        raise ClusterUnusable(msg, hint=hint) from error
    if problem := certificate_problem(configuration):
        msg = f"this Pod's ServiceAccount cannot be used: {directory}: {problem}"
        raise ClusterUnusable(msg)
    return _with_proxy(configuration)


def _with_proxy(configuration: Configuration) -> Configuration:
    """The same, with a proxy that urllib3 can use: it wants a scheme, and leaves out the user of the address.

    curl and kubectl take `proxy:3128` for http, and send the user.
    """
    proxy = configuration.proxy
    if not proxy or should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        return configuration
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parsed = parse_url(address)
    except LocationParseError:
        parsed = parse_url("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        msg = "the proxy for the cluster (the kubeconfig's proxy-url, or HTTPS_PROXY) is no http:// or https:// address"
        raise ClusterUnusable(msg, hint="correct it, or put the API server's address into NO_PROXY")
    configuration.proxy = address
    if parsed.auth:
        configuration.proxy_headers = make_headers(proxy_basic_auth=parsed.auth)
    return configuration
