"""Arguments, and what they mean for the library."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, get_args

import pytest
from typer.testing import CliRunner

import hfasr
import hfasr._client
import hfasr.backends
from hfasr import BatchItem, Chunking
from hfasr._batch.settings import Verify
from hfasr._core.config import DEFAULT_MODEL, DialectName
from hfasr.audio import UploadFormat
from hfasr.cli import options
from hfasr.cli.app import app
from hfasr.formats import FORMATS
from hfasr.testing import FakeBackend
from hfasr.types import Attempt, Provenance, Segment, Transcript


class Client:
    """In the place of `ASRClient`: notes how it was made and called."""

    made: list[dict[str, Any]] = []  # noqa: RUF012 # one test, one list
    calls: list[tuple[Any, dict[str, Any]]] = []  # noqa: RUF012 # the same
    batches: list[dict[str, Any]] = []  # noqa: RUF012 # the same
    answer: Transcript | BaseException = Transcript("hello")

    def __init__(self, **settings: Any) -> None:
        self.made.append(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return None

    def transcribe(self, audio: Any, /, **options: Any) -> Transcript:
        self.calls.append((audio, options))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    @contextlib.contextmanager
    def transcribe_many(self, audios: Iterable[Any], /, **options: Any) -> Iterator[Iterator[BatchItem]]:
        self.batches.append(options)
        yield self._items(audios)

    def _items(self, audios: Iterable[Any]) -> Iterator[BatchItem]:
        for index, audio in enumerate(audios):
            try:
                yield BatchItem(index, audio, self.transcribe(audio))
            except hfasr.BackendError as error:
                raise hfasr.BatchAbortedError("the batch was stopped") from error
            except Exception as error:  # noqa: BLE001 # what the library does
                yield BatchItem(index, audio, error=error)


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "made", [])
    monkeypatch.setattr(Client, "calls", [])
    monkeypatch.setattr(Client, "batches", [])
    monkeypatch.setattr(Client, "answer", Transcript("hello"))
    monkeypatch.setitem(vars(hfasr), "ASRClient", Client)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["transcribe", *arguments])


def test_defaults_are_the_librarys() -> None:
    """Without options the command makes the client that `ASRClient()` is."""
    result = invoke("x.wav")
    assert (result.exit_code, result.stdout) == (0, "hello\n")
    assert Client.made == [
        {
            "model": None,
            "revision": None,
            "provider": "auto",
            "base_url": None,
            "dialect": "auto",
            "router_url": None,
            "token": None,
            "bill_to": None,
            "backend": "hosted",
            "fallback": (),
            "local_only": False,
            "deadline": None,
            "timeout": 60.0,
            "upload": "auto",
            "allow_private_urls": False,
            "channels": "mix",
            "chunking": Chunking(),
        }
    ]
    assert Client.calls == [
        (
            "x.wav",
            {
                "language": None,
                "task": None,
                "prompt": None,
                "return_timestamps": False,
                "on_chunk_error": "raise",
            },
        )
    ]


def test_every_option_arrives() -> None:
    """Each option reaches the argument of the library that bears its name."""
    result = invoke(
        *("--model", "m/x", "--provider", "hf-inference", "--base-url", "http://h/v1", "--dialect", "openai"),
        *("--backend", "b", "--fallback", "f", "--fallback", "g:m", "--language", "fr", "--task", "translate"),
        *("--prompt", "Ada", "--timestamps", "word", "--deadline", "5", "--timeout", "2", "--upload", "wav"),
        *("--router-url", "http://r", "--bill-to", "org", "--revision", "v2", "--local-only"),
        *("--chunk-length", "20", "--chunk-concurrency", "3", "--split", "none", "--stride-length", "2"),
        *("--on-chunk-error", "gap", "--channels", "1"),
        *("--allow-private-urls", "http://10.0.0.1/x.wav"),
    )
    assert result.exit_code == 0, result.output
    assert Client.made[0] == {
        "model": "m/x",
        "revision": "v2",
        "provider": "hf-inference",
        "base_url": "http://h/v1",
        "dialect": "openai",
        "router_url": "http://r",
        "token": None,
        "bill_to": "org",
        "backend": "b",
        "fallback": ("f", "g:m"),
        "local_only": True,
        "deadline": 5.0,
        "timeout": 2.0,
        "upload": "wav",
        "allow_private_urls": True,
        "channels": 1,
        "chunking": Chunking(20.0, 3, "none", 2.0),
    }
    assert Client.calls[0] == (
        "http://10.0.0.1/x.wav",
        {
            "language": "fr",
            "task": "translate",
            "prompt": "Ada",
            "return_timestamps": "word",
            "on_chunk_error": "gap",
        },
    )


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-f", "txt"], False),
        (["-f", "json"], False),
        (["-f", "json", "-t", "segment"], True),
        (["-f", "srt"], True),
        (["-f", "vtt"], True),
        (["-f", "tsv"], True),
        (["-f", "srt", "-t", "word"], "word"),
    ],
)
def test_subtitles_ask_for_times(arguments: list[str], asked: bool | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Formats with times ask for segments by themselves; words only where they were asked for."""
    monkeypatch.setattr(Client, "answer", Transcript("hi", segments=(Segment(0.0, 1.0, "hi"),)))
    assert invoke(*arguments, "x.wav").exit_code == 0
    assert Client.calls[0][1]["return_timestamps"] == asked


