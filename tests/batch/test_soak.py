"""Twenty thousand requests with faults of every kind among them."""

from __future__ import annotations

import collections
import gc
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfasr import HfasrError, RetryPolicy
from hfasr.testing import FakeASRServer, replies
from tests.batch.conftest import text_of
from tests.core.test_transport import wait_for

if TYPE_CHECKING:
    from tests.colours import Session

N_REQUESTS = 20_000
FAULTY = 0.1
COLOURS = 3

FAULTS: tuple[Callable[[], Any], ...] = (
    lambda: replies.server_error(500),
    lambda: replies.server_error(502),
    lambda: replies.server_error(504),
    replies.overloaded,
    replies.rate_limited,
    lambda: replies.rate_limited(retry_after=0),
    lambda: replies.loading(0.01),
    replies.malformed_audio,
    replies.does_not_exist,
    replies.not_found,
    replies.NotHTTP,
    lambda: replies.Reset("accept"),
    lambda: replies.Reset("in_request"),
    lambda: replies.Reset("before_reply"),
    replies.Truncated,
)
"""Those that are not about the account: they would rightly end the batch."""


def faults(n_actions: int, seed: int) -> Iterator[Any]:
    """Give the server's actions: one in ten is a fault."""
    rng = random.Random(seed)
    for _ in range(n_actions):
        yield rng.choice(FAULTS)() if rng.random() < FAULTY else replies.Normal()


def open_files() -> int | None:
    """Return how many files and sockets this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_soak(session: Callable[..., Session], colour: str, clips: Callable[[int], bytes]) -> None:
    """Every item ends in its transcript or a typed error, and nothing is left open or running."""
    n_requests = N_REQUESTS // COLOURS + 1
    policy = RetryPolicy(max_attempts=4, wait_initial=0.01, wait_max=0.05, breaker_threshold=None)
    before = threading.active_count()
    with FakeASRServer() as server:
        server.script(*[replies.Normal()] * 16)  # an account or a model that is wrong from the start ends a batch
        server.script(*faults(2 * n_requests, seed=len(colour)))
        asr = session(router_url=server.router_url, retry=policy, timeout=20)
        ended: collections.Counter[str] = collections.Counter()

        def inputs() -> Iterator[bytes]:
            for number in range(10**9):
                if len(server.requests) >= n_requests:
                    return
                yield clips(number % 16)

        files_before = open_files()
        for item in asr.transcribe_many(inputs(), max_concurrency=16):
            if item.transcript is not None:
                assert item.transcript.text == text_of(item.index % 16)
                ended["transcript"] += 1
            else:
                assert isinstance(item.error, HfasrError), repr(item.error)
                assert item.error.attempts
                ended[type(item.error).__name__] += 1
        assert len(server.requests) >= n_requests
        n_failed = ended.total() - ended["transcript"]
        assert 0 < n_failed < 0.1 * ended.total(), ended
        assert server.connections.open <= 16
        asr.call("close" if colour == "sync" else "aclose")
        wait_for(lambda: server.connections.open == 0)
        gc.collect()
        files_after = open_files()
        if files_before is not None and files_after is not None:
            assert files_after <= files_before + 8  # of the event loop's own threads and the server's last ones
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("hfasr")]
    if colour == "sync":
        wait_for(lambda: threading.active_count() <= before)


def test_faults_are_as_many_as_said() -> None:
    """One action in ten is a fault, and every kind comes up."""
    actions = list(faults(20_000, seed=1))
    n_faults = sum(action != replies.Normal() for action in actions)
    assert 0.09 < n_faults / len(actions) < 0.11
    assert len({repr(action)[:60] for action in actions}) >= 10
