"""Columns of Hugging Face's datasets: what comes in, what is added, what stays as it was."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hfasr import ASRClient, AsyncASRClient, AuthenticationError, BatchAbortedError, RetryPolicy
from hfasr.integrations.datasets import transcriber
from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech
from tests.integrations.kit import flac_of, text_of, write_clips

datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed")

N_ROWS = 6
TEXTS = [text_of(number) for number in range(N_ROWS)]
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def asr(asr_server: FakeASRServer) -> Iterator[ASRClient]:
    with ASRClient(router_url=asr_server.router_url, retry=ONCE) as asr:
        yield asr


@pytest.fixture
def rows(tmp_path: Path) -> Any:
    """Six rows with the paths of their files, on the disk."""
    made = {"id": list(range(N_ROWS)), "audio": write_clips(tmp_path / "clips", N_ROWS)}
    datasets.Dataset.from_dict(made).save_to_disk(tmp_path / "rows")
    return datasets.load_from_disk(tmp_path / "rows")


def embedded() -> Any:
    """Rows that hold their files' bytes, as the Hub's datasets do, not to be decoded."""
    made = {"audio": [{"bytes": flac_of(number), "path": f"{number}.flac"} for number in range(N_ROWS)]}
    return datasets.Dataset.from_dict(made).cast_column("audio", datasets.Audio(decode=False))


@pytest.mark.parametrize("decode", [True, False])
def test_audio_column(decode: bool, asr: ASRClient, rows: Any) -> None:
    """An Audio column is transcribed, decoded or not, without torchcodec; all other columns stay."""
    rows = rows.cast_column("audio", datasets.Audio(decode=decode))
    done = rows.map(transcriber(asr), batched=True)
    assert done["text"][:] == TEXTS
    assert done["error"][:] == [None] * N_ROWS
    assert done.column_names == ["id", "audio", "text", "error"]
    assert done.features["audio"] == rows.features["audio"]
    plain = datasets.Audio(decode=False)
    assert done.cast_column("audio", plain)["audio"][:] == rows.cast_column("audio", plain)["audio"][:]


def test_the_files_own_bytes_are_sent(asr: ASRClient, asr_server: FakeASRServer) -> None:
    """Where a column would be decoded, and kept so, the bytes that it holds are taken as they are."""
    rows = embedded().cast_column("audio", datasets.Audio(sampling_rate=8_000))
    assert rows.map(transcriber(asr), batched=True)["text"][:] == TEXTS
    assert {request.body for request in asr_server.requests} == {flac_of(number) for number in range(N_ROWS)}


def test_paths(asr: ASRClient, rows: Any) -> None:
    """A column of plain paths is one of audio, too, under any name."""
    rows = rows.rename_column("audio", "file")
    done = rows.map(transcriber(asr, column="file", text_column="said"), batched=True, batch_size=4)
    assert done["said"][:] == TEXTS


@pytest.mark.parametrize("with_bytes", [True, False])
def test_streaming(with_bytes: bool, asr: ASRClient, rows: Any) -> None:
    """An IterableDataset, of an Audio column or of paths, gets the columns as plain values."""
    rows = embedded() if with_bytes else rows
    done = rows.to_iterable_dataset().map(
        transcriber(asr, segments_column="parts", return_timestamps=True), batched=True
    )
    got = list(done)
    assert [row["text"] for row in got] == TEXTS
    assert {type(row["parts"]) for row in got} == {list}
    assert {row["error"] for row in got} == {None}


def test_decoded_values(asr: ASRClient) -> None:
    """Decoded dictionaries and decoders of torchcodec are taken, and nothing of the batch is changed."""
    speech = ToneSpeech()

    class Decoder:
        def get_all_samples(self) -> SimpleNamespace:
            return SimpleNamespace(data=speech.say("green river")[None], sample_rate=16_000)

    samples = speech.say("red boat")
    samples.flags.writeable = False
    decoder = Decoder()
    audio = [{"array": samples, "sampling_rate": 16_000, "path": "x.wav"}, decoder, None]
    batch = {"audio": audio, "id": [0, 1, 2]}
    before = {"audio": [dict(audio[0]), decoder, None], "id": [0, 1, 2]}  # type: ignore[call-overload]  # the first one is a dictionary
    added = transcriber(asr)(batch)
    assert list(added) == ["text", "error"]
    assert added["text"] == ["red boat", "green river", None]
    assert added["error"][:2] == [None, None]
    assert added["error"][2].startswith("TypeError: NoneType is no audio")
    assert list(batch) == ["audio", "id"]
    assert batch["audio"] is audio
    np.testing.assert_equal(audio, before["audio"])
    assert batch["id"] == before["id"]


def test_formatted(asr: ASRClient, rows: Any) -> None:
    """A dataset in numpy's format is taken like any other."""
    assert rows.with_format("numpy").map(transcriber(asr), batched=True).with_format(None)["text"][:] == TEXTS


