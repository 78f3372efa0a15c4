"""The oldest huggingface_hub that is allowed: what is used of it works with that as with the installed one."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOUCHING = [
    "tests/core/test_token.py",
    "tests/core/test_hub_versions.py::test_version",
    "tests/testing/test_hub_client.py",
    "tests/audio/test_remote.py",
    "tests/backends/transformers/test_fetch.py",
    "tests/test_docs.py::test_why_not_waits",
    "tests/test_docs.py::test_why_not_bytes",
    "tests/test_docs.py::test_why_not_files",
]
"""Tests of the token, the Hub's client, ``hf://`` inputs and downloads of models."""


def oldest() -> str:
    """Return the lower bound that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: str = next(line for line in project["dependencies"] if line.startswith("huggingface_hub"))
    return found.partition(">=")[2].partition(",")[0]


@pytest.mark.skipif("HFASR_TEST_HUB" not in os.environ, reason="asked by test_oldest, in a process of its own")
def test_version() -> None:
    """The process that `test_oldest` starts has the version that it is to have."""
    import huggingface_hub

    assert huggingface_hub.__version__.startswith(f"{os.environ['HFASR_TEST_HUB']}.")
    assert os.environ["HFASR_TEST_HUB_FOLDER"] in str(huggingface_hub.__file__)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_oldest(tmp_path: Path) -> None:
    """With the oldest version that is allowed, every test passes that touches the Hub's client."""
    target = tmp_path / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    got = subprocess.run(
        [*install, f"huggingface_hub=={oldest()}.*"], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    if got.returncode != 0:
        pytest.skip(f"huggingface_hub {oldest()} cannot be had: {got.stderr.strip().splitlines()[-1:]}")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(target),
        "HFASR_TEST_HUB": oldest(),
        "HFASR_TEST_HUB_FOLDER": str(target),
    }
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *TOUCHING],
        capture_output=True, encoding="utf-8", cwd=ROOT, env=environment, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
