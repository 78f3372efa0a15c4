"""The public API, pinned: names, signatures, layers, and what an import may load."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import pickle
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hfasr
from hfasr import ASRClient, AsyncASRClient, RetryPolicy, Segment, Transcript, Word
from hfasr.types import Attempt, Provenance, TranscribeOptions

SRC = Path(hfasr.__file__).parent

PUBLIC = """
APIConnectionError APIError APIResponseError APIStatusError APITimeoutError ASRClient AllRoutesFailedError
AsyncASRClient Attempt Audio AudioDecodeError AudioError AudioInput AudioNotFoundError AudioTooLongError AudioURLError
AuthenticationError Backend BackendError BackendLoadError BackendNotFoundError BackendNotInstalledError BadRequestError
BatchAbortedError BatchError BatchItem Chunking DEFAULT_MODEL DeadlineExceededError EmptyAudioError EndpointGoneError HfasrError InvalidOptionError JournalError LiveAudio Microphone ModelLoadingError
ModelNotHostedError NotFoundError PayloadTooLargeError PaymentRequiredError PermissionDeniedError Progress Provenance RateLimitError RetryPolicy
Segment ServerError TranscribeOptions Transcript TranscriptCache UnsupportedAudioError Word __version__
"""

FIELDS = {
    "Transcript": "text segments=() language=None duration=None provenance=None warnings=() raw=None",
    "Segment": "start end text words=() channel=None error=None",
    "Word": "start end word confidence=None",
    "Provenance": (
        "backend provider model audio_sha256 audio_duration uploaded_bytes upload_format attempts=() "
        "fallback_reason=None audio_changes=() hfasr_version='' revision=None chunks=1"
    ),
    "Attempt": "route status error request_id started duration waited loading=0.0 chunk=None channel=None",
    "RetryPolicy": (
        "max_attempts=5 wait_initial=0.5 wait_max=8.0 max_retry_after=120.0 loading_timeout=300.0 "
        "retry_maybe_billed=True breaker_threshold=5 breaker_recovery=30.0"
    ),
    "Chunking": "chunk_length_s=None max_concurrency=8 split='silence' stride_length_s=None",
    "Audio": "waveform sampling_rate",
    "BatchItem": "index audio transcript=None error=None resumed=False",
    "Progress": "n_done n_failed n_resumed n_cached n_retries n_total audio_s elapsed_s",
}

CONSTRUCTOR = (
    "(model: 'str | None' = None, *, backend: 'str | Backend' = 'hosted', fallback: 'str | Backend | Sequence[str | Backend]' = (), "
    "provider: 'str | Sequence[str]' = 'auto', base_url: 'str | None' = None, dialect: 'DialectName' = 'auto', "
    "router_url: 'str | None' = None, token: 'str | None' = None, bill_to: 'str | None' = None, timeout: 'float' = 60.0, "
    "deadline: 'float | None' = None, retry: 'RetryPolicy' = RetryPolicy(max_attempts=5, wait_initial=0.5, wait_max=8.0, max_retry_after=120.0, loading_timeout=300.0, retry_maybe_billed=True, breaker_threshold=5, breaker_recovery=30.0), chunking: 'Chunking' = Chunking(chunk_length_s=None, max_concurrency=8, split='silence', stride_length_s=None), upload: 'UploadFormat' = 'auto', "
    "channels: 'Channels' = 'mix', allow_private_urls: 'bool' = False, allow_paths: 'bool' = True, revision: 'str | None' = None, local_only: 'bool' = False, on_attempt: 'Callable[[Attempt], object] | None' = None, http_client: 'Any' = None) -> 'None'"
)
OPTIONS = [
    "model",
    "language",
    "task",
    "prompt",
    "return_timestamps",
    "deadline",
    "generation_parameters",
    "extra_parameters",
    "on_chunk_error",
]

BATCH_OPTIONS = {
    "max_concurrency": 8,
    "ordered": True,
    "journal": None,
    "cache": None,
    "progress": False,
    "verify": "stat",
    "retry_failed": None,
}

ERRORS = """
HfasrError: Exception
AudioError: HfasrError ValueError
AudioDecodeError: AudioError
UnsupportedAudioError: AudioError
EmptyAudioError: AudioError
AudioTooLongError: AudioError
AudioNotFoundError: AudioError FileNotFoundError
AudioURLError: AudioError
BackendError: HfasrError
BackendNotFoundError: BackendError LookupError
BackendNotInstalledError: BackendError ImportError
BackendLoadError: BackendError
BatchError: HfasrError
BatchAbortedError: BatchError
JournalError: BatchError
InvalidOptionError: HfasrError ValueError
DeadlineExceededError: HfasrError TimeoutError
AllRoutesFailedError: HfasrError
APIError: HfasrError
APIConnectionError: APIError ConnectionError
APITimeoutError: APIConnectionError TimeoutError
APIResponseError: APIError
APIStatusError: APIError
BadRequestError: APIStatusError
AuthenticationError: APIStatusError
PaymentRequiredError: APIStatusError
PermissionDeniedError: APIStatusError
NotFoundError: APIStatusError
ModelNotHostedError: NotFoundError
EndpointGoneError: APIStatusError
PayloadTooLargeError: APIStatusError
RateLimitError: APIStatusError
ServerError: APIStatusError
ModelLoadingError: ServerError
"""


def test_public_names() -> None:
    """The public names are these and no others, and each of them is there."""
    public = PUBLIC.split()
    assert dir(hfasr) == public
    assert sorted(hfasr.__all__) == public
    star: dict[str, object] = {}
    exec("from hfasr import *", star)  # a name of __all__ that does not exist raises here
    assert star.keys() - {"__builtins__"} == set(public)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hfasr.nothing  # noqa: B018  # the access is what is tested


def test_default_model() -> None:
    """The default model is the one that the documentation names."""
    assert hfasr.DEFAULT_MODEL == "openai/whisper-large-v3"


def shown_field(field: dataclasses.Field[Any]) -> str:
    """Return a field's name, with its default where it has one."""
    return field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}"


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name: str) -> None:
    """The values have these fields, in this order, with these defaults: they may be made by position."""
    assert " ".join(map(shown_field, dataclasses.fields(getattr(hfasr, name)))) == FIELDS[name]


