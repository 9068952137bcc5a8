"""Filters and saved views of lists: asking for them, remembering them, and bringing them back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from observatory.model.filter import FilterError
from observatory.model.text import line
from observatory.tui.table import Table, View

if TYPE_CHECKING:
    from observatory.tui.app.main import ObservatoryApp
    from observatory.tui.app.memory import Memory


class Views:
    """Answers what lists ask for.

    Args:
        app: The app.
        memory: What is kept between two runs.
    """

    def __init__(self, app: ObservatoryApp, memory: Memory) -> None:
        self._app = app
        self._memory = memory

    def answer(self, verb: str, name: str, table: Table[Any]) -> None:
        """Let a filter be typed, keep a view, or bring one back."""
        {"filter": self._filter, "save-view": self._save, "view": self._show}[verb](name, table)

    def names(self, focused: object) -> list[str]:
        """Return the names of the views that the focused list can show."""
        if isinstance(focused, Table) and focused.fields is not None:
            return sorted(self._memory.views(focused.fields.rows))
        return []

    def _filter(self, _name: str, table: Table[Any]) -> None:
        from observatory.tui.dialogs.filter import FilterPrompt  # noqa: PLC0415 - not needed for the first paint

        assert table.fields is not None  # noqa: S101 - the app asks only for lists that have fields
        rows = table.fields.rows
        prompt = FilterPrompt(table, table.fields, self._memory.filters(rows), self._now_ms)
        self._app.push_screen(prompt, partial(self._filtered, rows))

    def _filtered(self, rows: str, text: str | None) -> None:
        if text:
            self._memory.used_filter(rows, text)

    def _save(self, name: str, table: Table[Any]) -> None:
        assert table.fields is not None  # noqa: S101 - the app asks only for lists that have fields
        rows, view = table.fields.rows, table.view
        if not name:
            self._app.notify("save: name the view, as in :save stuck", severity="warning", markup=False)
            return
        kept = {"filter": view.filter, "column": view.column, "descending": view.descending}
        self._memory.save_view(rows, name, kept)
        self._app.notify(f"saved the view {line(name, 40)} of {rows}; :view {line(name, 40)} shows it", markup=False)

    def _show(self, name: str, table: Table[Any]) -> None:
        assert table.fields is not None  # noqa: S101 - the app asks only for lists that have fields
        from observatory.tui.dialogs.filter import filtered  # noqa: PLC0415 - not needed for the first paint

        views = self._memory.views(table.fields.rows)
        if name not in views:
            known = f"there are {', '.join(sorted(views))}" if views else ":save NAME keeps one"
            words = f"no view of {table.fields.rows} is called {line(name, 40) or '?'}; {known}"
            self._app.notify(line(words, 300), severity="warning", markup=False)
            return
        kept = views[name]
        order: View[Any] = View(column=str(kept.get("column", "")), descending=bool(kept.get("descending")))
        try:
            table.set_view(filtered(order, str(kept.get("filter", "")), table.fields, self._now_ms))
        except FilterError as error:
            self._app.notify(line(str(error), 300), severity="error", markup=False)

    @property
    def _now_ms(self) -> int:
        return self._app.desk.shown.at_ms or self._app.desk.clock.now_ms()
