"""The filter language: one for all screens and the command line.

    priority:high type:deploy agent:pink idle>5m deliveries>3 payload.repo~"api" -state:cancelled

`Filter` compiles a text for one kind of row (`FieldSet`) and is then asked row by row. `parse` and `describe` go from
text to tree and back, `complete` says what could be typed next. Nothing here knows a screen or the bus.
"""

from observatory.model.filter.complete import Choice, Completion, complete
from observatory.model.filter.errors import FilterError
from observatory.model.filter.evaluate import Filter
from observatory.model.filter.fields import OPERATORS, Field, FieldSet, FieldValue, Kind, Missing
from observatory.model.filter.interval import ALL, Interval
from observatory.model.filter.parse import parse
from observatory.model.filter.syntax import Node, describe, value_text

__all__ = [
    "ALL",
    "OPERATORS",
    "Choice",
    "Completion",
    "Field",
    "FieldSet",
    "FieldValue",
    "Filter",
    "FilterError",
    "Interval",
    "Kind",
    "Missing",
    "Node",
    "complete",
    "describe",
    "parse",
    "value_text",
]
