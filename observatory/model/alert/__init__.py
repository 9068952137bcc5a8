"""Alerts, pure: rules, and the machine that turns successive snapshots into alerts.

`Alerts.observe` is given each snapshot and the time, and answers what fired, got worse, was resolved. Telling people is
the business of others.
"""

from observatory.model.alert.machine import Alert, Alerts, AlertState, Change, ChangeKind, Quiet
from observatory.model.alert.rules import DEFAULT_RULES, Level, Rule, read_target

__all__ = [
    "DEFAULT_RULES",
    "Alert",
    "AlertState",
    "Alerts",
    "Change",
    "ChangeKind",
    "Level",
    "Quiet",
    "Rule",
    "read_target",
]
