"""`observatory web`: a key typed in a real browser reaches the app, and the browser shows what follows."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cli.conftest import Cli

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def served(cli: Cli) -> AsyncIterator[int]:
    """Serve the app on a port of this machine."""
    port = free_port()
    process = cli.start("web", "--port", str(port))
    try:
        await eventually(lambda: _listens(port), timeout=20)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


class Tab:
    """A page of a headless browser, steered over its DevTools socket."""

    def __init__(self, devtools: aiohttp.ClientWebSocketResponse) -> None:
        self._devtools = devtools
        self._asked = 0
        self._answers: dict[int, Any] = {}
        self.received = b""

    async def listen(self) -> None:
        """Take in what the browser says, and keep what the page gets over its own socket."""
        async for message in self._devtools:
            said = json.loads(message.data)
            if "id" in said:
                self._answers[said["id"]] = said.get("result")
            elif said["method"] == "Network.webSocketFrameReceived":
                frame = said["params"]["response"]
                data = frame["payloadData"]
                self.received += base64.b64decode(data) if frame["opcode"] == 2 else data.encode()

    async def ask(self, method: str, **parameters: object) -> Any:
        """Ask the browser for something and wait for its answer."""
        self._asked += 1
        number = self._asked
        await self._devtools.send_json({"id": number, "method": method, "params": parameters})
        await eventually(lambda: number in self._answers, timeout=20)
        return self._answers[number]

    async def press(self, digit: str) -> None:
        """Press and release the key of a digit, with the focus where a click in the page puts it."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=600, y=20, button="left", clickCount=1)
        key = {"key": digit, "code": f"Digit{digit}", "windowsVirtualKeyCode": ord(digit)}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", text=digit, **key)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **key)

    async def picture(self) -> bytes:
        """Return what the page looks like, as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browsed(url: str, folder: Path) -> AsyncIterator[Tab]:
    """Open *url* in a headless browser of its own."""
    port = free_port()
    browser = subprocess.Popen(  # noqa: ASYNC220 - it runs beside the test, which only looks whether it listens
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
            f"--remote-debugging-port={port}", "--window-size=1200,800", "about:blank",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await eventually(lambda: _listens(port), timeout=30)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                page = next(target for target in await answer.json() if target["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as devtools:
                tab = Tab(devtools)
                listening = asyncio.create_task(tab.listen())
                await tab.ask("Network.enable")
                await tab.ask("Page.enable")
                await tab.ask("Page.navigate", url=url)
                yield tab
                listening.cancel()
    finally:
        browser.terminate()
        browser.wait(10)


@pytest.mark.skipif(not BROWSER, reason="no Chromium on the PATH; .ci/run installs it")
async def test_a_key_in_the_browser_changes_the_screen(bus_cli: Cli, tmp_path: Path) -> None:
    """The overview is drawn in the page; 3 is typed; the page gets the pending entries and looks different."""
    async with served(bus_cli) as port, browsed(f"http://127.0.0.1:{port}", tmp_path / "browser") as tab:
        await eventually(lambda: b"no agents yet" in tab.received, timeout=30)
        before, seen = await tab.picture(), len(tab.received)
        await tab.press("3")
        await eventually(lambda: b"nothing is pending" in tab.received[seen:], timeout=30)

        async def changed() -> bool:
            return await tab.picture() != before

        await eventually(changed, timeout=20)


async def test_pages_of_other_origins_are_refused(bus_cli: Cli) -> None:
    """What another page of the same browser asks for is not answered: it could type into the app."""
    async with served(bus_cli) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/"
        async with session.get(url) as answer:
            assert answer.status == 200
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 403


def test_it_is_not_exposed_by_accident(bus_cli: Cli) -> None:
    """An address that other machines reach is refused unless somebody insists; a port must be one."""
    bus_cli("web", "--host", "0.0.0.0").refused(2, "no password", "--expose")  # noqa: S104 - that is what is refused
    bus_cli("web", "--port", "99999").refused(2, "is no port")