def test_choices_are_the_librarys() -> None:
    """The command takes exactly the values that the library takes."""
    assert set(options.Format) == {*FORMATS, "jsonl"}
    assert get_args(options.Verify) == get_args(Verify)
    assert get_args(options.Dialect) == get_args(DialectName)
    assert get_args(options.Upload) == get_args(UploadFormat)
    assert DEFAULT_MODEL in "".join(CliRunner().invoke(app, ["transcribe", "--help"]).output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "FILE|URL|FOLDER|-"),
        (["--format", "doc", "x.wav"], "doc"),
        (["--timeout", "soon", "x.wav"], "--timeout"),
        (["--nonsense", "x.wav"], "--nonsense"),
        (["-", "-"], "only once"),
        (["-", "/dev/stdin"], "only once"),
        (["--format", "srt", "x.wav", "y.wav"], "--output-dir"),
        (["--format", "srt", "."], "--output-dir"),
        (["--format", "srt", "*.wav"], "--output-dir"),
        (["--format", "txt", "--format", "json", "x.wav"], "--output-dir"),
        (["--resume", "x.wav", "y.wav"], "--journal"),
        (["--jobs", "0", "x.wav", "y.wav"], "--jobs"),
        (["--verify", "name", "x.wav", "y.wav"], "name"),
        (["--device", "cpu", "x.wav"], "--backend transformers"),
        (["--dtype", "float32", "x.wav"], "--backend transformers"),
        (["--batch-size", "4", "x.wav"], "--backend transformers"),
        (["--chunk-length", "0.5", "x.wav"], "--chunk-length must be seconds, 1 or more"),
        (["--chunk-concurrency", "129", "x.wav"], "--chunk-concurrency"),
        (["--split", "words", "x.wav"], "words"),
        (["--stride-length", "2", "x.wav"], "--stride-length goes with --split none"),
        (["--channels", "left", "x.wav"], "--channels must be mix, split or the number of one"),
        (["--on-chunk-error", "skip", "x.wav"], "skip"),
        (["--stream", "x.wav", "y.wav"], "one file, URL or standard input"),
        (["--stream", "."], "one file, URL or standard input"),
        (["--stream", "-o", "out", "x.wav"], "--output-dir"),
        (["--stream", "--journal", "j", "x.wav"], "--journal"),
        (["--stream", "--cache", "c", "x.wav"], "--cache"),
        (["--stream", "-f", "json", "x.wav"], "does not write json"),
        (["--stream", "-f", "txt", "-f", "srt", "x.wav"], "--output-dir"),
        (["--stream", "--channels", "split", "x.wav"], "--channels"),
        (["--backend", "b", "--dtype", "int8", "x.wav"], "int8"),
        (["--backend", "b", "--batch-size", "0", "x.wav"], "--batch-size"),
        (["--backend", "b", "--batch-size", "all", "x.wav"], "--batch-size"),
    ],
)
def test_usage_is_2(arguments: list[str], message: str) -> None:
    """What cannot be meant is refused with status 2 before any audio is read."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert Client.calls == []


def test_version() -> None:
    """--version prints the version."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"hfasr {hfasr.__version__}\n")


def test_client_that_cannot_be_made_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that the library refuses are a matter of usage."""

    def refuse(**settings: Any) -> None:
        raise hfasr.BackendNotFoundError("no backend is called 'b'")

    monkeypatch.setitem(vars(hfasr), "ASRClient", refuse)
    result = invoke("--backend", "b", "x.wav")
    assert (result.exit_code, result.stderr) == (2, "hfasr: no backend is called 'b'\n")


@pytest.mark.parametrize("kind", [hfasr.BackendNotFoundError, hfasr.BackendNotInstalledError])
def test_engine_that_is_not_there_is_told_once(kind: type[hfasr.BackendError], monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is missing is missing for every input: it is told once, with status 2."""
    monkeypatch.setattr(Client, "answer", kind("no such engine"))
    result = invoke("--backend", "b", "x.wav", "y.wav")
    assert (result.exit_code, result.stderr) == (2, "hfasr: no such engine\n")
    assert len(Client.calls) == 1


