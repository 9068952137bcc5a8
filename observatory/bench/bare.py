"""The bare handler that the gateway is held against: the same server and framework, and nothing but an XADD.

Run as a program by `bench.gateway`: no keys, no checks, no record, no event, no log.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import redis.asyncio as aioredis
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from observatory.edge.gateway.server import run_loop


async def main() -> int:
    """Serve on a free port, which is told on stderr, until interrupted."""
    client = aioredis.Redis.from_url(os.environ["OBSERVATORY_URL"], protocol=2)
    app = FastAPI()

    @app.post("/agents/{agent}/send")
    async def send(agent: str, request: Request) -> JSONResponse:
        entry: bytes = await client.execute_command("XADD", f"bare:{agent}", "*", "payload", await request.body())
        return JSONResponse({"ticketId": entry.decode(), "status": "queued"}, 201)

    config = uvicorn.Config(app, http="httptools", lifespan="off", interface="asgi3", access_log=False, log_config=None)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    print(f"serving http://127.0.0.1:{listening.getsockname()[1]}", file=sys.stderr, flush=True)
    await uvicorn.Server(config).serve([listening])
    await client.aclose()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run_loop(main()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
