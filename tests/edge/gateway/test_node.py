"""A client in another language, with a WebSocket of its own: Node and the `ws` package."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.edge.gateway.conftest import Rig

PROGRAM = Path(__file__).parent / "node" / "agent.js"

pytestmark = pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="there is no Node here")


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install `ws`; return the folder that Node finds it in."""
    folder = tmp_path_factory.mktemp("node")
    words = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "ws@8")
    installed = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert installed.returncode == 0, f"ws cannot be installed: {installed.stderr[-200:]}"
    return folder / "node_modules"


async def test_an_agent_in_node_reads_works_and_answers(rig: Rig, modules: Path) -> None:
    """Mail, tasks and a heartbeat over its socket; a message sent by HTTP; nothing lost, nothing twice."""
    token, _ = await rig.bus.api_keys.create(role="agent", agents=("node-1",))
    process = await asyncio.create_subprocess_exec(
        *("node", str(PROGRAM), f"http://127.0.0.1:{rig.port}", token, "node-1"),
        env={"NODE_PATH": str(modules), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
            said = [f"note {number} \u2603" for number in range(20)]
            for text in said:
                await rig.bus.send_message("node-1", text, sender="harold")
            assert (await rig.bus.request("double", "21", queue="@node-1", wait=True)).payload == b"42"
            await rig.bus.send_message("node-1", "enough", sender="harold")
            assert await process.stdout.readline() == b"201\n"
            async with rig.bus.inbox("harold") as inbox:
                letter = await anext(inbox)
            assert letter.sender == "node-1"
            assert json.loads(letter.payload) == {"heard": [*said, "enough"]}
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    agents = (await rig.client.get("/agents")).json()["agents"]
    assert "node-1" in [one["name"] for one in agents]