@pytest.mark.parametrize("error", [hfasr.AudioNotFoundError("no such file"), RuntimeError("a bug"), OSError("disk")])
def test_one_bad_input_does_not_end_the_run(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure, expected or not, is reported; the other inputs are transcribed, and the status is 1."""
    monkeypatch.setattr(Client, "answer", error)
    result = invoke("x.wav", "y.wav")
    assert result.exit_code == 1
    assert len(Client.calls) == 2
    first, second, summary = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in (first, second)] == ["x.wav", "y.wav"]
    assert summary.startswith(f"hfasr: 2 of 2 files failed: 2 {type(error).__name__} (first: x.wav: ")


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the run with one line and status 130."""
    monkeypatch.setattr(Client, "answer", KeyboardInterrupt())
    result = invoke("x.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "hfasr: interrupted\n")
    assert len(Client.calls) == 1


def test_warnings_and_fallback_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be done, and who answered instead, stands on standard error and not in the text."""
    origin = Provenance("pocketsphinx", None, None, None, None, None, None, fallback_reason="the model is gone")
    monkeypatch.setattr(Client, "answer", Transcript("hello", warnings=("no prompt",), provenance=origin))
    result = invoke("x.wav")
    assert result.stdout == "hello\n"
    assert result.stderr == (
        "hfasr: x.wav: warning: no prompt\nhfasr: x.wav: warning: pocketsphinx answered: the model is gone\n"
    )


def test_output_dir(tmp_path: Path) -> None:
    """--output-dir writes files and leaves standard output empty."""
    result = invoke("--output-dir", str(tmp_path / "out"), "a/x.wav", "b/x.wav")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x-2.txt", "x.txt"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that cannot be made is told once, with its remedy and status 2, before the first call."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    result = invoke("--output-dir", str(folder), "x.wav", "y.wav")
    assert (result.exit_code, Client.calls) == (2, [])
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hfasr: cannot write into {folder}: ")
    assert line.endswith("; choose another --output-dir")


def test_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is there and takes no file is found out before the first call, too."""

    def refuse(**where: Any) -> None:
        raise PermissionError(13, "Permission denied", str(where["dir"]))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    result = invoke("--output-dir", str(tmp_path), "x.wav")
    assert (result.exit_code, Client.calls) == (2, [])
    assert result.stderr == f"hfasr: cannot write into {tmp_path}: Permission denied; choose another --output-dir\n"


def test_text_that_cannot_be_saved_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that was paid for is not lost with its file: it goes to standard output, and the line says so."""

    def refuse(transcript: Transcript, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Transcript, "save", refuse)
    result = invoke("--output-dir", str(tmp_path), "x.wav")
    assert (result.exit_code, result.stdout) == (1, "hello\n")
    assert result.stderr == (
        f"hfasr: x.wav: cannot write {tmp_path / 'x.txt'}: No space left on device; its text is on standard output "
        "instead; choose another --output-dir for the next run\n"
    )


def test_every_option_of_a_batch_arrives(tmp_path: Path) -> None:
    """Each option of a batch reaches the argument of `transcribe_many` that it stands for."""
    result = invoke(
        *("--jobs", "3", "--journal", str(tmp_path / "j"), "--cache", str(tmp_path / "c"), "--verify", "hash"),
        *("--no-retry-failed", "--unordered", "--progress", "--resume", "--language", "fr", "x.wav", "y.wav"),
    )
    assert result.exit_code == 0, result.output
    assert Client.batches == [
        {
            "max_concurrency": 3,
            "ordered": False,
            "journal": tmp_path / "j",
            "cache": tmp_path / "c",
            "verify": "hash",
            "retry_failed": False,
            "progress": True,
            "language": "fr",
            "task": None,
            "prompt": None,
            "return_timestamps": False,
            "on_chunk_error": "raise",
        }
    ]


def test_defaults_of_a_batch_are_the_librarys() -> None:
    """Without options a batch is the one that `transcribe_many()` makes."""
    assert invoke("x.wav", "y.wav").exit_code == 0
    parameters = inspect.signature(hfasr._client.ASRClient.transcribe_many).parameters
    given = {name: value for name, value in Client.batches[0].items() if name in parameters}
    assert given == {name: one.default for name, one in parameters.items() if name in given}
    assert {"max_concurrency", "ordered", "journal", "cache", "verify", "retry_failed"} < set(given)


@pytest.mark.parametrize(
    ("arguments", "journal"),
    [
        (["-o", "out", "x.wav", "y.wav"], Path("out/.hfasr-journal.jsonl")),
        (["-o", "out", "--resume", "x.wav"], Path("out/.hfasr-journal.jsonl")),
        (["-o", "out", "--journal", "j", "x.wav", "y.wav"], Path("j")),
        (["--journal", "j", "x.wav"], Path("j")),
        (["--cache", "c", "x.wav"], None),
        (["x.wav", "y.wav"], None),
    ],
)
def test_journal_of_a_batch(
    arguments: list[str], journal: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for several inputs keeps a journal of its own, unless another one is named."""
    monkeypatch.chdir(tmp_path)
    assert invoke(*arguments).exit_code == 0
    assert [batch["journal"] for batch in Client.batches] == [journal]


@pytest.mark.parametrize("options", [[], ["--jobs", "4"], ["-o", "out"], ["--verify", "hash"]])
def test_one_input_is_one_call(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file or URL by itself is no batch, and leaves no journal."""
    monkeypatch.chdir(tmp_path)
    assert invoke(*options, "x.wav").exit_code == 0
    assert (Client.batches, len(Client.calls)) == ([], 1)
    assert not list(tmp_path.rglob("*journal*"))


def test_missing_token_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is not there is a matter of usage."""
    monkeypatch.setattr(Client, "answer", hfasr.AuthenticationError("no token; see --backend x", status_code=401))
    result = invoke("x.wav")
    assert (result.exit_code, result.stderr) == (2, "hfasr: no token; see --backend x\n")


def test_refused_token_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 401 from a server is no matter of usage."""
    attempt = Attempt("r", 401, "AuthenticationError", None, 0.0, 0.1, 0.0)
    error = hfasr.AuthenticationError("no; see --backend x", status_code=401, attempts=[attempt])
    monkeypatch.setattr(Client, "answer", error)
    result = invoke("x.wav")
    assert (result.exit_code, result.stderr) == (1, "hfasr: x.wav: no; see --backend x\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "token"),
    [
        (["--base-url", "http://h"], {"HFASR_TOKEN": "key"}, "key"),
        (["--router-url", "http://h"], {"HFASR_TOKEN": "key"}, "key"),
        ([], {"HFASR_TOKEN": "key", "HFASR_ROUTER_URL": "http://h"}, "key"),
        (["--base-url", "http://h"], {"HFASR_TOKEN": ""}, None),
        ([], {"HFASR_TOKEN": "key"}, None),
    ],
)
def test_key_of_an_own_server(
    arguments: list[str], variables: dict[str, str], token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HFASR_TOKEN is the key of the server that was named, and never goes to Hugging Face's router."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    invoke(*arguments, "x.wav")
    assert Client.made[0]["token"] == token


def test_warnings_speak_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library calls its arguments in warnings and reasons, the command calls by its options."""
    origin = Provenance("b", None, None, None, None, None, None, fallback_reason="down; raise timeout=")
    answer = Transcript("hello", warnings=("language='fr' was not used",), provenance=origin)
    monkeypatch.setattr(Client, "answer", answer)
    assert invoke("x.wav").stderr == (
        "hfasr: x.wav: warning: --language fr was not used\nhfasr: x.wav: warning: b answered: down; raise --timeout\n"
    )


@pytest.mark.parametrize(("backend", "model"), [("toy", "m/x"), ("toy:own/model", "own/model")])
def test_options_of_an_engine(backend: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--device, --dtype and --batch-size set up the engine, which is the client's backend and closed at the end."""
    loaded: list[dict[str, Any]] = []
    engine = FakeBackend("hello", name="toy")

    def load(name: str, model: str | None = None, **options: Any) -> Any:
        loaded.append({"name": name, "model": model, **options})
        return contextlib.closing(engine)

    monkeypatch.setattr(hfasr.backends, "load", load)
    result = invoke(
        *("--backend", backend, "--model", "m/x", "--revision", "v2"),
        *("--device", "cpu", "--dtype", "float32", "--batch-size", "8", "x.wav"),
    )
    assert (result.exit_code, result.stdout) == (0, "hello\n")
    assert loaded == [
        {"name": "toy", "model": model, "device": "cpu", "dtype": "float32", "batch_size": 8, "revision": "v2"}
    ]
    assert Client.made[0]["backend"] is engine
    assert Client.made[0]["revision"] is None
    assert engine.closed


def test_option_that_an_engine_does_not_take_is_2() -> None:
    """An engine that has no such option is a matter of usage, told once."""
    result = invoke("--backend", "pocketsphinx", "--device", "cuda", "x.wav", "y.wav")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "takes no option 'device'" in line
    assert Client.made == []