def test_options() -> None:
    """A call takes these options, and needs none of them."""
    assert list(TranscribeOptions.__annotations__) == OPTIONS
    assert TranscribeOptions.__required_keys__ == frozenset()


@pytest.mark.parametrize("client", [ASRClient, AsyncASRClient])
def test_constructor_and_methods(client: type[ASRClient]) -> None:
    """Both clients have the same constructor and the same methods."""
    assert str(inspect.signature(client.__init__)).replace("(self, ", "(") == CONSTRUCTOR
    parameters = inspect.signature(client.transcribe).parameters
    assert list(parameters) == ["self", "audio", *OPTIONS]
    assert all(p.kind is p.KEYWORD_ONLY for name, p in parameters.items() if name in OPTIONS)
    many = inspect.signature(client.transcribe_many).parameters
    assert list(many) == ["self", "audios", *BATCH_OPTIONS, *OPTIONS]
    assert {name: many[name].default for name in BATCH_OPTIONS} == BATCH_OPTIONS
    assert list(inspect.signature(client.transcribe_stream).parameters) == ["self", "audio", *OPTIONS]
    assert list(inspect.signature(client.wait_until_ready).parameters) == ["self", "timeout"]
    assert callable(client.preload)
    assert callable(client.with_options)


def test_error_tree() -> None:
    """Each error has the documented bases."""
    for line in ERRORS.strip().splitlines():
        name, _, bases = line.partition(": ")
        assert [base.__name__ for base in getattr(hfasr, name).__bases__] == bases.split(), name
    errors = {name for name in hfasr.__all__ if name.endswith("Error")}
    assert errors == {line.partition(":")[0] for line in ERRORS.strip().splitlines()}


@pytest.mark.parametrize("name", [line.partition(":")[0] for line in ERRORS.strip().splitlines()])
def test_every_error_pickles(name: str) -> None:
    """An error crosses processes with its fields, attempts and cause."""
    kind = getattr(hfasr, name)
    extra = {"status_code": 503} if issubclass(kind, hfasr.APIStatusError) else {}
    attempt = Attempt("here", 503, name, "id", 0.0, 1.0, 0.5)
    error = kind("what happened; what to do", attempts=[attempt], **extra)
    error.__cause__ = hfasr.APIStatusError("before", status_code=500)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == "what happened; what to do"
    assert again.attempts == (attempt,)
    assert isinstance(again.__cause__, hfasr.APIStatusError)
    assert vars(again) == vars(error)


def test_messages_are_one_short_line() -> None:
    """Whatever goes into a message, it comes out as one short line without secrets."""
    error = hfasr.APIStatusError(
        "a\r\nb\x00 Bearer abcdefghijkl hf_abcdefgh " + "QUJD" * 500, status_code=400, body="x" * 99_999
    )
    assert str(error) == "a b Bearer *** hf_*** …"
    assert len(error.body) <= 2_000
    assert len(str(hfasr.HfasrError("word " * 500))) <= 500


