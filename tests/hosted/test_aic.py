"""The client against Hugging Face's own request parsing (``api-inference-community``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hfasr import Audio, AudioDecodeError, BadRequestError, UnsupportedAudioError
from hfasr.testing import ToneSpeech
from tests.colours import Session
from tests.conftest import clip
from tests.servers import aic_server

Make = Callable[..., Session]


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    """HF's own server code, with tone speech behind it."""
    with aic_server(ToneSpeech().hear) as url:
        yield url


@pytest.mark.parametrize("dialect", ["hf", "auto"])
@pytest.mark.parametrize(("form", "rate"), [("WAV", 44_100), ("FLAC", 16_000), ("MP3", 48_000), ("OGG", 24_000)])
def test_audio_arrives(session: Make, real: str, dialect: str, form: str, rate: int) -> None:
    """Audio of every form is transcribed by the real server code, whose dialect is found out, too."""
    asr = session("facebook/wav2vec2-base-960h", base_url=real, dialect=dialect)
    transcript = asr.transcribe(clip("red boat green", format=form, sampling_rate=rate))
    assert transcript.text == "red boat green"
    assert transcript.provenance is not None
    assert transcript.provenance.attempts[-1].status == 200


def test_arrays_arrive(session: Make, real: str) -> None:
    """So do samples."""
    speech = ToneSpeech()
    assert session(base_url=real).transcribe(Audio(np.stack([speech.say("blue sun")] * 2), 16_000)).text == "blue sun"


@pytest.mark.parametrize("upload", ["auto", "original"])
def test_malformed_audio(session: Make, real: str, upload: str) -> None:
    """The real complaint about bad audio is understood: it is decoded here, which fails, too, and so it is raised."""
    flac = clip("red boat green", format="FLAC")
    damaged = flac[:100] + bytes(len(flac) - 100)
    with pytest.raises(BadRequestError, match=r"400: Malformed soundfile; .*cannot read this audio") as caught:
        session(base_url=real, dialect="hf", upload=upload).transcribe(damaged)
    assert isinstance(caught.value.__cause__, AudioDecodeError)
    assert [(a.status, a.error) for a in caught.value.attempts] == [(400, "BadRequestError")]


def test_no_audio(session: Make, real: str) -> None:
    """What is no audio at all is not sent."""
    with pytest.raises(UnsupportedAudioError) as caught:
        session(base_url=real, dialect="hf").transcribe(clip("red boat green", format="MP3")[:200])
    assert caught.value.attempts == ()


def test_parameters_that_it_cannot_take(session: Make, real: str) -> None:
    """It refuses JSON as malformed audio; the audio still comes back as text, or as a typed error."""
    transcript = session(base_url=real, dialect="hf").transcribe(clip("red boat"), return_timestamps=True)
    assert transcript.text == "red boat"
    assert any("no times" in warning for warning in transcript.warnings)
