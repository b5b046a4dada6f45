"""What must hold between settings: hosts and their cloud, names and what refers to them.

The rules read the file's data as it stands, before it is known to be sound, and pass over whatever is not of the
expected type (the types' own refusal names it): so a wrong type anywhere hides none of these problems. They yield
problems with paths in the file's words and repeat no value but hosts and names.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from rotator import hosts

_LONGEST_NAME = 63  # characters that are repeated of a name

Path = tuple[str | int, ...]
Part = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and in one line what, and what to write instead."""

    path: Path
    text: str

    def under(self, *prefix: str | int) -> "Problem":
        """The same problem, seen from further out."""
        return Problem((*prefix, *self.path), self.text)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud, as the hosts of its registries show it."""

    title: str
    parse: Callable[[str], object | None]
    example: str


KINDS: Mapping[str, Cloud] = {
    "ecr": Cloud("Amazon ECR", hosts.ecr, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
    "gar": Cloud("Google Artifact Registry", hosts.gar, "europe-west1-docker.pkg.dev"),
    "acr": Cloud("Azure Container Registry", hosts.acr, "contoso.azurecr.io"),
}


def exactly_one(given: Mapping[str, object]) -> None:
    """Raise ValueError unless one of the settings has a value."""
    if all(value is None for value in given.values()):
        msg = f"has none of {', '.join(given)}; write exactly one of them"
        raise ValueError(msg)
    at_most_one(given)


def at_most_one(given: Mapping[str, object]) -> None:
    """Raise ValueError when two of the settings have a value."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        msg = f"has {' and '.join(names)}, which exclude each other; keep one of them"
        raise ValueError(msg)


def problems(data: object) -> Iterator[Problem]:
    """Every problem between the settings of the whole file."""
    registries, pull_secrets = _parts(data, "registries"), _parts(data, "pullSecrets")
    for index, registry in registries:
        yield from (problem.under("registries", index) for problem in _registry(registry))
    yield from _same_names("registries", registries)
    yield from _same_names("pullSecrets", pull_secrets)
    yield from _references(registries, pull_secrets)
    for index, secret in pull_secrets:
        yield from (problem.under("pullSecrets", index) for problem in _claims(secret, registries))
    for index, former in _parts(data.get("prune") if isinstance(data, Mapping) else None, "former"):
        yield from (problem.under("prune", "former", index) for problem in _former(former, pull_secrets))


def _registry(registry: Part) -> Iterator[Problem]:
    try:
        exactly_one({kind: registry.get(kind) for kind in KINDS})
    except ValueError as error:
        yield Problem((), str(error))
    allowed = {host for _, host in _texts(registry, "allowHosts")}
    for kind in KINDS:
        source = registry.get(kind)
        if isinstance(source, Mapping):
            yield from (problem.under(kind) for problem in _source(kind, source, allowed))
    yield from _probe(registry)


def _source(kind: str, source: Part, allowed: set[str]) -> Iterator[Problem]:
    for index, host in _texts(source, "hosts"):
        if text := _host(kind, host, allowed):
            yield Problem(("hosts", index), text)
    if kind == "ecr":
        yield from _ecr(source, allowed)
    if kind == "acr":
        yield from _acr(source, allowed)


def _host(kind: str, host: str, allowed: set[str]) -> str:
    """What is wrong with a host of this kind; empty when nothing is."""
    cloud = KINDS[kind]
    if cloud.parse(host) or (host in allowed and hosts.is_host(host)):
        return ""
    meant = next((other for other in hosts.spellings(host) if cloud.parse(other) or other in allowed), None)
    if meant:
        return f"is not spelled as a host; write {meant}"
    return _stranger(cloud, host)