def test_values_are_frozen_and_pickle() -> None:
    """Results are frozen, slotted, compare by value, and cross processes; raw stays out of repr and dict."""
    word = Word(0.0, 0.5, "hi", 0.9)
    transcript = Transcript(
        "hi",
        (Segment(0.0, 0.5, "hi", (word,)),),
        "en",
        0.5,
        Provenance("hosted", "x", None, None, 0.5, 1, "flac"),
        ("w",),
        {"secret": 1},
    )
    assert pickle.loads(pickle.dumps(transcript)) == transcript
    assert Transcript.from_dict(transcript.to_dict()) == transcript
    assert transcript.words == (word,)
    assert "secret" not in repr(transcript) + str(transcript.to_dict())
    for value in (transcript, *transcript.segments, word, transcript.provenance, RetryPolicy()):
        assert not hasattr(value, "__dict__")
        first = dataclasses.fields(value)[0].name  # type: ignore[arg-type]  # all of them are dataclasses
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, first, getattr(value, first))


ORIGIN = dataclasses.asdict(Provenance("hosted", None, None, None, None, None, None))
ATTEMPT = dataclasses.asdict(Attempt("x", 200, None, None, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        {"text": 5},
        {"text": "x", "duration": "long"},
        {"text": "x", "duration": True},
        {"text": "x", "duration": 10**400},
        {"text": "x", "language": 1},
        {"text": "x", "warnings": "all"},
        {"text": "x", "warnings": [1]},
        {"text": "x", "segments": 3},
        {"text": "x", "segments": [{}]},
        {"text": "x", "segments": {"start": 0}},
        {"text": "x", "segments": [{"start": 0}]},
        {"text": "x", "segments": [{"start": "a", "end": None, "text": "x"}]},
        {"text": "x", "segments": [{"start": 0, "end": None, "text": "x", "words": "x"}]},
        {"text": "x", "segments": [{"start": 0, "end": 1, "text": "x", "words": [{"start": 0, "end": 1, "word": 1}]}]},
        {"text": "x", "provenance": {}},
        {"text": "x", "provenance": "hosted"},
        {"text": "x", "provenance": {**ORIGIN, "attempts": [{"route": "x"}]}},
        {"text": "x", "provenance": {**ORIGIN, "attempts": 5}},
        {"text": "x", "provenance": {**ORIGIN, "attempts": [dict.fromkeys(ATTEMPT, "x")]}},
        {"text": "x", "provenance": {**ORIGIN, "uploaded_bytes": 1.5}},
    ],
)
def test_from_dict_of_something_else(bad: object) -> None:
    """What is not a transcript's dictionary is a ValueError."""
    with pytest.raises(ValueError, match="not a transcript's dictionary"):
        Transcript.from_dict(bad)  # type: ignore[arg-type]  # that is what must fail


def test_from_dict_makes_floats_of_numbers() -> None:
    """Whole numbers, and those of numpy, become plain floats where seconds are meant; what is left out is empty."""
    segment = {"start": np.float32(0.5), "end": 1, "text": "x", "words": None}
    made = Transcript.from_dict({"text": "x", "duration": np.int64(2), "segments": [segment], "future": 1})
    assert made == Transcript("x", (Segment(0.5, 1.0, "x"),), duration=2.0)
    assert {type(value) for value in (made.duration, made.segments[0].start, made.segments[0].end)} == {float}


@pytest.mark.parametrize(
    "settings",
    [
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"wait_initial": -1},
        {"wait_max": float("nan")},
        {"wait_initial": 9, "wait_max": 8},
        {"loading_timeout": float("inf")},
        {"breaker_threshold": 0},
        {"breaker_threshold": True},
        {"breaker_recovery": -1},
    ],
)
def test_bad_retry_policies(settings: dict[str, float]) -> None:
    """A policy that makes no sense is refused."""
    with pytest.raises(ValueError, match="must"):
        RetryPolicy(**settings)  # type: ignore[arg-type]  # that is what must fail


LIGHT = "from hfasr import ASRClient, AsyncASRClient, Transcript, Audio; ASRClient(); AsyncASRClient()"
HEAVY = [
    "numpy",
    "httpx",
    "httpx2",
    "httpcore",
    "anyio",
    "tenacity",
    "huggingface_hub",
    "soundfile",
    "soxr",
    "av",
    "email.utils",
    "sqlite3",
    "filelock",
    "tqdm",
    "importlib.metadata",
]


def test_import_loads_nothing_heavy() -> None:
    """Importing hfasr and making clients loads no numpy, HTTP library, audio library or Hub client."""
    code = f"{LIGHT}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


IMPORTED = """
    _client _client_base _core _core.bells _core.breaker _core.clock _core.config _core.io _core.loops
    _core.shared _forks _hosted _hosted.dialect _hosted.servers _version _warm errors policies types
"""


