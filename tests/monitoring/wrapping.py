"""What is made of the rule file and the dashboard: a PrometheusRule, and copies where the chart can read them.

The PrometheusRule is the same text, indented: as text and not as YAML, so that its comments, which say why each `for`
is as long as it is, come along.
"""

from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES = HERE / "rules.yaml"
DASHBOARD = HERE / "dashboard.json"
PROMETHEUS_RULE = HERE / "prometheusrule.yaml"
IN_THE_CHART = HERE.parent / "chart" / "files"

HEAD = """\
# Made from rules.yaml by `make monitoring`: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: rotator
  labels:
    app.kubernetes.io/name: rotator
spec:
"""


def prometheus_rule(rules: str) -> str:
    """This rule file as the Prometheus Operator reads it: `spec` is the file."""
    return HEAD + indent(rules, "  ")


def files() -> dict[Path, str]:
    """Every file that is made, and what is to stand in it. A chart can read only what lies in its own folder."""
    copies = {IN_THE_CHART / each.name: each.read_text() for each in (RULES, DASHBOARD)}
    return {PROMETHEUS_RULE: prometheus_rule(RULES.read_text()), **copies}