@pytest.mark.parametrize("bad", [0, N_ROWS - 1])
def test_a_bad_row_is_one_row(bad: int, asr: ASRClient, rows: Any) -> None:
    """A row that fails has an error; also where it is the first one, or the first one after many good ones."""
    Path(rows[bad]["audio"]).write_bytes(b"no audio, but text")
    function = transcriber(asr, language_column="lang", duration_column="s")
    done = rows.map(function, batched=True, batch_size=1)
    assert done["text"][:] == [None if number == bad else text for number, text in enumerate(TEXTS)]
    errors = done["error"][:]
    assert errors.pop(bad).startswith("UnsupportedAudioError: ")
    assert errors == [None] * (N_ROWS - 1)
    assert {str(done.features[name].dtype) for name in ("text", "error", "lang")} == {"string"}
    assert str(done.features["s"].dtype) == "float64"


def test_without_a_column_for_errors(asr: ASRClient, rows: Any) -> None:
    """Without a place for errors, the first one ends the run."""
    Path(rows[1]["audio"]).unlink()
    with pytest.raises(FileNotFoundError):
        rows.map(transcriber(asr, error_column=None), batched=True)


def test_more_columns(asr: ASRClient, rows: Any) -> None:
    """Duration, language and segments come where they are asked for; silence has no segments, and breaks nothing."""
    silence = {"array": [0.0] * 16_000, "sampling_rate": 16_000}
    rows = datasets.Dataset.from_dict({"audio": [silence, silence]})
    spoken = {"audio": [{"array": ToneSpeech().say("red boat"), "sampling_rate": 16_000}]}
    rows = datasets.concatenate_datasets([rows, datasets.Dataset.from_dict(spoken).cast(rows.features)])
    function = transcriber(asr, segments_column="parts", duration_column="seconds", return_timestamps="word")
    done = rows.map(function, batched=True, batch_size=2)
    assert done["seconds"][:] == pytest.approx([1.0, 1.0, 0.6])
    assert done["parts"][:2] == [[], []]
    ((part,),) = done["parts"][2:]
    assert part["text"] == "red boat"
    assert [word["word"] for word in part["words"]] == ["red", "boat"]
    assert part["start"] == pytest.approx(0.05, abs=0.02)


def test_columns_are_not_written_over(asr: ASRClient, asr_server: FakeASRServer, rows: Any) -> None:
    """A column of references is never lost to one of ours, and nothing is sent before that is known."""
    rows = rows.add_column("text", ["a reference"] * N_ROWS)
    with pytest.raises(ValueError, match=r"column 'text' already; choose another name \(text_column=\)"):
        rows.map(transcriber(asr), batched=True)
    assert asr_server.requests == []
    assert rows.map(transcriber(asr, text_column="said"), batched=True)["said"][:] == TEXTS


def test_remove_columns(asr: ASRClient, rows: Any) -> None:
    """``remove_columns`` works as ever: what remains are the columns that were added."""
    done = rows.map(transcriber(asr), batched=True, remove_columns=rows.column_names)
    assert done.column_names == ["text", "error"]


