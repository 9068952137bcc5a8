"""From the table of commands to what Textual wants: bindings, checks, and running a command by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from observatory.model.commands import COMMANDS, MOVE, Command, Needs, Situation, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import App
    from textual.dom import DOMNode
    from textual.screen import Screen


def bindings(*scopes: str) -> list[Binding]:
    """Return the bindings of every command of *scopes*; one without a key can still be given one by a keymap."""
    return [
        Binding(
            _key_list(command, command.keys),
            command.action,
            command.label,
            show=command.footer > 0,
            tooltip=command.description,
            id=command.id,
            priority=command.priority,
        )
        for command in COMMANDS
        if command.scope in scopes
    ]


def overrides(changed: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return what Textual's `set_keymap` takes for commands whose keys differ from their defaults.

    Args:
        changed: Keys by command id, empty for a command that shall have none, as `Keymap.changed` gives them.
    """
    return {identity: _key_list(_BY_ID[identity], keys) for identity, keys in changed.items()}


def verdict(action: str, situation: Situation) -> bool | None:
    """Answer Textual's `check_action`: True, or None (shown greyed) where the command may not run now."""
    command = _GUARDED.get(action)
    return None if command is not None and refusal(command, situation) else True


def needs_selection(action: str) -> bool:
    """Say whether *action* makes no sense without a row under the cursor."""
    command = _GUARDED.get(action)
    return command is not None and command.needs is Needs.SELECTION


def live_commands(screen: Screen[Any]) -> dict[str, tuple[Command, DOMNode, tuple[str, ...], bool]]:
    """Return the commands that are bound where the cursor is now.

    Returns:
        By command id: the command, the node that carries it out, its keys as bound now, none for a command that has
        no key, and whether it may run.
    """
    found: dict[str, tuple[Command, DOMNode, tuple[str, ...], bool]] = {}
    for key, active in screen.active_bindings.items():
        command = _BY_ID.get(active.binding.id or "")
        if command is None:
            continue
        keys = (*found[command.id][2], key) if command.id in found else (key,)
        keys = () if key == _key_list(command, ()) else keys
        found[command.id] = (command, active.node, keys, active.enabled)
    return found


def commands_here(screen: Screen[Any]) -> dict[str, tuple[Command, DOMNode, tuple[str, ...], bool]]:
    """Return every command that works on *screen*, in the order of the table: the live ones and those without a key."""
    live = live_commands(screen)
    return {command.id: live[command.id] for command in COMMANDS if command.id in live}


async def run_command(app: App[int], command: Command, node: DOMNode, argument: str = "") -> None:
    """Carry out *command* on *node*, the way its key does.

    Args:
        app: The app.
        command: What to do.
        node: The screen or widget that has the action.
        argument: What followed the name on the `:` line, for commands that take something.
    """
    action = f"{command.action}({argument!r})" if command.argument and argument else command.action
    await app.run_action(action, node)


def why_not(screen: Screen[Any], key: str, situation: Situation) -> str:
    """Say why the command on *key* may not run now; empty if the key is free or its command may run.

    A key that only moves needs no excuse: an empty list says itself that there is nothing to open.
    """
    active = screen.active_bindings.get(key)
    command = _BY_ID.get((active.binding.id or "") if active else "")
    if command is None or active is None or active.enabled or command.group == MOVE:
        return ""
    return f"{command.label}: {refusal(command, situation) or 'not possible now'}"


def _key_list(command: Command, keys: tuple[str, ...]) -> str:
    """Return keys as Textual takes them; no key is a name that no terminal can send, since it wants at least one."""
    return ",".join(keys) or f"<{command.id}>"


_BY_ID: Mapping[str, Command] = {command.id: command for command in COMMANDS}

_GUARDED: Mapping[str, Command] = {
    command.action.partition("(")[0]: command
    for command in COMMANDS
    if command.writes or command.needs is not Needs.NOTHING
}
"""Commands that are not always possible, by the name of their action."""
