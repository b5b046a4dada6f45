"""The rule file as a PrometheusRule, for clusters with the Prometheus Operator: the same text, indented.

As text and not as YAML, so that its comments, which say why each `for` is as long as it is, come along.
"""

from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES = HERE / "rules.yaml"
PROMETHEUS_RULE = HERE / "prometheusrule.yaml"

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
