"""
Serve speech to text over HTTP, with FastAPI.

    python examples/service.py 8080
    curl -F file=@examples/audio/train.flac http://127.0.0.1:8080/transcribe
"""

# --8<-- [start:imports]

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hfasr import (
    APITimeoutError,
    AsyncASRClient,
    AudioError,
    AudioTooLongError,
    DeadlineExceededError,
    HfasrError,
    ModelLoadingError,
    RateLimitError,
    UnsupportedAudioError,
)

MAX_BYTES = 25 * 2**20  # of one request, the form around the file included
DEADLINE_S = 60.0

log = logging.getLogger("service")

# --8<-- [end:imports]
# --8<-- [start:app]


def create_app(asr: AsyncASRClient | None = None) -> FastAPI:
    """Return the service. Tests pass a client of their own."""
    # What a stranger sends is never opened as a path.
    asr = asr or AsyncASRClient(allow_paths=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with asr:  # one client, and its connections, for all requests
            await asr.preload()  # an engine here loads now, if there is one
            yield

    app = FastAPI(title="Speech to text", lifespan=lifespan)
    app.add_middleware(LimitedBody, max_bytes=MAX_BYTES)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/transcribe")
    async def transcribe(
        request: Request,
        file: UploadFile,
        language: Annotated[str | None, Query(pattern="^[a-z]{2,3}$")] = None,
    ) -> Response:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_when_gone, request, group.cancel_scope)
            try:
                transcript = await asr.transcribe(
                    file,
                    language=language,
                    return_timestamps=True,
                    deadline=DEADLINE_S,
                )
            except HfasrError as error:
                answer = refusal(error)
            else:
                answer = JSONResponse(transcript.to_dict())
            group.cancel_scope.cancel()  # the watch is over
            return answer
        return Response(status_code=499)  # nobody is there to read it

    return app


# --8<-- [end:app]
# --8<-- [start:refusal]


def refusal(error: HfasrError) -> JSONResponse:
    """Tell the caller in one line what happened, and keep to ourselves what only we can mend."""
    if isinstance(error, AudioError):  # the caller's: told what is wrong
        status = {AudioTooLongError: 413, UnsupportedAudioError: 415}.get(type(error), 422)
        return JSONResponse({"detail": str(error)}, status)
    log.warning("%s: %s", type(error).__name__, error)  # no token, no text
    headers = {}
    if isinstance(error, DeadlineExceededError | APITimeoutError):
        status, detail = 504, "no transcript in time; try again, or send less"
    elif isinstance(error, RateLimitError | ModelLoadingError):
        status, detail = 503, "busy; try again later"
        headers["Retry-After"] = str(round(error.retry_after or 30))
    else:
        status, detail = 502, "no transcript could be made; the operator's log has the reason"
    return JSONResponse({"detail": detail}, status, headers)


# --8<-- [end:refusal]
# --8<-- [start:gone]


async def cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    """Cancel *scope* as soon as the caller hangs up, so that nothing is sent or paid for in vain."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
    scope.cancel()


# --8<-- [end:gone]
# --8<-- [start:limit]


class LimitedBody:
    """Refuse a body that is too large while it comes in, before it has filled the disk."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application receives."""
        headers: dict[bytes, bytes] = dict(scope.get("headers", []))
        taken = 0
        declared = int(headers.get(b"content-length", b"0"))  # uvicorn has checked it

        async def counted() -> Message:
            nonlocal taken
            message: dict[str, Any] = dict(await receive())
            taken += len(message.get("body", b""))
            if max(taken, declared) > self.max_bytes:
                raise HTTPException(413, f"at most {self.max_bytes} bytes are taken")
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


# --8<-- [end:limit]

if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python examples/service.py PORT", file=sys.stderr)
        sys.exit(2)
    # More callers at once are told to come back (503), rather than left to wait.
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), limit_concurrency=100)
