"""
Models of the Hub on this machine, by the library transformers.

Models are called directly, not through its pipeline, which needs ffmpeg, empties the dictionaries
that it is given, cannot batch long clips with short ones, and lets times run beyond the audio.
"""

from __future__ import annotations

from .engine import Transformers

__all__ = ["Transformers"]
