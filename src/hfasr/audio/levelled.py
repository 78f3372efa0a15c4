"""
Samples whose level is settled.
"""

from __future__ import annotations

from .source import WaveformSource

__all__ = ["LevelledSource"]


class LevelledSource(WaveformSource):
    """
    A piece of audio, levelled by what its whole calls for: `decode` leaves its level and DC alone.

    By itself a pause would be raised until its noise is as loud as speech.
    """

    __slots__ = ()
