"""`make monitoring`: write what is made from the rule file."""

from tests.monitoring.wrapping import PROMETHEUS_RULE, RULES, prometheus_rule

if __name__ == "__main__":
    PROMETHEUS_RULE.write_text(prometheus_rule(RULES.read_text()))
