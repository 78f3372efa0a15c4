"""
Hugging Face's own server code, run on loopback: what the fakes are held to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

from hfasr.types import Audio, TranscribeOptions, Transcript

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["aic_server", "ffmpeg_on_path"]

START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The model as ``api-inference-community`` wants it: a callable with a sampling rate."""

    engine: Callable[[Audio, TranscribeOptions], Transcript]
    sampling_rate: int = 16_000

    def __call__(self, inputs: npt.NDArray[np.float32], **parameters: Any) -> dict[str, str]:
        return {"text": self.engine(Audio(inputs, self.sampling_rate), TranscribeOptions()).text}


@contextlib.contextmanager
def aic_server(engine: Callable[[Audio, TranscribeOptions], Transcript]) -> Iterator[str]:
    """
    Run ``api-inference-community`` 0.0.37 with *engine* behind it, and give its URL.

    Its routes are set up as in the main module of its Docker images: any path answers ``GET`` with
    ``{"ok": "ok"}`` and ``POST`` with the pipeline. It decodes with the ffmpeg program.
    """
    import uvicorn
    from api_inference_community.routes import pipeline_route, status_ok
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(
        routes=[
            Route("/{whatever:path}", status_ok),
            Route("/{whatever:path}", pipeline_route, methods=["POST"]),
        ]
    )
    pipeline = Pipeline(engine)
    vars(app)["get_pipeline"] = lambda: pipeline  # where pipeline_route looks for it
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with (
        ffmpeg_on_path(),
        mock.patch.dict(os.environ, TASK="automatic-speech-recognition"),
        _handlers_restored(),
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        thread = threading.Thread(target=server.run, args=([listening],), name="aic_server")
        thread.start()
        try:
            _wait_until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def ffmpeg_on_path() -> Iterator[None]:
    """Make a program called ``ffmpeg`` findable: the system's own, else the one of ``imageio-ffmpeg``."""
    if shutil.which("ffmpeg"):
        yield
        return
    import imageio_ffmpeg

    program = Path(imageio_ffmpeg.get_ffmpeg_exe())
    with TemporaryDirectory() as folder:
        name = Path(folder, f"ffmpeg{program.suffix if os.name == 'nt' else ''}")
        try:
            name.symlink_to(program)
        except OSError:  # Windows, without the right to make links
            shutil.copy(program, name)
        with mock.patch.dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"):
            yield


@contextlib.contextmanager
def _handlers_restored() -> Iterator[None]:
    """Take away the handlers that each request leaves on every logger of the process."""
    before = {logger: list(logger.handlers) for logger in _loggers()}
    try:
        yield
    finally:
        for logger in _loggers():
            for handler in set(logger.handlers).difference(before.get(logger, ())):
                if type(handler).__name__ == "RequestsHandler":
                    logger.removeHandler(handler)


def _loggers() -> list[logging.Logger]:
    return [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]


def _wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(round(START_TIMEOUT_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise TimeoutError(f"the server did not start within {START_TIMEOUT_S} s")
