"""The example that transcribes a corpus with Ray, run as its readers would."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integrations.kit import text_of, write_clips

if TYPE_CHECKING:
    from hfasr.testing import FakeASRServer

SCRIPT = Path(__file__).parents[2] / "examples" / "corpus_with_ray.py"
RAYS_OWN = "ignore:`use_:DeprecationWarning"  # Ray warns of settings of its own


@pytest.mark.slow
def test_corpus_with_ray(asr_server: FakeASRServer, tmp_path: Path) -> None:
    """It writes one table, says what failed, and sends nothing again when it is run again."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra ray is not installed")
    paths = write_clips(tmp_path / "clips", 5)
    Path(paths[3]).write_bytes(b"no audio, but text")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HFASR_"))}
    environment |= {
        "HF_TOKEN_PATH": os.devnull,
        "HFASR_ROUTER_URL": asr_server.router_url,
        "PYTHONIOENCODING": "utf-8",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else one is written into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", RAYS_OWN, SCRIPT, tmp_path / "out", *paths],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "4 of 5 transcribed, 2 s"
        assert f"{paths[3]}: UnsupportedAudioError" in done.stderr
    assert len(asr_server.requests) == 4
    (first, *_) = sorted((tmp_path / "out" / "rows").glob("*.parquet"))
    assert set(pq.read_schema(first).names) == {"path", "text", "error", "language", "duration"}
    rows = sorted((row["path"], row["text"]) for row in pq.read_table(tmp_path / "out" / "rows").to_pylist())
    assert rows == [(path, None if n == 3 else text_of(n)) for n, path in enumerate(paths)]
