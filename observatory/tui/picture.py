"""One frame of the app as a picture, drawn without any terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory.model.errors import ObservatoryError

if TYPE_CHECKING:
    from observatory.tui.app import ObservatoryApp

PATIENCE_S = 10.0
"""Seconds in which the first numbers must be on the screen."""

LOOKS = 2
"""Looks at the bus after which the picture is drawn: rates take two."""

_STEP_S = 0.05


async def picture(app: ObservatoryApp, *, size: tuple[int, int], screen: str) -> str:
    """Run *app* out of sight until it shows numbers, and return what it shows as SVG.

    Args:
        app: The app; it is over afterwards.
        size: Columns and rows.
        screen: Name of the screen to draw.

    Raises:
        ObservatoryError: Nothing was to be seen in time.
    """
    async with app.run_test(size=size) as pilot:
        app.switch_mode(screen)
        for _ in range(round(PATIENCE_S / _STEP_S)):
            await pilot.pause(_STEP_S)
            if app.desk.latest.sequence >= LOOKS and app.desk.latest.at_ms:
                break
        else:
            raise ObservatoryError(f"nothing was to be seen within {PATIENCE_S:g} s", "try `observatory status`")
        await pilot.pause(_STEP_S)
        return app.export_screenshot(title="observatory")
