"""Waiting for a server or an engine to be ready, and loading engines ahead."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from hfasr._hosted.dialect import Ask
from hfasr.audio import load
from hfasr.errors import APIError, APIStatusError, HfasrError
from hfasr.types import Audio, RetryPolicy
from hfasr.wire import Request

from .config import seconds_above_0
from .context import CallContext
from .failover import circuit
from .hosted import HostedCall
from .local import load_ahead
from .prepared import PreparedAudio
from .retry import is_retryable, polling_pause
from .routes import HostedRoute, LocalRoute, plan
from .telemetry import model_attributes
from .watch import Watched

if TYPE_CHECKING:
    from .config import Config
    from .io import IO
    from .shared import Shared

__all__ = ["preload", "wait_until_ready"]

_SILENCE_RATE_HZ = 16_000


async def preload(io: IO, config: Config, shared: Shared) -> None:
    """Load every local engine of *config*; see `ASRClient.preload`."""
    call = CallContext(io, config, shared, None)
    for route in plan(config, None):
        if isinstance(route, LocalRoute):
            await load_ahead(call, route)
            shared.breaker.forget(circuit(call, route))


async def wait_until_ready(io: IO, config: Config, shared: Shared, timeout: float) -> None:
    """Wait for the first route; see `ASRClient.wait_until_ready`."""
    seconds_above_0("timeout", timeout)
    # Single requests: the pauses between them are decided here, except while a model says that it is loading.
    policy = RetryPolicy(max_attempts=1, loading_timeout=timeout)
    # What is sent is a short silence of one channel, whatever is taken of the caller's audio.
    call = CallContext(io, replace(config, retry=policy, channels="mix"), shared, timeout)
    call.route = route = plan(config, None)[0]
    with Watched("wait_until_ready", lambda: model_attributes(route), call):
        if isinstance(route, LocalRoute):
            await _load_in_time(call, route, timeout)
        else:
            await _poll(call, route, policy)
    shared.breaker.forget(circuit(call, route))


async def _load_in_time(call: CallContext, route: LocalRoute, timeout: float) -> None:
    try:
        await call.io.within(timeout, load_ahead(call, route))
    except TimeoutError as error:
        if isinstance(error, HfasrError):
            raise
        raise call.deadline_error(f"waiting for {route.name} to be ready") from None


async def _poll(call: CallContext, route: HostedRoute, policy: RetryPolicy) -> None:
    """Ask *route* until it is ready, with growing pauses."""
    for n_polls in itertools.count():
        try:
            await _ask(call, route)
        except APIError as error:
            call.last_api_error = error
            if not is_retryable(error, policy):
                call.stamp(error)
                raise
            asked = error.retry_after if isinstance(error, APIStatusError) else None
        else:
            return
        wait = max(polling_pause(n_polls, call.io.clock), asked or 0.0)
        left = call.left()
        if left is None or wait >= left:
            raise call.deadline_error(f"waiting for {route.name} to be ready")
        await call.sleep(wait)


async def _ask(call: CallContext, route: HostedRoute) -> None:
    """
    Ask once whether *route* is ready.

    An endpoint has an address for that. The router has none: only a transcription tells whether
    the model is loaded, so a short silence is sent.
    """
    import numpy as np

    silence = Audio(np.zeros(_SILENCE_RATE_HZ // 2, np.float32), _SILENCE_RATE_HZ)
    hosted = HostedCall(call, route, Ask(), PreparedAudio(call, await load(silence, call)), call.left())
    dialect, server = await hosted.find_server()
    url = dialect.ready_url(server)
    if url is None:
        await hosted.run()
        return
    response = await hosted.exchange.send(Request("GET", url), server)
    # A server without such an address is up: it has answered.
    if response.status_code >= 400 and response.status_code not in {404, 405}:
        raise hosted.exchange.diagnose(response, server, None).error
