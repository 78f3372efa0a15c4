"""A process of its own that calls hostile servers, and tells how much memory each took. Linux only."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import httpx2

from hfasr import HfasrError, RetryPolicy
from tests.colours import Session

_SELF = Path("/proc/self")


def _status(name: str) -> int:
    """Return a size of this process, in bytes."""
    for line in (_SELF / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _call(task: dict[str, Any], url: str, audio: bytes) -> str:
    """Return the name of the error that a call of *url* ends with; ``"none"``: it has a transcript."""
    module: Any = {"own": None, "httpx": httpx, "httpx2": httpx2}[task["library"]]
    kind = "Client" if task["colour"] == "sync" else "AsyncClient"
    client = module and getattr(module, kind)()
    server, what = (task["warm"], f"{url}/clip.flac") if task["fetched"] else (url, audio)
    once = RetryPolicy(max_attempts=1)
    one = Session(
        task["colour"], http_client=client, base_url=server, dialect="hf", retry=once, allow_private_urls=True
    )
    try:
        one.transcribe(what, deadline=2 if url in task["late"] else 30)
    except HfasrError as error:
        return type(error).__name__
    else:
        return "none"
    finally:
        if client is not None:
            one.close_http(client)
        one.close()


def main() -> None:
    """Read ``{"colour", "library", "audio", "warm", "urls", "late", "fetched"}``, and print ``{name: [error, bytes]}``."""
    task = json.load(sys.stdin)
    audio = Path(task["audio"]).read_bytes()
    _call({**task, "fetched": False}, task["warm"], audio)  # so that everything is imported
    gc.collect()
    before = _status("VmRSS")
    found: dict[str, tuple[str, int]] = {}
    for name, url in task["urls"].items():
        with contextlib.suppress(OSError):  # where that is not allowed, the peak is that of all until now
            (_SELF / "clear_refs").write_text("5")
        error = _call(task, url, audio)
        found[name] = error, _status("VmHWM") - before
        gc.collect()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
