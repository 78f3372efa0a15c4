"""The options that an engine is made with."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

import hfasr
from hfasr.backends.transformers.settings import DEFAULT_MODEL, Settings, check_installed


def test_defaults() -> None:
    """Without options it is the library's own model, the best device, and neither pickles nor foreign code."""
    settings = Settings()
    assert settings.model == DEFAULT_MODEL == hfasr.DEFAULT_MODEL
    assert (settings.device, settings.dtype, settings.batch_size) == ("auto", "auto", "auto")
    assert settings.use_safetensors
    assert not settings.trust_remote_code


@pytest.mark.parametrize(
    "options",
    [
        *({"device": device} for device in ("cpu", "cuda", "cuda:0", "cuda:12", "mps")),
        *({"dtype": dtype} for dtype in ("float32", "float16", "bfloat16")),
        *({"batch_size": size} for size in (1, 64)),
        *({"revision": revision} for revision in ("main", "v1.0", "refs/pr/3", "a" * 40, "feature/x_y-z+1")),
    ],
)
def test_taken(options: dict[str, Any]) -> None:
    """What the engine can do is taken as it is."""
    (name,) = options
    assert getattr(Settings("org/model", **options), name) == options[name]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": 5}, TypeError, "model must be a string, not int"),
        ({"model": " "}, ValueError, "model must not be empty"),
        ({"device": None}, TypeError, "device must be a string, not NoneType"),
        ({"device": "gpu"}, ValueError, "device must be .*not 'gpu'"),
        ({"device": "cuda:"}, ValueError, "device must be"),
        ({"device": "cuda:-1"}, ValueError, "device must be"),
        ({"device": "cpu\n"}, ValueError, "device must be"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of 'auto', 'float32', 'float16', 'bfloat16', not 'int8'"),
        ({"batch_size": 0}, ValueError, "batch_size must be .*not 0"),
        ({"batch_size": True}, TypeError, "batch_size must be .*not True"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be .*not 2.0"),
        ({"batch_size": "many"}, TypeError, "batch_size must be .*not 'many'"),
        ({"revision": ""}, ValueError, "revision must be"),
        ({"revision": 7}, TypeError, "revision must be a string or None, not int"),
        ({"revision": "../../etc"}, ValueError, "revision must be"),
        ({"revision": "a\nb"}, ValueError, "revision must be"),
        ({"revision": "-x"}, ValueError, "revision must be"),
        ({"trust_remote_code": 1}, TypeError, "trust_remote_code must be True or False, not 1"),
        ({"use_safetensors": None}, TypeError, "use_safetensors must be True or False, not None"),
    ],
)
def test_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What it cannot do is refused in one line that says what it takes."""
    with pytest.raises(error, match=message) as caught:
        Settings(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "said"),
    [(("torch",), "needs torch;"), (("transformers", "torch"), "needs transformers and torch;")],
)
def test_not_installed(missing: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the error is the very command that installs them."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    with pytest.raises(hfasr.BackendNotInstalledError, match=said) as caught:
        check_installed()
    assert str(caught.value).endswith('run: pip install "hfasr[transformers]"')


def test_checking_imports_nothing() -> None:
    """Options and installation are checked without the seconds that torch and transformers take to import."""
    code = (
        "import sys; from hfasr.backends.transformers.settings import Settings, check_installed; "
        "Settings(); check_installed(); print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
