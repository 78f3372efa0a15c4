"""The class for Ray, called as Ray does, without Ray: formats of batches, kinds of audio, wrong use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfasr import Audio, AuthenticationError, BackendError, BatchAbortedError, RetryPolicy
from hfasr.cache import TranscriptCache
from hfasr.integrations.ray import Transcriber
from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech
from tests.integrations.kit import flac_of, text_of, write_clips

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

N_ROWS = 4
TEXTS = [text_of(number) for number in range(N_ROWS)]

Make = Callable[..., Transcriber]


@pytest.fixture
def make(asr_server: FakeASRServer) -> Iterator[Make]:
    """Make transcribers of the server; all are closed after the test."""
    made: list[Transcriber] = []

    def make(**settings: Any) -> Transcriber:
        made.append(Transcriber(**{"router_url": asr_server.router_url, **settings}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def objects(values: list[Any]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def to_table(batch: Any) -> Any:
    """Return a batch of any format as Arrow, as Ray does."""
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, pd.DataFrame):
        return pa.Table.from_pandas(batch, preserve_index=False)
    return pa.table({name: pa.array(values) for name, values in batch.items()})


FORMATS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "numpy": lambda columns: columns,
    "pandas": lambda columns: pd.DataFrame({name: list(values) for name, values in columns.items()}),
    "pyarrow": lambda columns: pa.table({name: list(values) for name, values in columns.items()}),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(kind: str, make: Make) -> None:
    """A batch comes back in its format, with the columns added, others dropped, and is itself unchanged."""
    columns = {"id": np.arange(N_ROWS), "bytes": objects([flac_of(number) for number in range(N_ROWS)])}
    columns["bytes"].flags.writeable = False
    batch = FORMATS[kind](columns)
    done = make(drop_columns=["bytes"], language_column="lang", duration_column="s")(batch)
    assert type(done) is type(batch)
    table = to_table(done)
    assert table.column_names == ["id", "text", "error", "lang", "s"]
    assert table["text"].to_pylist() == TEXTS
    assert table["s"].to_pylist() == [0.6] * N_ROWS
    assert table["error"].to_pylist() == table["lang"].to_pylist() == [None] * N_ROWS
    assert list(to_table(batch).column_names) == ["id", "bytes"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("n_rows", [1, 2])
def test_columns_have_one_type(kind: str, n_rows: int, make: Make) -> None:
    """A column is of the same type where all rows fail, where none does, and where some do."""
    schemas = set()
    for rows in ([flac_of(0)] * n_rows, [b"text"] * n_rows, [flac_of(0), b"text"]):
        batch = FORMATS[kind]({"bytes": objects(rows)})
        transcribe = make(
            language_column="l",
            duration_column="d",
            segments_column="s",
            return_timestamps=True,
            drop_columns=["bytes"],
        )
        schemas.add(str(to_table(transcribe(batch)).schema.remove_metadata()))
    (schema,) = schemas
    assert schema.replace("large_string", "string").split("\n") == [
        "text: string", "error: string", "l: string", "d: double", "s: string",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_batch(kind: str, make: Make) -> None:
    """A batch without rows gets the columns as well."""
    batch = FORMATS[kind]({"path": np.array([], dtype=object)})
    table = to_table(make()(batch))
    assert (table.column_names, len(table)) == (["path", "text", "error"], 0)


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_that_fail(kind: str, make: Make, tmp_path: Path) -> None:
    """Missing audio and a missing file are rows with an error; the others are transcribed."""
    batch = FORMATS[kind]({"path": objects([*write_clips(tmp_path, 1), None, str(tmp_path / "absent.flac")])})
    table = to_table(make()(batch))
    assert table["text"].to_pylist() == [TEXTS[0], None, None]
    kinds = [error and error.partition(":")[0] for error in table["error"].to_pylist()]
    assert kinds == [None, "TypeError", "AudioNotFoundError"]


@pytest.mark.parametrize("missing", [np.full(2, np.nan, np.float32), objects([None, pd.NA])])
def test_nothing_but_missing_audio(missing: Any, make: Make) -> None:
    """Where Ray hands out a column of nothing as NaN, its rows have no audio, and are no samples."""
    done = make()({"audio": missing})
    assert all(error.startswith("TypeError: NoneType is no audio") for error in done["error"])


def test_without_a_column_for_errors(make: Make) -> None:
    """Without a place for errors, the first one is raised."""
    with pytest.raises(ValueError, match="empty"):
        make(error_column=None)({"bytes": objects([b""])})


@pytest.mark.parametrize("kind", FORMATS)
def test_kinds_of_audio(kind: str, make: Make, tmp_path: Path) -> None:
    """Paths, bytes, and both dictionaries of datasets are told apart."""
    (path,) = write_clips(tmp_path, 1)
    samples = ToneSpeech().say("sun moon")
    values: list[list[Any]] = [
        [path],
        [flac_of(0)],
        [{"bytes": flac_of(0), "path": None}],
        [{"array": samples.tolist(), "sampling_rate": 16_000}],
    ]
    transcribe = make()
    said = [to_table(transcribe(FORMATS[kind]({"audio": objects(value)})))["text"].to_pylist() for value in values]
    assert said == [[TEXTS[0]], [TEXTS[0]], [TEXTS[0]], ["sun moon"]]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("rate", [8_000, "rate"])
def test_samples(kind: str, rate: int | str, make: Make) -> None:
    """Samples are taken with the rate of all rows, or each row's own; one row may have none."""
    first, second = (ToneSpeech(8_000).say(text) for text in ("red boat", "green river sun"))
    batch = FORMATS[kind]({"waveform": objects([first, None, second]), "rate": np.full(3, 8_000)})
    done = to_table(make(column="waveform", sampling_rate=rate)(batch))
    assert done["text"].to_pylist() == ["red boat", None, "green river sun"]


