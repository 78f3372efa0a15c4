"""Engines that do what tests of loading need."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from hfasr import Audio, BackendLoadError, TranscribeOptions, Transcript


class Loading:
    """
    An engine whose model is loaded by `preload`, which notes how it was called.

    Args:
        on_disk: Whether it can be loaded without a download.

        seconds: How long loading takes.

        model: What it says that it runs.
    """

    name = "loading"
    sampling_rate = 16_000
    max_duration_s = None

    def __init__(self, *, on_disk: bool = True, seconds: float = 0.0, model: str | None = "org/loaded") -> None:
        self.model = model
        self.revision: str | None = None
        self.downloads: list[bool] = []
        self.n_loaded = 0
        self.broken = False
        self._on_disk = on_disk
        self._seconds = seconds
        self._lock = threading.Lock()

    def preload(self, *, download: bool = True) -> None:
        self.downloads.append(download)
        with self._lock:
            if self.n_loaded:
                return
            if self.broken:
                raise BackendLoadError("org/loaded is damaged")
            if not (download or self._on_disk):
                raise BackendLoadError("org/loaded is not on this machine; call preload() ahead")
            time.sleep(self._seconds)
            self.n_loaded += 1
            self.revision = "0123abc"

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        assert self.n_loaded == 1
        return [Transcript("loaded") for _ in batch]

    def close(self) -> None:
        self.n_loaded = 0


class LoadsAnyhow(Loading):
    """One whose `preload` cannot be told not to download."""

    def preload(self) -> None:  # type: ignore[override]  # that is what is tested
        super().preload()
