"""
The kinds of audio file that hfasr knows: what to call each one, and who can open it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AAC",
    "AC3",
    "AIFF",
    "AMR",
    "APE",
    "ASF",
    "AU",
    "AVI",
    "CAF",
    "DSF",
    "DTS",
    "FLAC",
    "FLV",
    "M4A",
    "MKV",
    "MOV",
    "MP2",
    "MP3",
    "MP4",
    "MPEG_PS",
    "MPEG_TS",
    "NIST",
    "OGG",
    "OGG_FLAC",
    "OGG_VIDEO",
    "SVX",
    "THREE_GP",
    "TTA",
    "VOC",
    "W64",
    "WAV",
    "WAVPACK",
    "WEBM",
    "WEBM_VIDEO",
    "Container",
]

OTHER = "audio/x-audio"  # what the servers of Hugging Face take for every kind without a label of its own


@dataclass(frozen=True, slots=True)
class Container:
    """
    One kind of file.

    Example:
        >>> FLAC.content_type
        'audio/flac'
    """

    name: str
    """Short name, such as ``"mp3"``; dialects list what their server takes by it."""

    content_type: str = OTHER
    """Label to upload it with; only such as Hugging Face's servers compare equal."""

    suffix: str = ""
    """File-name ending, with the dot; by default the name's."""

    lossy: bool = False
    """Whether the codecs that are usual in it are lossy: decoding it would only make it larger."""

    video: bool = False
    """Whether there are pictures, too, which nobody needs to send."""

    libsndfile: bool = False
    """Whether libsndfile is tried first."""

    demuxer: str | None = None
    """FFmpeg's name for it, which PyAV is told rather than asked to guess; ``None``: FFmpeg cannot."""

    def __post_init__(self) -> None:
        if not self.suffix:
            object.__setattr__(self, "suffix", f".{self.name}")


# Content types: the lists that Hugging Face's inference toolkit compares with, exactly and
# case-sensitively (huggingface-inference-toolkit, serialization/base.py, read 2026-11-22).
FLAC = Container("flac", "audio/flac", libsndfile=True, demuxer="flac")
WAV = Container("wav", "audio/wav", libsndfile=True, demuxer="wav")
W64 = Container("w64", libsndfile=True, demuxer="w64")
AIFF = Container("aiff", libsndfile=True, demuxer="aiff")
CAF = Container("caf", libsndfile=True, demuxer="caf")
AU = Container("au", libsndfile=True, demuxer="au")
SVX = Container("8svx", libsndfile=True, demuxer="iff")
VOC = Container("voc", libsndfile=True, demuxer="voc")
NIST = Container("sph", libsndfile=True, demuxer="nistsphere")
OGG = Container("ogg", "audio/ogg", lossy=True, libsndfile=True, demuxer="ogg")
OGG_FLAC = Container("ogg", "audio/ogg", libsndfile=True, demuxer="ogg")
OGG_VIDEO = Container("ogv", lossy=True, video=True, demuxer="ogg")
MP3 = Container("mp3", "audio/mpeg", lossy=True, libsndfile=True, demuxer="mp3")
MP2 = Container("mp2", "audio/mpeg", lossy=True, libsndfile=True, demuxer="mp3")

M4A = Container("m4a", "audio/m4a", lossy=True, demuxer="mov")
THREE_GP = Container("3gp", lossy=True, demuxer="mov")
MP4 = Container("mp4", lossy=True, video=True, demuxer="mov")
MOV = Container("mov", lossy=True, video=True, demuxer="mov")
WEBM = Container("webm", "audio/webm", lossy=True, demuxer="matroska")
WEBM_VIDEO = Container("webm", "audio/webm", lossy=True, video=True, demuxer="matroska")
MKV = Container("mkv", lossy=True, video=True, demuxer="matroska")
AMR = Container("amr", "audio/amr", lossy=True, demuxer="amr")
AAC = Container("aac", lossy=True, demuxer="aac")
AC3 = Container("ac3", lossy=True, demuxer="ac3")
DTS = Container("dts", lossy=True, demuxer="dts")
ASF = Container("wma", lossy=True, demuxer="asf")
AVI = Container("avi", lossy=True, video=True, demuxer="avi")
FLV = Container("flv", lossy=True, video=True, demuxer="flv")
MPEG_TS = Container("ts", lossy=True, video=True, demuxer="mpegts")
MPEG_PS = Container("mpg", lossy=True, video=True, demuxer="mpeg")
WAVPACK = Container("wv", demuxer="wv")
APE = Container("ape", demuxer="ape")
TTA = Container("tta", demuxer="tta")
DSF = Container("dsf", demuxer="dsf")
