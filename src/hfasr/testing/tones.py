"""
Speech that a test can check exactly: words written as pairs of tones, and read back from samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.types import Audio, Segment, TranscribeOptions, Transcript, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

__all__ = ["GAP_S", "SLOT_S", "VOCABULARY", "WORD_S", "ToneSpeech"]

VOCABULARY = tuple(
    """
    able apple bank bird blue boat book bread bridge car cat chair child city cloud coat
    coffee corn day desk dog door earth egg fire fish flower garden glass gold green hand
    hat horse house iron island key lake lamp leaf lemon milk moon mountain music night ocean
    orange paper queen rain red river salt school ship snow stone sun table tree water wind
    """.split()  # noqa: SIM905  # 64 quoted words are harder to read
)
"""The 64 words, in alphabetical order."""

WORD_S = 0.2  # how long a word sounds, seconds
GAP_S = 0.1  # silence between two words, seconds
SLOT_S = GAP_S / 2 + WORD_S + GAP_S / 2  # 0.3 s: what one word takes, half of each gap included
EDGE_S = 0.01  # raised-cosine fade at each end of a word, seconds
TONE_AMPLITUDE = 0.25  # of each of the two tones, so that their sum stays within 0.5
PAUSE_S = 0.5  # a longer silence begins a new segment
MIN_HEARD_S = 0.6 * WORD_S  # 0.12 s: more than half, so a cut through a word can not double it
MAX_HEARD_S = 1.4 * WORD_S  # 0.28 s: what sounds longer is no word

LOW_HZ = (347.0, 419.0, 491.0, 563.0, 643.0, 727.0, 811.0, 907.0)
HIGH_HZ = (1097.0, 1237.0, 1381.0, 1531.0, 1693.0, 1861.0, 2039.0, 2221.0)
# All well inside 300 to 3400 Hz, the band of a telephone (ITU-T G.712), so that 8 kHz audio and
# speech codecs keep them. Neighbours are 72 Hz apart or more. All are primes: where one tone is a
# multiple of another, the pitch prediction of a speech codec swallows one of the two.


class ToneSpeech:
    """
    A speaker and a listener for tests: each of 64 words is one low and one high tone, as on a telephone's keypad.

    What `say` writes `hear` reads, through any sampling rate from 8 kHz up, gain, DC offset, noise
    20 dB below and lossy codecs. Audio at a wrong rate, cut in a wrong place or shifted gives
    other words, fewer words or other times: that is what a test wants to see. A word is heard if
    at least 60 % of it is there.

    Each word takes 0.3 s: 0.05 s of silence, 0.2 s of sound, 0.05 s of silence. So word *i* of
    `say` starts at ``0.05 + 0.3 * i`` seconds.

    Args:
        sampling_rate: Rate of what `say` gives, Hz, 8000 or more.

    Raises:
        ValueError: *sampling_rate* is below 8000.

    Example:
        >>> from hfasr import Audio
        >>> speech = ToneSpeech()
        >>> waveform = speech.say("red boat")
        >>> waveform.shape, waveform.dtype
        ((9600,), dtype('float32'))
        >>> speech.hear(Audio(waveform, 16_000)).text
        'red boat'

    Source:
        Two tones for each symbol: ITU-T Recommendation Q.23 (push-button telephone sets).

    .. versionadded:: 0.1.0
    """

    def __init__(self, sampling_rate: int = 16_000) -> None:
        self.sampling_rate = _checked(sampling_rate)
        self.vocabulary: tuple[str, ...] = VOCABULARY

    def say(self, text: str | Sequence[str], *, sampling_rate: int | None = None) -> npt.NDArray[np.float32]:
        """
        Write words as tones.

        Args:
            text: Words of `vocabulary`, separated by white space or one by one; case is ignored.

            sampling_rate: Hz, 8000 or more, instead of the constructor's.

        Returns:
            Samples of shape ``(round(0.3 * n_words * sampling_rate),)``, float32, in [-0.5, 0.5].

        Raises:
            ValueError: A word is not in `vocabulary`, or *sampling_rate* is below 8000.
        """
        words = text.split() if isinstance(text, str) else list(text)
        return self.say_at(
            ((GAP_S / 2 + i * SLOT_S, word) for i, word in enumerate(words)),
            duration=SLOT_S * len(words),
            sampling_rate=sampling_rate,
        )

    def say_at(
        self, words: Iterable[tuple[float, str]], *, duration: float, sampling_rate: int | None = None
    ) -> npt.NDArray[np.float32]:
        """
        Write words as tones, each at its own time.

        Args:
            words: Pairs of the second at which a word starts, 0 or more, and the word.

            duration: Length of the whole, seconds.

            sampling_rate: Hz, 8000 or more, instead of the constructor's.

        Returns:
            Samples of shape ``(round(duration * sampling_rate),)``, float32; silence between the words.

        Raises:
            ValueError: A word is not in `vocabulary`, or does not fit into *duration*.

        Example:
            >>> speech = ToneSpeech()
            >>> heard = speech.hear(Audio(speech.say_at([(0.5, "sun"), (2.0, "moon")], duration=3.0), 16_000))
            >>> [(round(segment.start, 1), segment.text) for segment in heard.segments]
            [(0.5, 'sun'), (2.0, 'moon')]
        """
        import numpy as np

        rate = _checked(sampling_rate) if sampling_rate is not None else self.sampling_rate
        waveform = np.zeros(round(duration * rate), np.float32)
        for start, word in words:
            sound = _tones(word, rate)
            first = round(start * rate)
            if first < 0 or first + len(sound) > len(waveform) + 1:
                raise ValueError(f"{word!r} at {start} s does not fit into {duration} s; give a longer duration")
            waveform[first : first + len(sound)] += sound[: len(waveform) - first]
        return waveform

    def hear(self, audio: Audio, options: TranscribeOptions | None = None) -> Transcript:  # noqa: ARG002  # an engine gets them
        """
        Read the words back.

        Args:
            audio: Mono samples, shape ``(n_samples,)``, floats, at any rate and gain.

            options: Not used; it is here so that ``ToneSpeech().hear`` can stand behind a
                `FakeASRServer`.

        Returns:
            The words with their times, exact to 10 ms. A pause of more than 0.5 s begins a new
            segment. Silence, noise and single tones give no words.

        Raises:
            ValueError: The waveform is not 1-D.
        """
        from ._tone_detector import find_words

        words = find_words(audio)
        return Transcript(
            text=" ".join(word.word for word in words),
            segments=_segments(words),
            language="en",
            duration=len(audio.waveform) / audio.sampling_rate,
        )


def _checked(sampling_rate: int) -> int:
    if sampling_rate < 8_000:
        raise ValueError(f"the tones need a sampling_rate of 8000 Hz or more, not {sampling_rate}")
    return sampling_rate


def _tones(word: str, sampling_rate: int) -> npt.NDArray[np.float32]:
    import numpy as np

    try:
        number = VOCABULARY.index(word.lower())
    except ValueError:
        raise ValueError(f"{word!r} is not a word of ToneSpeech; see its vocabulary") from None
    time = np.arange(round(WORD_S * sampling_rate)) / sampling_rate
    sound = sum(
        TONE_AMPLITUDE * np.sin(2 * np.pi * frequency * time)
        for frequency in (LOW_HZ[number // len(HIGH_HZ)], HIGH_HZ[number % len(HIGH_HZ)])
    )
    to_the_edge = np.minimum(time, time[-1] - time)
    fade = 0.5 - 0.5 * np.cos(np.pi * np.minimum(to_the_edge / EDGE_S, 1.0))
    return np.asarray(sound * fade, np.float32)


def _segments(words: Sequence[Word]) -> tuple[Segment, ...]:
    groups: list[list[Word]] = []
    for word in words:
        if not groups or word.start - (groups[-1][-1].end or 0.0) > PAUSE_S:
            groups.append([])
        groups[-1].append(word)
    return tuple(
        Segment(group[0].start, group[-1].end, " ".join(word.word for word in group), tuple(group)) for group in groups
    )
