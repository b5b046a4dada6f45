"""Monitors and rules, by the Prometheus operator's own definitions on a real API server."""

import secrets
from collections.abc import Iterator

import pytest
import yaml

from tests.controlplane.server import ControlPlane
from tests.deploy import examples
from tests.deploy.objects import Object, path_of
from tests.helm.fixtures import Helm
from tests.operator import definitions
from tests.waiting import eventually

MONITORING = examples.DEPLOY / "monitoring"
FILES = ("servicemonitor.yaml", "prometheusrule.yaml", "prometheusrule-cronjob.yaml")
MONITORS = {"serviceMonitor": "ServiceMonitor", "podMonitor": "PodMonitor"}
OF_THE_OPERATOR = "monitoring.coreos.com/v1"


@pytest.fixture(scope="module")
def operated(controlplane: ControlPlane) -> Iterator[ControlPlane]:
    """A cluster that knows its kinds; skipped, in one line, where the definitions are missing."""
    if not definitions.find():
        pytest.skip(f"no Prometheus operator: {definitions.HOW_TO_GET_THEM}")
    defined = [yaml.safe_load(path.read_text()) for path in definitions.find()]
    for each in defined:
        answer = controlplane.admin.apply(path_of(each), each)
        assert answer.status == 201, answer
    served = [f"/apis/{OF_THE_OPERATOR}/{each['spec']['names']['plural']}" for each in defined]
    eventually(lambda: all(controlplane.admin.get(kind).status == 200 for kind in served), "every kind is served")
    yield controlplane
    for each in defined:
        controlplane.admin.delete(path_of(each))


@pytest.fixture
def namespace(operated: ControlPlane) -> str:
    """A new one."""
    name = f"monitoring-{secrets.token_hex(4)}"
    operated.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def refusal(operated: ControlPlane, each: Object) -> str:
    """What the API server finds wrong with it, warnings included; nothing where it takes it."""
    answer = operated.admin.apply(path_of(each), each, fieldValidation="Strict")
    return answer.headers.get("Warning", "") if answer.status == 201 else answer.message


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
def test_the_operator_takes_what_the_chart_makes(
    operated: ControlPlane, namespace: str, helm: Helm, mode: str, monitor: str
) -> None:
    """Strictly, with its values switched on."""
    values = yaml.safe_load((examples.EXAMPLES / "gke" / "values.yaml").read_text())
    switched_on = {"metrics": {monitor: {"enabled": True}}, "prometheusRule": {"enabled": True}}
    made = helm.template({**values, **switched_on, "mode": mode}, namespace=namespace)
    its = [each for each in made if each["apiVersion"] == OF_THE_OPERATOR]
    kinds = {"PrometheusRule"} | ({MONITORS[monitor]} if mode == "deployment" else set())
    assert {each["kind"] for each in its} == kinds
    assert {each["kind"]: refusal(operated, each) for each in its} == dict.fromkeys(kinds, "")


@pytest.mark.parametrize("name", FILES)
def test_the_operator_takes_the_files_of_those_who_apply_them(
    operated: ControlPlane, namespace: str, name: str
) -> None:
    """As they stand in deploy/monitoring."""
    found = yaml.safe_load((MONITORING / name).read_text())
    found["metadata"]["namespace"] = namespace
    assert refusal(operated, found) == ""


def test_a_monitor_with_a_mistake_would_be_refused(operated: ControlPlane, namespace: str) -> None:
    """So that the definitions do count."""
    found = yaml.safe_load((MONITORING / "servicemonitor.yaml").read_text())
    found["metadata"]["namespace"] = namespace
    found["spec"]["endpoints"][0]["interval"] = "soon"
    assert "interval" in refusal(operated, found)
