"""Where ``transformers.pipeline`` fails, hangs or says too much, the engine does what was meant."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hfasr import ASRClient, Audio, AudioError, AudioURLError, Transcript
from tests import tiny
from tests.backends.transformers.hub import serve
from tests.backends.transformers.kit import RATE, Pipeline, Samples, engine, hear, sound, texts
from tests.tones import tone_audio

TinyModel = Callable[..., Path]

SAID = "bad cab fed"
TOKENS = {"max_new_tokens": 12}


@pytest.fixture(scope="module")
def asr(tone_model: Path) -> Iterator[ASRClient]:
    """A client whose model hears `SAID` in `spoken`."""
    with ASRClient(str(tone_model), backend="transformers") as client:
        yield client


@pytest.fixture(scope="module")
def spoken() -> Samples:
    return tone_audio(SAID, seed=7)


@pytest.fixture
def no_helpers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away the programs and packages that the pipeline reads audio with."""
    import sys

    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("torchaudio", "torchcodec", "librosa"):
        monkeypatch.setitem(sys.modules, name, None)


def file_of(samples: npt.NDArray[Any], rate: int = RATE, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


@pytest.mark.usefixtures("no_helpers")
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_files_without_ffmpeg(kind: str, asr: ASRClient, spoken: Samples, tmp_path: Path) -> None:
    """A path and bytes are read without the program ffmpeg."""
    content = file_of(spoken, kind=kind)
    path = tmp_path / f"spoken.{kind.lower()}"
    path.write_bytes(content)
    assert [asr.transcribe(one).text for one in (path, str(path), content)] == [SAID] * 3


@pytest.mark.usefixtures("no_helpers")
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_rates_without_torchaudio(rate: int, asr: ASRClient, spoken: Samples) -> None:
    """Sound at another rate is converted without torchaudio."""
    import soxr

    converted = soxr.resample(spoken, RATE, rate)
    assert asr.transcribe({"array": converted, "sampling_rate": rate}).text == SAID
    assert asr.transcribe(file_of(converted, rate)).text == SAID


def test_same_dictionary_twice(asr: ASRClient, spoken: Samples) -> None:
    """The caller's dictionary and samples stay as they were, so that they can be used again."""
    mine = {"array": spoken.copy(), "sampling_rate": RATE}
    before = mine["array"].copy()  # type: ignore[attr-defined]  # it is an array
    assert [asr.transcribe(mine).text for _ in range(2)] == [SAID, SAID]
    assert list(mine) == ["array", "sampling_rate"]
    np.testing.assert_array_equal(mine["array"], before)


@pytest.mark.parametrize("timestamps", [False, True, "word"])
def test_all_timestamps_of_ctc(timestamps: Any, asr: ASRClient, spoken: Samples) -> None:
    """False, True and "word" all have a meaning for a CTC model."""
    transcript = asr.transcribe(Audio(spoken, RATE), return_timestamps=timestamps)
    assert transcript.text == SAID
    assert " ".join(segment.text for segment in transcript.segments) == (SAID if timestamps else "")
    assert [word.word for word in transcript.words] == (SAID.split() if timestamps == "word" else [])


@pytest.mark.parametrize("axis", [0, 1])
def test_two_channels(axis: int, asr: ASRClient, spoken: Samples) -> None:
    """Two channels are mixed, whichever way the array lies; in opposite phase they do not cancel."""
    assert asr.transcribe(Audio(np.stack([spoken, 0.5 * spoken], axis=axis), RATE)).text == SAID
    assert asr.transcribe(Audio(np.stack([spoken, -spoken], axis=axis), RATE)).text == SAID


@pytest.mark.parametrize("rate", [RATE, 8_000])
def test_wrong_for_the_engine(rate: int, tone_model: Path, spoken: Samples) -> None:
    """The engine itself, which takes clean sound only, says so instead of guessing."""
    model = engine(tone_model)
    with pytest.raises(AudioError, match="let a client convert"):
        model.transcribe([Audio(np.stack([spoken, spoken], axis=1) if rate == RATE else spoken, rate)], {})


def test_whole_numbers(asr: ASRClient, spoken: Samples) -> None:
    """16-bit samples are scaled, as a file's are."""
    whole = (spoken * 32_767).astype(np.int16)
    expected = asr.transcribe(file_of(whole, kind="WAV"), return_timestamps="word")
    mine: Any = {"array": whole, "sampling_rate": RATE}
    found = asr.transcribe(mine, return_timestamps="word")
    assert found.text == SAID
    assert found.segments == expected.segments


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.09])
@pytest.mark.parametrize(
    "made",
    [
        (tiny.tiny_ctc,),
        (tiny.tiny_ctc, "wavlm"),
        (tiny.tiny_whisper,),
        (tiny.tiny_moonshine,),
        (tiny.tiny_parakeet, "tdt"),
    ],
    ids=lambda made: made[-1] if isinstance(made[-1], str) else made[0].__name__,
)
def test_hardly_any_audio(seconds: float, made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """Clips that are too short for any word have none, alone and between others."""
    model = engine(tiny_model(*made))
    short, clip = sound(1.0)[: int(seconds * RATE)], sound(1.0)
    alone, *batch = [
        *hear(model, short, tokens=12, return_timestamps="word"),
        *hear(model, clip, short, clip, tokens=12, return_timestamps="word"),
    ]
    for empty in (alone, batch[1]):
        assert (empty.text, empty.segments, empty.duration) == ("", (), len(short) / RATE)
    assert batch[0].text == batch[2].text == hear(model, clip, tokens=12, return_timestamps="word")[0].text


@pytest.mark.parametrize("seconds", [0.1, 0.2])
@pytest.mark.parametrize(
    "made",
    [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_moonshine,), (tiny.tiny_speech2text,), (tiny.tiny_parakeet,), (tiny.tiny_parakeet, "tdt")],
    ids=lambda made: "-".join(one if isinstance(one, str) else one.__name__ for one in made),
)  # fmt: skip
def test_shortest(seconds: float, made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """The shortest clips that are given to a model are long enough for it, alone and beside a longer one."""
    model = engine(tiny_model(*made), batch_size=2)
    clip = sound(1.0)[: int(seconds * RATE)]
    alone = hear(model, clip, tokens=6)[0]
    assert hear(model, clip, sound(1.0), tokens=6)[0].text == alone.text
    assert alone.duration == seconds


def test_long_whisper_needs_no_flag(tiny_model: TinyModel) -> None:
    """70 s without times are transcribed as 70 s with times."""
    model = engine(tiny_model(tiny.tiny_whisper))
    plain, timed = (hear(model, sound(70.0), tokens=12, return_timestamps=flag)[0] for flag in (False, True))
    assert plain.segments == ()
    assert timed.segments[-1].start > 30
    assert plain.text == timed.text


def test_long_clips_in_a_batch(tiny_model: TinyModel) -> None:
    """Short and long clips, two long ones among them, may stand in one batch."""
    model = engine(tiny_model(tiny.tiny_whisper), batch_size=4)
    clips = [sound(70.0), sound(3.0), sound(31.0, seed=1), sound(5.0, seed=2), sound(30.0, seed=3)]
    alone = [hear(model, clip, tokens=12)[0].text for clip in clips]
    assert len(set(alone)) > 2
    assert texts(hear(model, *clips, tokens=12)) == alone


@pytest.mark.parametrize("made", [tiny.tiny_whisper, tiny.tiny_moonshine])
def test_no_pad_token(made: Callable[..., Path], tmp_path: Path) -> None:
    """A tokenizer without a token to pad with is good for a batch."""
    folder = made(tmp_path / "model")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings.pop("pad_token")
    file.write_text(json.dumps(settings), encoding="utf-8")
    assert Pipeline(folder).tokenizer.pad_token is None
    model = engine(folder, batch_size=3)
    clips = [sound(seconds, seed=int(seconds)) for seconds in (1.0, 2.0, 3.0)]
    assert texts(hear(model, *clips, tokens=12)) == [hear(model, clip, tokens=12)[0].text for clip in clips]


@pytest.mark.parametrize("timestamps", [True, "word"])
def test_times_inside_the_audio(timestamps: Any, tiny_model: TinyModel) -> None:
    """No time lies beyond the end, though the model puts some there."""
    folder = tiny_model(tiny.tiny_whisper)
    beyond = [
        end
        for chunk in Pipeline(folder, tokens=24)(sound(3.0), return_timestamps=True)["chunks"]
        for end in chunk["timestamp"]
    ]
    assert max(end for end in beyond if end is not None) > 3.0
    transcript = hear(engine(folder), sound(3.0), tokens=24, return_timestamps=timestamps)[0]
    spans = [(one.start, one.end) for one in transcript.segments]
    spans += [(one.start, one.end) for one in transcript.words]
    assert spans
    assert all(0.0 <= start <= end <= 3.0 for start, end in spans if end is not None)
    assert None not in [end for _, end in spans]


def test_no_special_tokens(tiny_model: TinyModel) -> None:
    """Special tokens that a CTC model emits are neither in the text nor in a word."""
    folder = tiny_model(tiny.tiny_ctc)
    assert "<s>" in Pipeline(folder)(sound(2.0))["text"]
    transcript = hear(engine(folder), sound(2.0), return_timestamps="word")[0]
    assert transcript.text
    assert not any("<" in text for text in (transcript.text, *(word.word for word in transcript.words)))


@pytest.mark.parametrize("made", [(tiny.tiny_ctc,), (tiny.tiny_whisper,), (tiny.tiny_parakeet, "tdt")])
def test_plain_numbers(made: tuple[Any, ...], tiny_model: TinyModel) -> None:
    """Times and confidences are Python's own numbers, and a result goes to JSON and back."""
    transcript = hear(engine(tiny_model(*made)), sound(2.0), tokens=24, return_timestamps="word")[0]
    assert transcript.words
    numbers = [number for word in transcript.words for number in (word.start, word.end, word.confidence)]
    assert {type(number) for number in numbers} <= {float, type(None)}
    assert type(transcript.duration) is float
    assert Transcript.from_dict(json.loads(transcript.to_json())) == transcript


def test_keys_of_the_dictionary(asr: ASRClient, spoken: Samples) -> None:
    """What else stands in a dictionary of a data set changes nothing and comes back nowhere."""
    row = {"array": spoken, "sampling_rate": RATE, "path": "clips/7.mp3", "speaker": ["A"], "stride": (0, 3000, 3000)}
    transcript = asr.transcribe(row)
    assert transcript.text == SAID
    assert "speaker" not in transcript.to_json()


def test_windows_lose_nothing(tone_model: Path) -> None:
    """Words at the edges of windows are heard: the same as the whole at once, wherever the edges fall."""
    sentence = tone_audio(" ".join([SAID] * 24), seed=1)
    model, pipeline = engine(tone_model), Pipeline(tone_model)
    assert len(sentence) > 45 * RATE
    for shift_s in (0.0, 0.07, 0.31):
        noise = 0.01 * np.random.default_rng(0).standard_normal(round(shift_s * RATE))
        clip = np.concatenate([noise.astype(np.float32), sentence])
        assert hear(model, clip)[0].text == " ".join([SAID] * 24)
    lossy = pipeline.text(sentence, chunk_length_s=2, stride_length_s=0)
    assert lossy != " ".join([SAID] * 24)


def test_page_that_is_no_audio(tone_model: Path) -> None:
    """A page that says "not found" is reported as such, not as a malformed sound file."""
    with (
        serve() as server,
        ASRClient(str(tone_model), backend="transformers", allow_private_urls=True) as client,
    ):
        server.status = 404
        with pytest.raises(AudioURLError, match="404"):
            client.transcribe(f"{server.url}/sample.flac")