def test_what_an_import_may_load() -> None:
    """Importing a client loads these modules of hfasr and some of Python's own, and nothing else at all."""
    code = "import sys; was = set(sys.modules); from hfasr import ASRClient; print(*sorted(set(sys.modules) - was))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = [name.partition(".")[2] for name in loaded if name.startswith("hfasr.")]
    assert ours == sorted(IMPORTED.split())
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"hfasr"}


LAYERS = [
    {"_forks", "_version", "errors", "formats", "policies", "wire"},
    {"types"},
    {"audio", "batches", "cache", "grouping"},
    {"_hosted", "backends", "live"},
    {"_core"},
    {"_run"},
    {"_long"},
    {"_batch"},
    {"_client_base", "_warm"},
    {"_client"},
    {"__init__"},
    {"cli", "integrations", "testing"},
]
LEVEL = {part: i for i, layer in enumerate(LAYERS) for part in layer}
ENGINES_MAY_IMPORT = {"_forks", "types", "errors", "audio", "grouping"}
HTTP_LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2", "h11"}
HTTP_FILES = {
    "_core/http1.py": {"h11"},
    "_core/lines.py": {"httpcore"},
    "_core/lookup.py": {"httpcore"},
    "_core/network.py": {"httpcore"},
    "_core/pool.py": {"httpcore"},
    "_core/proxied.py": {"httpcore"},
    "_core/ways.py": {"httpcore"},
}
MAX_CODE_LINES = 250


def imports(source: str, package: tuple[str, ...], *, for_type_checkers: bool) -> set[str]:
    """Return the dotted names that *source*, in *package*, imports, wherever in it."""
    tree = ast.parse(source)
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for statement in branch.body
        for node in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped and not for_type_checkers:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = [*base, *(node.module.split(".") if node.module else [])]
            found.update(".".join([*full, alias.name]) for alias in node.names)
    return found


def modules() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give each module's path from `SRC`, its source, and its package."""
    for path in sorted(SRC.rglob("*.py")):
        place = path.relative_to(SRC)
        yield place.as_posix(), path.read_text(encoding="utf-8"), ("hfasr", *place.parts[:-1])


def edges() -> set[tuple[str, str]]:
    """Return which part of hfasr imports which other one when it runs."""
    found = set()
    for place, source, package in modules():
        part = place.partition("/")[0].removesuffix(".py")
        for name in imports(source, package, for_type_checkers=False):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top == "hfasr" and target != part:
                # What is no part of its own is a name of the package: `from hfasr import ASRClient`.
                found.add((part, target if target in LEVEL else "__init__"))
    return found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import httpx", {"httpx"}),
        ("from httpx import Client", {"httpx.Client"}),
        ("import httpcore.x as y", {"httpcore.x"}),
        ("def f():\n    if True:\n        import httpx2", {"httpx2"}),
        ("if TYPE_CHECKING:\n    import httpx\nelse:\n    import ssl", {"ssl"}),
        ("from . import a\nfrom .b import c\nfrom ..d import e", {"hfasr.p.a", "hfasr.p.b.c", "hfasr.d.e"}),
    ],
)
def test_imports_are_seen(source: str, names: set[str]) -> None:
    """The tests below see an import in every spelling, wherever it stands."""
    assert imports(source, ("hfasr", "p"), for_type_checkers=False) == names


def test_imports_point_one_way() -> None:
    """Each part imports only parts of the layers below it, without exception."""
    found = edges()
    assert {("_client", "_core"), ("_core", "_hosted"), ("_hosted", "types"), ("types", "formats")} <= found
    assert sorted(edge for edge in found if LEVEL[edge[1]] >= LEVEL[edge[0]]) == []


def test_engines_import_little() -> None:
    """An engine knows audio, results and errors, and nothing of the hosted side or of the call."""
    used = {target for part, target in edges() if part == "backends"}
    assert used - ENGINES_MAY_IMPORT == set()


def test_http_libraries_stay_in_few_files() -> None:
    """Only the files below the senders know an HTTP library, so that it can be changed there; none needs httpx."""
    found = {
        place: used
        for place, source, package in modules()
        if (
            used := {name.partition(".")[0] for name in imports(source, package, for_type_checkers=True)}
            & HTTP_LIBRARIES
        )
    }
    assert found == HTTP_FILES


def n_code_lines(source: str) -> int:
    """Count the lines that hold code: no docstrings, comments or blank lines."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - docstrings)


def test_no_module_is_too_long() -> None:
    """Files have one reason to change, so they hold little code, however well it is documented."""
    assert n_code_lines('"""\nA module.\n"""\n\nx = (\n    1,  # one\n)\n# end\n') == 3
    long = {place: n for place, source, _ in modules() if (n := n_code_lines(source)) > MAX_CODE_LINES}
    assert long == {}
