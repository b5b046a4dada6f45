"""What is made of the rule files and the dashboard: PrometheusRules, and copies where the chart can read them.

A PrometheusRule is the same text, indented: as text and not as YAML, so that its comments, which say why each `for`
is as long as it is, come along.
"""

from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES = HERE / "rules.yaml"
RULES_OF_CRONJOB = HERE / "rules-cronjob.yaml"
DASHBOARD = HERE / "dashboard.json"
IN_THE_CHART = HERE.parent / "chart" / "files"

HEAD = """\
# Made from {} by `make monitoring`: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {}
  labels:
    app.kubernetes.io/name: rotator
spec:
"""


def prometheus_rule(rules: Path) -> Path:
    """Where the PrometheusRule of this rule file stands."""
    return rules.with_name(f"prometheus{rules.name.replace('rules', 'rule')}")


def files() -> dict[Path, str]:
    """Every file that is made, and what is to stand in it. A chart can read only what lies in its own folder."""
    copied = {each: each.read_text() for each in (RULES, RULES_OF_CRONJOB, DASHBOARD)}
    wrapped = {
        prometheus_rule(each): HEAD.format(each.name, name) + indent(copied[each], "  ")
        for each, name in ((RULES, "rotator"), (RULES_OF_CRONJOB, "rotator-cronjob"))
    }
    return wrapped | {IN_THE_CHART / each.name: text for each, text in copied.items()}
