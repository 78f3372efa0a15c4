from __future__ import annotations

import subprocess
import sys

import pytest

import hfasr.audio


def test_all_names_are_there() -> None:
    """What the package lists can be had, and is where `dir` says."""
    assert dir(hfasr.audio) == sorted(hfasr.audio.__all__)
    for name in hfasr.audio.__all__:
        assert getattr(hfasr.audio, name) is not None
    with pytest.raises(AttributeError, match="nosuch"):
        hfasr.audio.nosuch  # noqa: B018  # the access is the test


def test_sending_a_file_as_it_is_loads_nothing_heavy() -> None:
    """Finding, recognising and hashing a file needs no numpy, and no decoder."""
    code = """
import sys
from hfasr.audio import FLAC, check_url, load, make_upload, passes_through
from hfasr.audio.source import BytesSource
source = BytesSource(b"OggS" + bytes(24) + b"OpusHead", name="a.opus")
assert passes_through(source, format="auto", accepts=frozenset({"ogg"}))
assert make_upload(source, format="auto", accepts=frozenset({"ogg"})).original
source.sha256()
print(sorted({"numpy", "soundfile", "soxr", "av", "httpx", "fsspec", "huggingface_hub", "tenacity"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "[]"
