"""Plans as plain data, so that they can be saved, kept in the bus, and executed later by somebody else."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from observatory.model.errors import UsageError
from observatory.model.plan.pace import Pace
from observatory.model.plan.plan import Plan, PlannedItem, Reversal, SkippedItem

if TYPE_CHECKING:
    from observatory.model.plan.plan import Report

VERSION: Final = 1
"""Version of the documents; those of another version are refused."""


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return *plan* as plain data."""
    return {
        "version": VERSION,
        "id": plan.id,
        "verb": plan.verb,
        "asked": plan.asked,
        "created_ms": plan.created_ms,
        "reversal": str(plan.reversal),
        "undoes": plan.undoes,
        "warnings": list(plan.warnings),
        "options": dict(plan.options),
        "before": dict(plan.before),
        "after": dict(plan.after),
        "sources": dict(plan.sources),
        "targets": dict(plan.targets),
        "oldest_ms": plan.span_ms[0] if plan.span_ms else None,
        "newest_ms": plan.span_ms[1] if plan.span_ms else None,
        "pace": asdict(plan.pace),
        "expected_s": plan.pace.expected_s(len(plan.items)),
        "items": [
            {
                "id": item.id,
                "source": item.source,
                "target": item.target,
                "label": item.label,
                "seen": dict(item.seen),
                "at_ms": item.at_ms,
            }
            for item in plan.items
        ],
        "skipped": [{"id": item.id, "why": item.why} for item in plan.skipped],
    }


def read_plan(document: object) -> Plan:
    """Return the plan that *document* describes.

    Raises:
        UsageError: It is no plan; names the field.
    """
    data = _mapping("plan", document)
    if data.get("version") != VERSION:
        raise UsageError(f"plan: version {data.get('version')!r} is not {VERSION}", "make the plan anew")
    try:
        pace = {name: value for name, value in _mapping("pace", data.get("pace", {})).items() if name in _PACE}
        return Plan(
            id=_text(data, "id"),
            verb=_text(data, "verb"),
            asked=_text(data, "asked"),
            items=tuple(_item(row) for row in data["items"]),
            skipped=tuple(SkippedItem(_text(row, "id"), _text(row, "why")) for row in data["skipped"]),
            created_ms=int(data["created_ms"]),
            options=_texts("options", data.get("options", {})),
            reversal=Reversal(data["reversal"]),
            before={name: int(count) for name, count in _mapping("before", data.get("before", {})).items()},
            pace=Pace(**pace | {"canary": tuple(int(step) for step in pace.get("canary", ()))}),
            undoes=_text(data, "undoes"),
            warnings=tuple(map(str, data.get("warnings", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"plan: {type(error).__name__}: {error}", "this is no plan that Observatory saved") from None


def report_document(report: Report) -> dict[str, Any]:
    """Return *report* as plain data, without its plan."""
    return {
        "done": list(report.done),
        "entries": list(report.entries),
        "skipped": [{"id": item.id, "why": item.why} for item in report.skipped],
        "untouched": report.untouched,
        "took_ms": report.took_ms,
        "stopped": report.stopped,
    }


_PACE: Final = frozenset(field.name for field in fields(Pace))


def _item(row: object) -> PlannedItem:
    data = _mapping("items", row)
    at_ms = data.get("at_ms")
    return PlannedItem(
        _text(data, "id"),
        _text(data, "source"),
        _text(data, "target"),
        _text(data, "label"),
        _texts("seen", data.get("seen", {})),
        None if at_ms is None else int(at_ms),
    )


def _mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{name}: not a table", "this is no plan that Observatory saved")
    return value


def _texts(name: str, value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in _mapping(name, value).items()}


def _text(data: dict[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise UsageError(f"{name}: not a text", "this is no plan that Observatory saved")
    return value