def _stranger(cloud: Cloud, host: str) -> str:
    if not hosts.is_host(host):
        return f"is no host; write it in lower case without scheme and path, as in {cloud.example}"
    stranger = next((name for name, other in KINDS.items() if other.parse(host)), None)
    if stranger:
        return f"is a host of {KINDS[stranger].title}; write it under {stranger} of another registry"
    if host.endswith(".data.azurecr.io"):
        return "is a data endpoint, where nobody logs in; write the login server, as in contoso.azurecr.io"
    if host.endswith(".azurecr.de"):
        return "is of Azure Germany, which was closed in 2021; write the registry's host in a cloud that is left"
    return (
        f"is no host of {cloud.title}; write one like {cloud.example}, or list it under allowHosts if it may be trusted"
    )


def _ecr(ecr: Part, allowed: set[str]) -> Iterator[Problem]:
    known = [(index, parsed) for index, host in _texts(ecr, "hosts") if (parsed := hosts.ecr(host))]
    region = ecr.get("region")
    for index, host in known:
        if host.public != known[0][1].public:
            yield Problem(("hosts", index), "mixes ECR Public with private hosts; write one registry for each")
        elif host.region != known[0][1].region:
            yield Problem(
                ("hosts", index), f"is not in {known[0][1].region} as the hosts before; write one registry per region"
            )
        if (hosts.partition(host.region) == "aws-cn") != host.suffix.endswith(".cn"):
            yield Problem(("hosts", index), "joins a region and an ending that differ; hosts in China end in .com.cn")
    if known and isinstance(region, str) and region != known[0][1].region:
        yield Problem(("region",), f"is not the hosts' region; write {known[0][1].region}, or leave region out")
    if region is None and _only_allowed(ecr, allowed, known):
        yield Problem(("region",), "is missing, and these hosts do not name it; write it as in region: eu-west-1")
    yield from _role(ecr, known[0][1].region if known else region)


def _role(ecr: Part, region: object) -> Iterator[Problem]:
    role = ecr.get("assumeRole")
    arn = role.get("arn") if isinstance(role, Mapping) else None
    if not isinstance(arn, str) or not isinstance(region, str) or not arn.startswith("arn:"):
        return
    partition = hosts.partition(region)
    if arn.split(":")[1] != partition:
        yield Problem(("assumeRole", "arn"), f"is of another partition than the region; write arn:{partition}:iam::...")


def _acr(acr: Part, allowed: set[str]) -> Iterator[Problem]:
    known = [(index, parsed) for index, host in _texts(acr, "hosts") if (parsed := hosts.acr(host))]
    cloud = acr.get("cloud")
    for index, host in known:
        if (host.name, host.cloud) != (known[0][1].name, known[0][1].cloud):
            yield Problem(("hosts", index), "is of another registry than the hosts before; write one registry for each")
    if known and isinstance(cloud, str) and cloud != known[0][1].cloud:
        yield Problem(("cloud",), f"is not the hosts' cloud; write {known[0][1].cloud}, or leave cloud out")
    if cloud is None and _only_allowed(acr, allowed, known):
        yield Problem(("cloud",), "is missing, and these hosts do not name it; write public, china or usGovernment")


def _only_allowed(source: Part, allowed: set[str], known: Sequence[object]) -> bool:
    """Whether nothing but allowHosts stands for the hosts, so that they tell nothing."""
    return not known and any(host in allowed for _, host in _texts(source, "hosts"))


def _probe(registry: Part) -> Iterator[Problem]:
    acr, probe = registry.get("acr"), registry.get("probe")
    if not isinstance(acr, Mapping) or not isinstance(probe, Mapping):
        return
    narrowed, asked = acr.get("repository"), probe.get("repository")
    if isinstance(narrowed, str) and isinstance(asked, str) and narrowed != asked:
        yield Problem(("probe", "repository"), "is not what acr.repository narrows the credential to; write that one")


