"""How much an installation brings along: hfasr's core beside the other two clients that one may choose."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measure import show, skip

ROOT = Path(__file__).parents[1]
PEERS = {
    "hfasr": str(ROOT),
    "huggingface_hub": "huggingface_hub",
    "huggingface_hub[inference]": "huggingface_hub[inference]",
    "openai": "openai",
}
"""Names, and what pip is told."""


def run(peers: Mapping[str, str] = PEERS) -> None:
    """Print two lines for each of *peers*, installed by pip with all that it needs into a folder of its own."""
    for name, requirement in peers.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-compile",
                "--target",
                folder,
                requirement,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr.strip() or "no word").splitlines()[-1]
                skip(f"{name}: MB installed", f"pip failed: {why[:100]}")
                skip(f"{name}: packages", "pip failed")
                continue
            n_bytes, n_packages = measured(Path(folder))
        show(f"{name}: MB installed", n_bytes / 1e6, "")
        show(f"{name}: packages", n_packages, "")


def measured(folder: Path) -> tuple[int, int]:
    """Return how many bytes and how many packages there are in *folder*."""
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return n_bytes, len(list(folder.glob("*.dist-info")))


if __name__ == "__main__":
    run()
