"""One thing in full: facts and payload; made printable, bounded, wrapped to the pane."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells

from observatory.model.text import block
from observatory.tui.drawing import format as fmt
from observatory.tui.drawing.lines import LineBuilder
from observatory.tui.widgets.list_panel import ListPanel

if TYPE_CHECKING:
    from observatory.tui.sheets import Sheet

MOST_BYTES = 64 * 1024
"""Payload bytes that are looked at; more is said, not shown."""

_MOST_LINES = 2000
_LABEL = 10


class Piece(NamedTuple):
    """One line of the pane: a label or none, its text, the name of its style, and its place (which is its identity)."""

    label: str
    text: str
    ink: str
    place: int


class PayloadPane(ListPanel[Piece]):
    """Scrolls; has no cursor."""

    selects: ClassVar[bool] = False

    def __init__(self, empty: str, *, title: str = "Payload", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.title = title
        self._empty = empty
        self._sheet: Sheet | None = None
        self._kind = ""
        self._wrapped_at = 0

    def show(self, sheet: Sheet | None) -> None:
        """Show *sheet*; from its top if it is of something else than before; nothing if None."""
        if sheet != self._sheet:
            same = sheet is not None and self._sheet is not None and sheet.name == self._sheet.name
            self._sheet = sheet
            if not same:
                self.action_top()
            self._wrap()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no cursor, but what is shown can be copied."""
        if action in {"copy_name", "copy_json"}:
            return True if self._sheet is not None else None
        return super().check_action(action, parameters)

    def action_copy_name(self) -> None:
        """Copy what names the thing that is shown."""
        if self._sheet is not None:
            self.post_message(self.Copied(self, "name", self._sheet.name))

    def action_copy_json(self) -> None:
        """Copy the thing that is shown."""
        if self._sheet is not None:
            self.post_message(self.Copied(self, "JSON", self._sheet.json))

    def on_resize(self) -> None:
        """Wrap to the new width."""
        if self.size.width != self._wrapped_at:
            self._wrap()
        super().on_resize()

    def identity(self, row: Piece) -> str:
        """A line is its place."""
        return str(row.place)

    def draw_heading(self, width: int) -> LineBuilder:  # noqa: ARG002 - a short heading
        """Say what the payload is, and what part of it is shown."""
        builder = self.title_piece()
        if self._kind:
            builder.add(f"  {self._kind}", self.ink["muted"])
        if extent := self.extent:
            builder.add(f"  {extent}", self.ink["muted"])
        return builder

    def draw_row(self, row: Piece, width: int) -> LineBuilder:  # noqa: ARG002 - wrapped to the width already
        """Draw one line."""
        builder = LineBuilder().gap(1)
        if row.label:
            builder.cell(row.label, _LABEL, self.ink["muted"])
        return builder.add(row.text, self.ink[row.ink])

    def draw_empty(self, width: int) -> LineBuilder:  # noqa: ARG002 - one short line
        """Say what belongs here."""
        return LineBuilder().add(f" {self._empty}", self.ink["muted"])

    def _wrap(self) -> None:
        self._wrapped_at = self.size.width
        if self._sheet is None or not self._wrapped_at:
            self._kind = ""
            self.set_rows(())
            return
        payload = self._sheet.payload
        self._kind, body = payload_text(payload) if payload is not None else ("", "")
        width = max(self._wrapped_at - 2, 10)
        pieces: list[tuple[str, str, str]] = []
        for label, text, ink in self._sheet.facts:
            for index, part in enumerate(_wrapped(text, width - _LABEL)):
                pieces.append((label or " " if index == 0 else " ", part, ink))
        if body:
            pieces.append(("", "", "text"))
        for raw in body.split("\n")[:_MOST_LINES] if body else ():
            pieces.extend(("", part, "text") for part in _wrapped(raw, width))
            if len(pieces) > _MOST_LINES:
                break
        self.set_rows(tuple(Piece(*piece, place) for place, piece in enumerate(pieces)))


def payload_text(payload: bytes) -> tuple[str, str]:
    """Return what *payload* is, in words, and how it is shown: JSON if it parses, else text, else hex."""
    size = fmt.size(len(payload))
    if not payload:
        return "empty", ""
    head = payload[:MOST_BYTES]
    part = "" if len(payload) <= MOST_BYTES else f", first {fmt.size(MOST_BYTES)}"
    try:
        if not part:
            return f"JSON, {size}", block(json.dumps(json.loads(head), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        pass
    try:
        text = head.decode() if not part else head.decode(errors="ignore")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or sum(not char.isprintable() and char not in "\n\r\t" for char in text) * 10 > len(text):
        return f"binary, {size}{part}", _hex(head[:8192])
    return f"text, {size}{part}", block(text)


def _wrapped(text: str, width: int) -> list[str]:
    """Cut a line at the width of the pane, by cells; between words where that leaves a line half full."""
    parts: list[str] = []
    while cell_len(text) > width:
        first = chop_cells(text, max(width, 2))[0]
        space = first.rfind(" ")
        cut = space + 1 if space > len(first) // 2 else len(first)
        parts.append(text[:cut].rstrip() if cut != len(first) else text[:cut])
        text = text[cut:]
    return [*parts, text]


def _hex(data: bytes) -> str:
    """Return the classic dump: offset, sixteen bytes, what of them can be printed."""
    rows = []
    for offset in range(0, len(data), 16):
        part = data[offset : offset + 16]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in part)
        rows.append(f"{offset:06x}  {part.hex(' '):<47}  {shown}")
    return "\n".join(rows)