@pytest.mark.parametrize(
    ("change", "arguments", "error", "match"),
    [
        (lambda rows: rows, {}, TypeError, "batched=True"),
        (lambda rows: rows.to_iterable_dataset(), {}, TypeError, "batched=True"),
        (lambda rows: rows, {"batched": True, "input_columns": "audio"}, TypeError, "input_columns"),
        (lambda rows: rows.with_format("arrow"), {"batched": True}, TypeError, "with_format"),
        (lambda rows: rows.rename_column("audio", "a"), {"batched": True}, ValueError, r"no column 'audio' \(but id, a\)"),
    ],
)  # fmt: skip
def test_wrong_use(
    change: Any, arguments: dict[str, Any], error: type[Exception], match: str, asr: ASRClient, rows: Any
) -> None:
    """A map that could not work is refused with what to do instead."""
    with pytest.raises(error, match=match):
        list(change(rows).map(transcriber(asr), **arguments))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"langauge": "en"}, TypeError, "did you mean 'language'"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency"),
        ({"segments_column": "parts"}, ValueError, "return_timestamps"),
        ({"text_column": ""}, ValueError, "text_column"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], match: str, asr: ASRClient) -> None:
    """What is wrong with the arguments is said when the function is made, not in a worker."""
    with pytest.raises(error, match=match):
        transcriber(asr, **arguments)


def test_async_clients_are_refused() -> None:
    """map() is not async, and says so."""
    with pytest.raises(TypeError, match="takes an ASRClient, not AsyncASRClient"):
        transcriber(AsyncASRClient())  # type: ignore[arg-type]  # that is what must fail


def test_a_refused_token_ends_the_run(rows: Any) -> None:
    """What every row would fail for ends the run at once."""
    with FakeASRServer(token="hf_another") as server, ASRClient(router_url=server.router_url) as asr:
        with pytest.raises(BatchAbortedError, match="401"):
            rows.map(transcriber(asr, max_concurrency=1), batched=True)
        assert len(server.requests) == 1


def test_a_broken_run_goes_on_with_a_cache(
    asr: ASRClient, asr_server: FakeASRServer, rows: Any, tmp_path: Path
) -> None:
    """With a cache, a second run sends only what the first one did not come to."""
    function = transcriber(asr, error_column=None, cache=tmp_path / "cache.sqlite", max_concurrency=1)
    last = Path(rows[N_ROWS - 1]["audio"])
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        rows.map(function, batched=True, batch_size=2)
    last.write_bytes(content)
    assert rows.map(function, batched=True, batch_size=2)["text"][:] == TEXTS
    assert len(asr_server.requests) == N_ROWS


# The cache of datasets, and other processes


def hash_of(**settings: Any) -> str:
    options = {name: settings.pop(name) for name in ("language", "column", "generation_parameters") if name in settings}
    return str(datasets.fingerprint.Hasher.hash(transcriber(ASRClient(**settings), **options)))


def test_results_are_found_in_the_cache_of_datasets(asr: ASRClient, asr_server: FakeASRServer, rows: Any) -> None:
    """The same function again sends nothing; with another model it does."""
    for _ in range(2):
        assert rows.map(transcriber(asr), batched=True)["text"][:] == TEXTS
    assert len(asr_server.requests) == N_ROWS
    rows.map(transcriber(asr.with_options(model="openai/whisper-tiny")), batched=True)
    assert len(asr_server.requests) == 2 * N_ROWS


