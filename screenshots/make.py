"""Makes the pictures of the README from seeded data: SVG by Textual, PNG by whatever the machine has.

Run it from the top of the checkout: `python screenshots/make.py [name …]`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from observatory.model.alert import DEFAULT_RULES  # noqa: E402
from tests.tui import seed  # noqa: E402 - the checkout is not installed, the package is

if TYPE_CHECKING:
    from collections.abc import Callable

    from observatory.model.snapshot import Snapshot

TYPED = ("s", *"code_task", "tab", *"@pink", "f1", "tab", "tab", *'{"repo": "api"}')
SHOTS: dict[str, tuple[Callable[[], Snapshot], str, tuple[int, int], tuple[str, ...]]] = {
    "overview": (seed.swarm, "observatory-dark", (160, 48), ()),
    "overview-light": (seed.swarm, "observatory-light", (120, 40), ()),
    "overview-small": (seed.swarm, "observatory-dark", (80, 24), ()),
    "overview-link-down": (seed.link_down, "observatory-dark", (120, 40), ()),
    "dead-letters": (seed.swarm, "observatory-dark", (160, 48), ("4",)),
    "lane": (seed.swarm, "observatory-dark", (160, 48), ("2", "j", "enter", "j", "j")),
    "pending": (seed.swarm, "observatory-dark", (120, 40), ("3", "space", "space")),
    "agents": (seed.swarm, "observatory-dark", (160, 48), ("5",)),
    "trace": (seed.swarm, "observatory-dark", (160, 48), ("6", "j", "j", "enter")),
    "activity": (seed.swarm, "observatory-dark", (120, 40), ("8",)),
    "engine": (seed.swarm, "observatory-dark", (160, 48), ("9",)),
    "filter": (seed.swarm, "observatory-dark", (120, 40), ("3", "slash", *"idle>5m ag")),
    "send": (seed.swarm, "observatory-dark", (120, 40), TYPED),
    "help": (seed.swarm, "observatory-dark", (120, 40), ("question_mark",)),
    "palette": (seed.swarm, "high-contrast", (120, 40), ("ctrl+p",)),
}  # fmt: skip
"""Name of each picture: its data, theme, size, and the keys that lead to it."""

WATCHED = ("overview", "activity")
"""Beginnings of the names of pictures on which alerts are to be seen."""


async def main(names: list[str]) -> None:
    """Make the pictures called *names*, or all."""
    for name, (data, theme, size, keys) in SHOTS.items():
        if names and name not in names:
            continue
        rules = DEFAULT_RULES if name.startswith(WATCHED) else ()
        app, _, _ = seed.make_app(data(), theme=theme, folder=Path(tempfile.gettempdir()), rules=rules)
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.3)
            for key in keys:
                await pilot.press(
                    {"_": "underscore", "@": "at", ">": "greater_than_sign", " ": "space"}.get(key, key)
                    if len(key) == 1
                    else key
                )
                await pilot.pause(0.1)
            await pilot.pause(0.5)
            svg = app.export_screenshot(title="observatory")
        target = HERE / f"{name}.svg"
        target.write_text(svg, encoding="utf-8")
        to_png(svg, target.with_suffix(".png"))
        print(target.relative_to(HERE.parent))


def to_png(svg: str, target: Path) -> None:
    """Draw *svg* with headless Chromium if there is one (braille lines up), else with rsvg-convert or cairosvg."""
    # The web fonts that the file names are never reached from a closed machine.
    svg = re.sub(r',\s*url\("https?://[^"]+"\)(?:\s*format\("[^"]+"\))?', "", svg)
    browser = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    with tempfile.TemporaryDirectory() as folder:
        if browser:
            _with_browser(browser, svg, target, Path(folder))
        elif convert := shutil.which("rsvg-convert"):
            source = Path(folder) / "shot.svg"
            source.write_text(svg, encoding="utf-8")
            subprocess.run([convert, "--output", str(target), str(source)], check=True)
        else:
            import cairosvg  # type: ignore[import-not-found]  # noqa: PLC0415 - only where nothing better is installed

            cairosvg.svg2png(bytestring=svg.encode(), write_to=str(target))


def _with_browser(browser: str, svg: str, target: Path, folder: Path) -> None:
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    width, height = (int(float(number) + 0.999) for number in match.groups()) if match else (1600, 1000)
    page = folder / "page.html"
    style = f"html,body{{margin:0;background:#000}}svg{{display:block;width:{width}px;height:{height}px}}"
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{svg}", encoding="utf-8")
    subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={folder}/profile", "--force-device-scale-factor=1",
            f"--window-size={width},{height}", f"--screenshot={target.absolute()}", page.as_uri(),
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