def _same_names(key: str, parts: list[tuple[int, Part]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, part in parts:
        name = part.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield Problem((key, index, "name"), f"is the name of {key}[{first[name]}] too; write another")


def _references(registries: list[tuple[int, Part]], pull_secrets: list[tuple[int, Part]]) -> Iterator[Problem]:
    names = {name: index for index, registry in registries if isinstance(name := registry.get("name"), str)}
    used: set[str] = set()
    for index, secret in pull_secrets:
        for place, name in _texts(secret, "registries"):
            near = [name] if name in names else get_close_matches(name, names, n=1)
            used.update(near or names)
            if name not in names:
                yield Problem(("pullSecrets", index, "registries", place), _unknown(name, near, names))
    # A list that cannot be read, or a name that nothing resembles, may well mean it: then nothing is to be said yet.
    if pull_secrets and all(_texts(secret, "registries") for _, secret in pull_secrets):
        for name in names.keys() - used:
            yield Problem(("registries", names[name]), "is used by no pull secret; name it in one, or remove it")


def _unknown(name: str, near: list[str], names: Mapping[str, int]) -> str:
    remedy = (
        f"did you mean {_quote(near[0])}?" if near else f"write one of: {', '.join(map(_quote, names)) or 'none yet'}"
    )
    return f"there is no registry {_quote(name)}; {remedy}"


def _claims(secret: Part, registries: list[tuple[int, Part]]) -> Iterator[Problem]:
    by_name = {name: part for _, part in reversed(registries) if isinstance(name := part.get("name"), str)}
    claimed: dict[str, str] = {}
    for place, name in _texts(secret, "registries"):
        for host in _hosts(by_name.get(name, {})):
            owner = claimed.setdefault(host, name)
            if owner != name:
                text = (
                    f"{_quote(owner)} and {_quote(name)} both claim {host}; keep it in one, or write two pull secrets"
                )
                yield Problem(("registries", place), text)


def _former(former: Part, pull_secrets: list[tuple[int, Part]]) -> Iterator[Problem]:
    """A namespace that is named as a former one, and is certainly covered still."""
    for index, secret in pull_secrets:
        if isinstance(former.get("name"), str) and secret.get("name") == former["name"]:
            for place, namespace in _texts(_part(former, "namespaces"), "names"):
                if _is_plain(namespace) and _surely_covers(_part(secret, "namespaces"), namespace):
                    text = f"is covered by pullSecrets[{index}]; take it out here, or exclude it there"
                    yield Problem(("namespaces", "names", place), text)


def _surely_covers(namespaces: Part, name: str) -> bool:
    """Whether this namespace is meant, whatever its labels are."""
    everywhere = [] if "names" in namespaces or not namespaces else ["*"]
    meant = _any_matches([*everywhere, *(pattern for _, pattern in _texts(namespaces, "names"))], name)
    excluded = _any_matches((pattern for _, pattern in _texts(namespaces, "exclude")), name)
    return meant and not excluded and "labels" not in namespaces


def _any_matches(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_plain(name: str) -> bool:
    return not set(name) & set("*?[")


def _part(part: Part, key: str) -> Part:
    found = part.get(key)
    return found if isinstance(found, Mapping) else {}


def _hosts(registry: Part) -> Iterator[str]:
    for kind in KINDS:
        source = registry.get(kind)
        if isinstance(source, Mapping):
            yield from (host for _, host in _texts(source, "hosts") if hosts.is_host(host))


def _parts(data: object, key: str) -> list[tuple[int, Part]]:
    items = data.get(key) if isinstance(data, Mapping) else None
    return [(i, item) for i, item in enumerate(items) if isinstance(item, Mapping)] if isinstance(items, list) else []


def _texts(part: Part, key: str) -> list[tuple[int, str]]:
    items = part.get(key)
    return [(i, item) for i, item in enumerate(items) if isinstance(item, str)] if isinstance(items, list) else []


def _quote(name: str) -> str:
    """The name as ASCII on one line, whatever it holds."""
    return json.dumps(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "...")