def test_samples_of_equal_length(make: Make) -> None:
    """What Ray stacks into one array, (rows, channels, samples), is one clip a row."""
    clips = np.stack([ToneSpeech().say(text)[None] for text in ("red boat", "sun moon")])
    assert list(make(sampling_rate=16_000)({"audio": clips})["text"]) == ["red boat", "sun moon"]


def test_segments_are_json(make: Make) -> None:
    """Segments come as JSON, with their words where those are asked for."""
    done = make(segments_column="parts", return_timestamps="word")({"bytes": objects([flac_of(0), b""])})
    (part,), nothing = map(json.loads, done["parts"])
    assert [word["word"] for word in part["words"]] == TEXTS[0].split()
    assert nothing == []


def test_options_and_settings(make: Make, asr_server: FakeASRServer) -> None:
    """Arguments of the client and options of the call stand side by side."""
    transcribe = make(
        model="openai/whisper-tiny", token="hf_mine", retry=RetryPolicy(max_attempts=1), segments_column="parts",
        return_timestamps=True,
    )  # fmt: skip
    (parts,) = transcribe({"bytes": objects([flac_of(0)])})["parts"]
    assert json.loads(parts)[0]["text"] == TEXTS[0]
    request = asr_server.requests[-1]
    assert request.path.endswith("/openai/whisper-tiny")
    assert request.headers["authorization"] == "Bearer hf_mine"


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"langauge": "en"}, TypeError, "langauge"),
        ({"task": "sing"}, ValueError, "task"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency"),
        ({"drop_columns": "bytes"}, TypeError, "list of names"),
        ({"segments_column": "s"}, ValueError, "return_timestamps"),
        ({"backend": "nothing"}, BackendError, "nothing"),
        ({"backend": "transformers", "model": "/there/is/none"}, BackendError, "/there/is/none"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], error: type[Exception], match: str) -> None:
    """What is wrong with the settings is said when a worker starts, and not once for each row."""
    with pytest.raises(error, match=match):
        Transcriber(**settings)


@pytest.mark.parametrize(
    ("batch", "settings", "error", "match"),
    [
        ({"path": "a.flac"}, {}, TypeError, "map_batches"),
        ([1], {}, TypeError, "batch_format"),
        ({"file": ["a.flac"]}, {}, ValueError, r"'audio' or 'bytes' or 'path' \(but file\)"),
        ({"path": ["a.flac"]}, {"column": "file"}, ValueError, r"no column 'file' \(but path\)"),
        ({"path": ["a.flac"], "text": ["x"]}, {}, ValueError, "column 'text' already"),
        ({"audio": [np.zeros(9)]}, {}, TypeError, "sampling_rate="),
        ({"audio": [np.zeros(9)]}, {"sampling_rate": "rate"}, ValueError, "no column 'rate'"),
    ],
)
def test_wrong_batches(
    batch: Any, settings: dict[str, Any], error: type[Exception], match: str, make: Make, asr_server: FakeASRServer
) -> None:
    """A batch that does not fit ends the job, with what to do, before anything is sent."""
    with pytest.raises(error, match=match):
        make(**settings)(batch)
    assert asr_server.requests == []


def test_a_column_that_is_dropped_may_come_again(make: Make) -> None:
    """An old text may be replaced, where that is said."""
    done = make(drop_columns=["text"])({"bytes": objects([flac_of(0)]), "text": np.array(["old"])})
    assert list(done["text"]) == [TEXTS[0]]


def test_a_refused_token_ends_the_job() -> None:
    """What every row would fail for is raised, and can be sent to another process."""
    with FakeASRServer(token="hf_another") as server:
        transcribe = Transcriber(router_url=server.router_url, max_concurrency=1)
        with transcribe, pytest.raises(BatchAbortedError, match="401") as caught:
            transcribe({"bytes": objects([flac_of(number) for number in range(N_ROWS)])})
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert len(server.requests) == 1


@pytest.mark.parametrize("as_object", [True, False])
def test_cache(as_object: bool, make: Make, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """What is in the cache is not sent, by whichever worker it was put there."""
    path = tmp_path / "cache.sqlite"
    batch = {"bytes": objects([flac_of(number) for number in range(N_ROWS)])}
    for _ in range(2):
        cache = TranscriptCache(path) if as_object else path
        assert list(make(cache=cache)(batch)["text"]) == TEXTS
        if as_object:
            cache.close()  # type: ignore[union-attr]  # an object here
    assert len(asr_server.requests) == N_ROWS


def test_an_engine_here_is_loaded_at_once() -> None:
    """An engine loads when the worker starts, and gets clips in batches."""
    loaded = []

    class Engine(FakeBackend):
        def preload(self) -> None:
            loaded.append(True)

    engine = Engine(lambda audio: f"{len(audio.waveform)}")
    with Transcriber(backend=engine) as transcribe:
        assert loaded == [True]
        said = transcribe(
            {"audio": [{"array": np.tile([0.1, -0.1], n // 2), "sampling_rate": 16_000} for n in (1600, 3200)]}
        )["text"]
    assert list(said) == ["1600", "3200"]
    assert all(isinstance(clip, Audio) for call in engine.calls for clip in call.batch)


def test_repr_has_no_token() -> None:
    """A token stays out of the repr."""
    assert "secretsecret" not in repr(Transcriber(token="hf_secretsecret"))
