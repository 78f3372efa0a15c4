"""
Make the speech in `examples/audio`: flite's voice "slt" reads the references of `transcripts.tsv`.

Needs the program flite (Debian: ``apt install flite``) and runs for a second:

    python examples/make_audio.py
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

AUDIO = Path(__file__).parent / "audio"
VOICE = "slt"  # of flite's voices the one that the offline engine understands best


def references(folder: Path) -> dict[str, str]:
    """Read what each file says, by file name."""
    with (folder / "transcripts.tsv").open(encoding="utf-8", newline="") as table:
        return {row["file"]: row["reference"] for row in csv.DictReader(table, delimiter="\t")}


def speak(text: str, path: Path) -> None:
    """Write *text*, spoken, to *path*: 16 kHz, mono, 16-bit FLAC."""
    flite = shutil.which("flite")
    if flite is None:
        sys.exit("flite is not installed; on Debian and Ubuntu run: sudo apt install flite")
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch, "speech.wav")
        subprocess.run([flite, "-voice", VOICE, "-t", text, "-o", str(wav)], check=True)
        samples, sampling_rate = soundfile.read(wav, dtype="int16")
    soundfile.write(path, samples, sampling_rate, subtype="PCM_16")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else AUDIO
    for name, reference in references(AUDIO).items():
        speak(reference, target / name)
        print(target / name)
