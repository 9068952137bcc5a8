"""The interface that the gateway describes is the one that it has."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from observatory.bus import Bus
from observatory.edge.gateway.options import GatewayOptions
from observatory.edge.gateway.server import Serving, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = 8
"""Requests that are made up for each route; ten times as many with --soak."""

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
)


@pytest.fixture
def served(bus_url: str) -> Iterator[tuple[str, str]]:
    """Serve in a thread of its own, as schemathesis makes its requests without a loop; yield address and key."""
    started: list[tuple[Serving, str]] = []
    ready = threading.Event()

    async def run() -> None:
        async with Bus.connect(bus_url, many_inboxes=True) as bus:
            token, _ = await bus.api_keys.create(role="operator")

            def note(serving: Serving) -> None:
                started.append((serving, token))
                ready.set()

            await serve(bus, GatewayOptions(port=0, rate=0, longest_wait_s=0.05, access_log=False), started=note)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    serving, token = started[0]
    yield f"http://127.0.0.1:{serving.port}", token
    serving.stop()
    thread.join(20)


def test_whatever_is_sent_is_answered_as_described(served: tuple[str, str], soak: bool) -> None:
    """No request that can be made up from the description is answered otherwise than described."""
    url, token = served
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    tried = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr] # what cannot be read fails here
        if operation.path == "/events":
            continue  # It has no end that could be awaited; its own tests read it.

        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        settings(
            max_examples=EXAMPLES * (10 if soak else 1),
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(case=cases(operation))(ask))()
        tried += 1
    assert tried >= 17


def cases(operation: Any) -> Any:
    """Return what makes up requests for *operation*: such as are right, and such as are wrong."""
    modes = schemathesis.GenerationMode
    right = operation.as_strategy(generation_mode=modes.POSITIVE)
    return right | operation.as_strategy(generation_mode=modes.NEGATIVE)
