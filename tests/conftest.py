"""Fixtures for all tests: the three colours, clips of tone speech, and the folder with real speech."""

from __future__ import annotations

import importlib.metadata
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import soundfile

from hfasr._core import gates
from hfasr.testing import ToneSpeech
from tests import tiny
from tests.colours import COLOURS, Session

# Tiny models gain nothing by threads, which wait for each other where other tests run as well (60 times as long).
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that is busy is no fault of the code.
hypothesis.settings.register_profile("hfasr", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
if not os.environ.get("CI"):  # there Hypothesis has one of its own, which tries the same each time
    hypothesis.settings.load_profile("hfasr")


def pytest_report_header() -> str:
    """Show what the results depend on."""
    names = ("httpx", "httpx2", "httpcore", "anyio", "trio", "huggingface_hub", "soundfile", "soxr", "av", "tenacity")
    found = {d.metadata["name"]: d.version for d in importlib.metadata.distributions()}
    return "with " + ", ".join(f"{name} {found[name]}" for name in names if name in found)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the machine's own token, proxies and settings out of every test."""
    for name in list(os.environ):
        if name.upper() in {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HFASR_ROUTER_URL"} or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path_factory.getbasetemp() / "no-token"))


@pytest.fixture(autouse=True)
def fresh_gates() -> None:
    """Let no test inherit what another one's servers said of their limits: ports are used again."""
    gates.reset()


@pytest.fixture
def hub_client_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the Hub's global HTTP client, so that no socket outlives a test; use no proxy and no login."""
    import huggingface_hub

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Run the test on the sync client, and on the async one under asyncio and trio."""
    return str(request.param)


@pytest.fixture
def session(colour: str) -> Iterator[Callable[..., Session]]:
    """Make clients of the colour; all are closed after the test."""
    made: list[Session] = []

    def make(*args: Any, **settings: Any) -> Session:
        made.append(Session(colour, *args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def wav() -> bytes:
    """Three words, as a WAV file of 16 kHz mono."""
    return clip("red boat green")


@pytest.fixture
def shared() -> Path:
    """Return the folder with real speech."""
    folder = Path(os.environ.get("HFASR_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "audio" / "transcripts.tsv").is_file():
        pytest.skip("no real speech here: HFASR_SHARED does not name the shared folder")
    return folder


def clip(text: str, *, sampling_rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:  # noqa: A002  # soundfile's name
    """Return *text* in tone speech, as a file's bytes."""
    file = io.BytesIO()
    soundfile.write(
        file, ToneSpeech().say(text, sampling_rate=sampling_rate), sampling_rate, format=format, subtype=subtype
    )
    return file.getvalue()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """
    Give the folder of a tiny model with random weights, made at the first request: ``tiny_model(tiny.tiny_ctc, "hubert")``.

    The folders are shared by a run's tests: copy one before changing it.
    """
    pytest.importorskip("transformers", reason="the extra transformers is not installed")
    made: dict[str, Path] = {}

    def make(factory: Callable[..., Path], *args: Any, **settings: Any) -> Path:
        key = repr((factory.__name__, args, sorted(settings.items())))
        if key not in made:
            made[key] = factory(tmp_path_factory.mktemp(factory.__name__) / "model", *args, **settings)
        return made[key]

    return make


@pytest.fixture(scope="session")
def tone_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model that truly transcribes `tests.tones`: trained once a run, by one worker."""
    pytest.importorskip("transformers", reason="the extra transformers is not installed")
    from filelock import FileLock

    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # the one that all workers see
    with FileLock(folder / "tone-model.lock"):
        if not (folder / "tone-model" / "trained").exists():
            tiny.train_tone_ctc(folder / "tone-model")
            (folder / "tone-model" / "trained").touch()  # a run that was stopped half-way leaves none
    return folder / "tone-model"
