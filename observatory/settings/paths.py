"""Where the user's files live; every place can be moved by an `OBSERVATORY_*` variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = "observatory"
"""Name of our folder among those of other programs."""


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the settings file, `OBSERVATORY_CONFIG` or `observatory.toml` in the user's config folder."""
    return _moved(environ, "OBSERVATORY_CONFIG") or platformdirs.user_config_path(APP) / "observatory.toml"


def keymap_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the user's keymap, `OBSERVATORY_KEYMAP` or `keymap.toml` beside the settings."""
    return _moved(environ, "OBSERVATORY_KEYMAP") or platformdirs.user_config_path(APP) / "keymap.toml"


def themes_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's own themes, `OBSERVATORY_THEMES_DIR` or `themes` beside the settings."""
    return _moved(environ, "OBSERVATORY_THEMES_DIR") or platformdirs.user_config_path(APP) / "themes"


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the default data folder, `OBSERVATORY_DATA_DIR` or the platform's; a setting may name another."""
    return _moved(environ, "OBSERVATORY_DATA_DIR") or platformdirs.user_data_path(APP)


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for logs, history of inputs and the like, `OBSERVATORY_STATE_DIR` or the platform's."""
    return _moved(environ, "OBSERVATORY_STATE_DIR") or platformdirs.user_state_path(APP)


def _moved(environ: Mapping[str, str], variable: str) -> Path | None:
    named = environ.get(variable)
    return Path(named).expanduser().absolute() if named else None
