"""What the scenarios of failures share: namespaces, rivals, and a look at what became of an object."""

import base64
import json

from rotator.rotation import Report, Result
from rotator.sandbox.server import Request, Response
from tests.outside import ECR, ECR_ONLY
from tests.scenarios.world import World

TEAMS = ("team-a", "team-b", "team-c")


def result(report: Report, namespace: str, kind: str = "Secret") -> Result:
    """What became of our Secret or ServiceAccount in this namespace."""
    found = [
        r for r in report.results if r.change.subject.namespace in {namespace, "*"} and r.change.subject.kind == kind
    ]
    assert len(found) == 1, found
    return found[0]


def bytes_of(world: World) -> dict[str, tuple[str, str]]:
    """Version and data of every pull secret."""
    secrets = {team: world.secret(team) for team in TEAMS}
    return {
        team: (secret["metadata"]["resourceVersion"], secret["data"][".dockerconfigjson"])
        for team, secret in secrets.items()
    }


def add_entry(secret: dict[str, object], number: int) -> None:
    """What a rival writes into a Secret."""
    data = secret["data"]
    assert isinstance(data, dict)
    content = json.loads(base64.b64decode(data[".dockerconfigjson"]))
    content["auths"][f"rival-{number}.example"] = {"auth": "YTpi"}
    data[".dockerconfigjson"] = base64.b64encode(json.dumps(content).encode()).decode()


def add_reference(account: dict[str, object], number: int) -> None:
    """What a rival adds to a ServiceAccount."""
    references = account.get("imagePullSecrets", [])
    assert isinstance(references, list)
    account["imagePullSecrets"] = [*references, {"name": f"rival-{number}"}]


ECR_SHARED = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"


TWO_HOSTS = ECR_ONLY.replace(f"hosts: [{ECR}]", f"hosts: [{ECR}, {ECR_SHARED}]")


def refusing(_request: Request) -> Response:
    """A registry that lets nobody in."""
    return Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
