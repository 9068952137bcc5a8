"""What the user configured: schema, loading order, paths, keymap and themes, as plain data.

Defaults, then the file, then `OBSERVATORY_*` variables, then flags; every value knows where it came from. A leaf:
it imports only `model`, and knows colours but not Textual. The keymap, which headless verbs do without, is in
`settings.keymap` and not loaded here.
"""

from observatory.settings.load import describe, load, save_choice
from observatory.settings.paths import config_file, data_dir, keymap_file, state_dir, themes_dir
from observatory.settings.schema import SETTINGS, Setting, SettingRow, Settings
from observatory.settings.themes import ThemeSet, ThemeSpec, themes, themes_stamp

__all__ = [
    "SETTINGS",
    "Setting",
    "SettingRow",
    "Settings",
    "ThemeSet",
    "ThemeSpec",
    "config_file",
    "data_dir",
    "describe",
    "keymap_file",
    "load",
    "save_choice",
    "state_dir",
    "themes",
    "themes_dir",
    "themes_stamp",
]
