"""Published models that documentation and examples name, tiny here, on a Hub of our own: their code runs unchanged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import tiny
from tests.backends.transformers.hub import Repository, serve

MODELS: Mapping[str, Callable[[Path], Path]] = {
    "openai/whisper-tiny": tiny.tiny_whisper,
    "openai/whisper-large-v3": functools.partial(tiny.tiny_whisper, n_mels=128),  # hfasr's default
    "facebook/wav2vec2-base-960h": tiny.tiny_ctc,
    "facebook/mms-1b-all": tiny.tiny_mms,
}
COMMIT = "a" * 40


@contextmanager
def stand_ins(folder: Path, **instead: Path) -> Iterator[dict[str, str]]:
    """
    Serve the `MODELS`, and fetch each of them ahead as a user would have.

    Args:
        folder: Where everything is kept; empty.

        **instead: Folders with models to serve instead, by the name behind the slash, ``_`` for ``-``.

    Yields:
        The environment of a process that is to find them.
    """
    from huggingface_hub import snapshot_download

    home = folder / "home"
    with serve() as hub:
        for name, make in MODELS.items():
            model = instead.get(name.partition("/")[2].replace("-", "_")) or make(folder / name)
            hub.repositories[name] = Repository(model, {"main": COMMIT})
            # A call with a deadline never downloads, nor does a client that is local only.
            snapshot_download(name, cache_dir=home / "hub", endpoint=hub.url, token=False)
        yield {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
