from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

import hfasr.testing

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech


def test_the_fixtures_are_there(asr_server: FakeASRServer, tone_speech: ToneSpeech, fake_backend: FakeBackend) -> None:
    """Each gives what its name says, ready to use; no conftest defines them."""
    assert httpx.get(f"{asr_server.url}/health", trust_env=False).text == "Ok"
    assert tone_speech.sampling_rate == 16_000
    assert fake_backend.name == "fake"


def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    """Loading it imports no numpy, no server and no HTTP library: every pytest run on the machine loads it."""
    code = "import sys, hfasr.testing.plugin as p; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    heavy = "{'numpy', 'soundfile', 'soxr', 'av', 'httpx', 'tenacity', 'huggingface_hub', 'anyio'}"
    code = code.replace("{heavy}", heavy)
    env_free = [sys.executable, "-I", "-c", code]
    assert subprocess.run(env_free, capture_output=True, text=True, check=True, encoding="utf-8").stdout == "[]\n"


def test_every_name_is_there() -> None:
    """Everything that the package names can be had, and is listed; anything else is an AttributeError."""
    names = hfasr.testing.__all__
    assert len(set(names)) == len(names)
    assert dir(hfasr.testing) == sorted(names)
    for name in names:
        assert getattr(hfasr.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = hfasr.testing.Nothing
