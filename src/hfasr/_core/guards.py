"""
Guards on what comes back: what no speech can be is taken out or mended, and said in a warning.

They look at the transcript of one piece of audio alone, so that they serve every route. Where a repair could lose
words that were said there is only the warning.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .guard_collapse import collapse
from .guard_mend import mended, n_moved
from .guard_pace import counted, too_fast
from .guard_times import LATEST_S, sound

if TYPE_CHECKING:
    from hfasr.types import Segment, Transcript

__all__ = ["guarded"]

SILENT = "the audio is silent; what the model said was left out"
REPEATED = "the model repeated itself"
MAY_REPEAT = "the text repeats itself"
TIMES = "were missing, backward, beyond the audio or stuck; they were estimated from their neighbours"
TOO_FAST = "more text than can be said in the time"


def guarded(transcript: Transcript, *, duration: float | None, is_silent: bool | None) -> Transcript:
    """
    Return *transcript* without what it cannot be; the same object where nothing is wrong.

    - On silent audio nothing is said: text and segments go.
    - Times become finite, in order and inside the audio. Ends that nobody knows are filled in: from the next start,
      and the last from *duration*.
    - Of a loop that nobody can have said in its time one occurrence stays. What may be one gives a warning.
    - More text than can be said in the time gives a warning.

    A second time it changes nothing and adds no warning. Warnings hold counts and times, no text.

    Args:
        transcript: Of one piece of audio, as the model gave it.

        duration: Of that piece, seconds, 0 or more; ``None``: unknown.

        is_silent: Whether it is digital silence; ``None``: nobody looked.

    Example:
        >>> from hfasr import Transcript
        >>> guarded(Transcript("of the " * 200), duration=5.0, is_silent=False).text
        'of the'
        >>> guarded(Transcript("Thank you."), duration=5.0, is_silent=True).warnings
        ('the audio is silent; what the model said was left out',)
    """
    if duration is not None and not 0.0 <= duration <= LATEST_S:
        duration = None
    text, segments = transcript.text, transcript.segments
    found: list[str] = []
    if is_silent and _says_something(transcript):
        text = ""
        segments = tuple(replace(s, text="", words=()) for s in segments if s.error is not None)
        found.append(SILENT)

    n_segments = n_words = n_repeats = 0
    while True:
        if segments and not sound(segments, duration):
            before, segments = segments, mended(segments, duration)
            in_segments, in_words = n_moved(before, segments, duration)
            n_segments, n_words = n_segments + in_segments, n_words + in_words
        text, segments, left_out, most_repeats = collapse(text, segments, duration)
        if not left_out:
            break
        n_repeats += left_out
    if n_repeats:
        found.append(f"{REPEATED}: {counted(n_repeats, 'repetition')} left out")
    if most_repeats:
        found.append(f"{MAY_REPEAT} {most_repeats} times in a row, which may be a loop of the model; it was kept")
    if n_segments or n_words:
        found.append(f"the times of {counted(n_segments, 'segment')} and {counted(n_words, 'word')} {TIMES}")
    fast = too_fast(text, segments, duration)
    if fast:
        found.append(f"{TOO_FAST}: {fast}")
    return _with(transcript, text, segments, found)


def _says_something(transcript: Transcript) -> bool:
    return bool(transcript.text.strip()) or any(s.text.strip() or s.words for s in transcript.segments)


def _with(transcript: Transcript, text: str, segments: tuple[Segment, ...], found: list[str]) -> Transcript:
    known = transcript.warnings
    new = tuple(warning for warning in found if warning not in known)
    if not new and text is transcript.text and segments is transcript.segments:
        return transcript
    return replace(transcript, text=text, segments=segments, warnings=(*known, *new))
