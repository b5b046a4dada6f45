"""The main job on a real cluster: the program as a process, as a ServiceAccount of its own."""

from tests.installation import Installation
from tests.outside import ACR, ECR, GAR, SECRET


def test_one_pass_writes_every_secret_and_reference(installation: Installation) -> None:
    """`once`: a Secret with all three hosts in each namespace, referenced; a second run writes nothing."""
    teams = installation.add_namespaces("team-a", "team-b")
    done = installation.run("once")
    assert done.returncode == 0, done.stderr
    for team in teams:
        assert set(installation.auths(team)) == {ECR, GAR, ACR}
        assert installation.references(team) == [SECRET]
    before = [installation.secret(team)["metadata"] for team in teams]
    again = installation.run("once")
    assert again.returncode == 0, again.stderr
    assert [installation.secret(team)["metadata"] for team in teams] == before
