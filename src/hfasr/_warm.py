"""Importing what calls need, which takes a tenth of a second, off the event loop."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading

__all__ = ["import_ahead"]

_MODULES = (
    "hfasr._batch.asynchronous",
    "hfasr._batch.opening",
    "hfasr._core.pool",
    "hfasr._core.ready",
    "hfasr._long.call",
    "hfasr._long.plan",
    "hfasr._long.stream",
    "hfasr._run.asynchronous",
    "anyio.to_thread",
    "anyio.from_thread",
)
_is_done = False


async def import_ahead() -> None:
    """
    Import it in a thread, the first time; on asyncio and trio.

    Not through anyio, which is a part of what is to be imported.
    """
    if _is_done:
        return
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        await trio.to_thread.run_sync(_import_all, "anyio._backends._trio", abandon_on_cancel=True)
        return
    import asyncio

    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def tell() -> None:
        if not done.done():  # else the call was cancelled
            done.set_result(None)

    def work() -> None:
        try:
            _import_all("anyio._backends._asyncio")
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell)

    threading.Thread(target=work, name="hfasr-import", daemon=True).start()
    await done


def _import_all(backend: str) -> None:
    global _is_done  # noqa: PLW0603  # what is imported is so for the whole process
    # A package that is missing, or broken, is told of by the call that needs it.
    for name in (*_MODULES, backend):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    _is_done = True
