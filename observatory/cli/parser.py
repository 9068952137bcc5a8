"""The shape of the command line: one parser class, and the flags that every verb understands.

Nothing here knows a verb, and nothing here is slow to import: `--help` must not wait for a room of the house.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from observatory.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[[argparse.Namespace], int]
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (argparse names the type nowhere else)

_FILLED = 98
"""Characters from which on a line of help was filled, and goes on in the next."""

SETTING_FLAGS = ("url", "context", "prefix", "data_dir", "read_only", "theme")
"""Flags that are settings: given on the command line, they win over environment and file."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Help whose sentences are filled to the width of the terminal; what is indented, such as examples, is kept."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        rows: list[str] = []
        open_row = False
        for row in text.splitlines():
            if open_row and row and not row.startswith(" "):
                rows[-1] += f" {row}"
            else:
                rows.append(row)
            # A line that was filled in the source goes on in the next one; one that ends a thought does not.
            open_row = not row.startswith(" ") and len(row) > _FILLED and row[-1] not in ".:"
        kept = [row if row.startswith(" ") else textwrap.fill(row, width, break_long_words=False) for row in rows]
        return "\n".join(f"{indent}{row}" for row in kept)


class Parser(argparse.ArgumentParser):
    """An argument parser whose refusals are `UsageError`, so that one place words every error.

    What begins with a minus and a digit, such as `-5m`, is a value and no flag.
    """

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - those of its parent
        super().__init__(*args, **options)
        self._negative_number_matcher = re.compile(r"-\d")

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UsageError: Always; *message* is argparse's own account of what is wrong.
        """
        raise UsageError(message, f"see `{self.prog} --help`")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as argparse has it
        """Parse, and refuse what is left over where it stands: the verb that does not know a flag names its help.

        Raises:
            UsageError: Something is left over.
        """
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


def add_global_flags(parser: argparse.ArgumentParser, *, theme: bool = False) -> None:
    """Add the flags that stand before or after any verb; those not given leave no trace in the namespace.

    Args:
        parser: The parser of the program or of a verb.
        theme: Whether `--theme` has a meaning there.
    """
    group = parser.add_argument_group("connection and settings")
    group.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        metavar="URL",
        help="the bus: redis://[user:password@]host[:port][/db], unix:///path, "
        "redis+sentinel://host,host/<primary>, redis+cluster://host,host, with TLS rediss://…, rediss+sentinel://… "
        "or rediss+cluster://… (or OBSERVATORY_URL, which keeps the password out of the process list)",
    )
    group.add_argument(
        "--context", default=argparse.SUPPRESS, metavar="NAME", help="one of the buses that the settings file names"
    )
    group.add_argument("--prefix", default=argparse.SUPPRESS, metavar="NAME", help="prefix of the bus's keys (cortex)")
    group.add_argument("--config", default=argparse.SUPPRESS, metavar="FILE", help="read this file of settings")
    group.add_argument(
        "--data-dir", default=argparse.SUPPRESS, metavar="DIR", help="where the embedded engine keeps its data"
    )
    group.add_argument(
        "--read-only", default=argparse.SUPPRESS, action="store_true", help="refuse everything that changes the bus"
    )
    if theme:
        group.add_argument(
            "--theme", default=argparse.SUPPRESS, metavar="NAME", help="colours, see `observatory themes`"
        )


def add_verb(verbs: Verbs, name: str, run: Run, *, summary: str, details: str = "", theme: bool = False) -> Parser:
    """Add one verb to the command line.

    Args:
        verbs: Where it is added.
        name: The verb.
        run: What it does; returns the exit code.
        summary: One line for the list of verbs.
        details: What `<verb> --help` says besides; its line breaks are kept.
        theme: Whether `--theme` has a meaning for it.

    Returns:
        Its parser, for arguments of its own.
    """
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=details or None,
        formatter_class=Help,
        allow_abbrev=False,
    )
    assert isinstance(parser, Parser)  # noqa: S101 (subparsers are made of the class of their parent)
    parser.set_defaults(run=run)
    add_global_flags(parser, theme=theme)
    return parser


def add_group(verbs: Verbs, name: str, *, summary: str) -> Verbs:
    """Add a verb that has verbs of its own, such as `dlq ls`.

    Args:
        verbs: Where it is added.
        name: The verb.
        summary: One line for the list of verbs.

    Returns:
        Where its own verbs are added.
    """

    def run(_args: argparse.Namespace) -> int:
        parser.error("say what to do")

    parser = add_verb(verbs, name, run, summary=summary)
    return parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)


def leaves(parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield *parser* and every parser below it, with the words that lead to it."""
    yield (), parser
    for action in parser._actions:  # noqa: SLF001 (argparse has no other way to ask)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for word, below in action.choices.items():
                yield from (((word, *words), found) for words, found in leaves(below))