def test_fingerprint(asr: ASRClient, rows: Any) -> None:
    """The fingerprint goes by settings and options, not by their order, and not by what was done already."""
    base = hash_of(model="a/b", language="en", generation_parameters={"num_beams": 2, "temperature": 0.1})
    assert hash_of(language="en", model="a/b", generation_parameters={"temperature": 0.1, "num_beams": 2}) == base
    others = [
        hash_of(model="a/c"),
        hash_of(model="a/b"),
        hash_of(model="a/b", language="de"),
        hash_of(model="a/b", column="file"),
        hash_of(model="a/b", base_url="https://example.org"),
    ]
    assert len({base, *others}) == 6
    function = transcriber(asr)
    before = datasets.fingerprint.Hasher.hash(function)
    function(rows[:2])
    assert datasets.fingerprint.Hasher.hash(function) == before


def test_fingerprint_in_another_process() -> None:
    """Another process comes to the same fingerprint, whatever its hash seed."""
    code = (
        "from datasets.fingerprint import Hasher; from hfasr import ASRClient; "
        "from hfasr.integrations.datasets import transcriber; "
        "print(Hasher.hash(transcriber(ASRClient('a/b', fallback=['http://localhost:1/v1']), language='en')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {hash_of(model="a/b", fallback=["http://localhost:1/v1"], language="en") + "\n"}


def test_the_token_stays_here(asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was passed is in no pickle and no repr; where it is missed, the error says what to do."""
    function = transcriber(ASRClient(token="hf_secretsecret"))
    assert "secretsecret" not in repr(function) + str(pickle.dumps(function))
    elsewhere = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))))
    with pytest.raises(AuthenticationError, match=r"leave num_proc out .* or set HF_TOKEN"):
        elsewhere({"audio": [b""]})
    monkeypatch.setenv("HF_TOKEN", "hf_found")
    assert elsewhere({"audio": [b""]})["error"][0].startswith("EmptyAudioError")
    own_server = pickle.loads(pickle.dumps(transcriber(ASRClient(base_url=asr_server.url, token="hf_secretsecret"))))
    with pytest.raises(AuthenticationError, match="num_proc"):  # the one that is found does not go to that server
        own_server({"audio": [b""]})


def test_a_copy_is_a_function() -> None:
    """What was pickled, with an engine of the caller's own, works on."""
    function = transcriber(ASRClient(backend=Echo()), text_column="said")
    again = pickle.loads(pickle.dumps(function))
    assert copy.copy(again)({"audio": [flac_of(0)]}) == {"said": ["echo"], "error": [None]}


class Echo(FakeBackend):
    """An engine that can be pickled."""

    def __init__(self) -> None:
        super().__init__("echo")

    def __reduce__(self) -> tuple[Any, ...]:
        return Echo, ()


PROCESSES = """
import multiprocess, os, sys
import datasets
from hfasr import ASRClient
from hfasr.integrations.datasets import transcriber

def main(method, url, folder):
    multiprocess.set_start_method(method)
    datasets.disable_progress_bars()
    rows = datasets.load_from_disk(folder).cast_column("audio", datasets.Audio())
    with ASRClient(router_url=url) as asr:
        function = transcriber(asr)
        added = function({"audio": rows.cast_column("audio", datasets.Audio(decode=False))["audio"][:1]})
        assert added["error"] == [None], added
        print(rows.map(function, batched=True, batch_size=2, num_proc=2)["text"][:])
        if method == "fork":  # as the workers of a loader of torch get it: not pickled, connections and all
            pid = os.fork()
            if pid == 0:
                added = function({"audio": [rows.data["audio"][5].as_py()]})
                os._exit(0 if added["error"] == [None] and function._asr is not asr else 1)
            assert os.waitpid(pid, 0)[1] == 0

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method: str, asr_server: FakeASRServer, rows: Any, tmp_path: Path) -> None:
    """``num_proc=2`` works, forked or spawned: each process has a client of its own."""
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, method, asr_server.router_url, tmp_path / "rows"],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.stdout.strip() == str(TEXTS), done.stderr
    assert done.returncode == 0, done.stderr
    n_forked = 1 if method == "fork" else 0
    assert len(asr_server.requests) == 1 + N_ROWS + n_forked
    assert asr_server.connections.accepted >= 3  # the first process's, and one of each worker's
