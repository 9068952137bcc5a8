"""The README's programs for agents' authors do what they say, run as they are printed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"<!-- tested: ([\w ]+) -->\n```python\n(.*?)```", README, re.DOTALL))


async def test_the_conversation_of_the_readme_takes_place(bus_url: str) -> None:
    """A request is answered, a letter is read, and the program ends by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAMS["library conversation"],
        env={**os.environ, "OBSERVATORY_URL": bus_url},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        told, _ = await process.communicate()
    assert told.decode().splitlines() == ['reply: {"sum":6}', 'letter: {"please":"review"}']
    assert process.returncode == 0
