"""The public API, pinned: names, signatures, layers, and what an import may load."""

from __future__ import annotations

import ast
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import hfasr
from hfasr import ASRClient, AsyncASRClient, RetryPolicy, Segment, Transcript, Word
from hfasr.types import Attempt, Provenance

SRC = Path(hfasr.__file__).parent

CONSTRUCTOR = (
    "(model: 'str | None' = None, *, backend: 'str | Backend' = 'hosted', fallback: 'str | Backend | Sequence[str | Backend]' = (), "
    "provider: 'str | Sequence[str]' = 'auto', base_url: 'str | None' = None, dialect: 'DialectName' = 'auto', "
    "router_url: 'str | None' = None, token: 'str | None' = None, bill_to: 'str | None' = None, timeout: 'float' = 60.0, "
    "deadline: 'float | None' = None, retry: 'RetryPolicy | None' = None, upload: 'UploadFormat' = 'auto', "
    "channels: 'Channels' = 'mix', allow_private_urls: 'bool' = False, allow_paths: 'bool' = True, http_client: 'Any' = None) -> 'None'"
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
]

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


def test_all_is_sorted_and_complete() -> None:
    """Every public name is there, in order, and star import works."""
    assert sorted(hfasr.__all__, key=str.lower) == sorted(set(hfasr.__all__), key=str.lower)
    assert dir(hfasr) == sorted(hfasr.__all__)
    for name in hfasr.__all__:
        assert getattr(hfasr, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hfasr.nothing  # noqa: B018  # the access is what is tested


@pytest.mark.parametrize("client", [ASRClient, AsyncASRClient])
def test_constructor_and_methods(client: type[ASRClient]) -> None:
    """Both clients have the same constructor and the same methods."""
    assert str(inspect.signature(client.__init__)).replace("(self, ", "(") == CONSTRUCTOR
    parameters = inspect.signature(client.transcribe).parameters
    assert list(parameters) == ["self", "audio", *OPTIONS]
    assert all(p.kind is p.KEYWORD_ONLY for name, p in parameters.items() if name in OPTIONS)
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
    for value in (transcript, word, RetryPolicy()):
        assert not hasattr(value, "__dict__")
        with pytest.raises((AttributeError, TypeError)):
            value.text = "changed"  # type: ignore[union-attr, misc]  # that is what must fail


@pytest.mark.parametrize(
    "bad",
    [{}, {"text": "x", "segments": [{}]}, {"text": "x", "segments": 3}, [], {"text": "x", "segments": [{"start": 0}]}],
)
def test_from_dict_of_something_else(bad: object) -> None:
    """What is not a transcript's dictionary is a ValueError."""
    with pytest.raises(ValueError, match="not a transcript's dictionary"):
        Transcript.from_dict(bad)  # type: ignore[arg-type]  # that is what must fail


@pytest.mark.parametrize(
    "settings",
    [
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"wait_initial": -1},
        {"wait_max": float("nan")},
        {"wait_initial": 9, "wait_max": 8},
        {"loading_timeout": float("inf")},
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
    "importlib.metadata",
]


def test_import_loads_nothing_heavy() -> None:
    """Importing hfasr and making clients loads no numpy, HTTP library, audio library or Hub client."""
    code = f"{LIGHT}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


LAYERS = [
    {"_version", "errors", "formats", "wire"},
    {"types"},
    {"audio", "grouping"},
    {"_hosted", "backends"},
    {"_core"},
    {"_batch"},
    {"_client"},
    {"__init__"},
    {"cli", "testing"},
]
ALLOWED_UP = {("_core", "backends"), ("testing", "_core")}


def runtime_imports(path: Path) -> set[str]:
    """Return the parts of hfasr that a module imports when it runs, wherever in it; not for type checkers alone."""
    package = ("hfasr", *path.relative_to(SRC).with_suffix("").parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = [*base, *(node.module.split(".") if node.module else [])]
            names = [[*full, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        found.update(name[1] if len(name) > 1 else "__init__" for name in names if name[0] == "hfasr")
    return found


def test_imports_point_one_way() -> None:
    """Each layer imports only those below it; httpx is imported in one file, httpcore in two."""
    level = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    wrong, httpx_files = [], set()
    for path in SRC.rglob("*.py"):
        part = path.relative_to(SRC).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for target in runtime_imports(path) - {part}:
            target_level = level.get(target, level["__init__"])
            if target_level >= level[part] and (part, target) not in ALLOWED_UP:
                wrong.append(f"{path.relative_to(SRC)} imports {target}")
        text = path.read_text(encoding="utf-8")
        if "\nimport httpx" in text or "\nimport httpcore" in text:
            httpx_files.add(str(path.relative_to(SRC).as_posix()))
    assert wrong == []
    assert httpx_files == {"_core/network.py", "_core/pool.py"}


def test_no_module_is_too_long() -> None:
    """Files have one reason to change: under 400 lines, docstrings and all."""
    long = {
        str(p.relative_to(SRC)): n
        for p in SRC.rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert set(long) <= {"types.py"}
