"""A language of eight letters, each a tone, that a tiny model learns to transcribe in some seconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ALPHABET = "abcdefgh"
RATE = 16_000
LETTER_S, GAP_S, SPACE_S, EDGE_S = 0.12, 0.06, 0.16, 0.1


def tone_audio(text: str, *, seed: int = 0, noise: float = 0.01) -> npt.NDArray[np.float32]:
    """Return *text* as tones, float32 at 16 kHz: the same for the same *seed*, which varies lengths, phases and noise."""
    return tone_track(text, seed=seed, noise=noise)[0]


def tone_track(
    text: str, *, seed: int = 0, noise: float = 0.01
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.str_]]:
    """Return *text* as tones and, for each sample, the letter or the space that sounds there, ``""`` between letters."""
    rng = np.random.default_rng(seed)
    parts = [("", _silence(EDGE_S))]
    for letter in text:
        if letter == " ":
            parts.append((" ", _silence(SPACE_S)))
            continue
        time = np.arange(int(LETTER_S * RATE * rng.uniform(0.9, 1.1))) / RATE
        frequency = 300.0 * 1.35 ** ALPHABET.index(letter)  # 300 to 2 451 Hz
        tone = np.sin(2 * np.pi * (frequency * time + rng.uniform()))
        parts += [(letter, 0.5 * np.hanning(len(time)) ** 0.3 * tone), ("", _silence(GAP_S))]
    parts.append(("", _silence(EDGE_S)))
    sound = np.concatenate([samples for _, samples in parts])
    heard = np.concatenate([np.full(len(samples), letter, "<U1") for letter, samples in parts])
    return (sound + noise * rng.standard_normal(len(sound))).astype(np.float32), heard


def random_sentence(rng: np.random.Generator, *, words: tuple[int, int] = (1, 4)) -> str:
    """Return from ``words[0]`` to below ``words[1]`` words of two to four letters."""
    return " ".join("".join(rng.choice(list(ALPHABET), size=rng.integers(2, 5))) for _ in range(rng.integers(*words)))


def _silence(seconds: float) -> npt.NDArray[np.float64]:
    return np.zeros(int(seconds * RATE))
