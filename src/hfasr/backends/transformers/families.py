"""Which of our ways to transcribe a loaded model gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfasr.errors import BackendLoadError

from .batches import Batches
from .ctc import CTC
from .packed import pack_linears
from .packed_front_end import pack_front_end
from .seq2seq import Seq2Seq
from .transducer import Transducer
from .whisper import WINDOW_S, Whisper

if TYPE_CHECKING:
    from .loading import Checkpoint
    from .settings import BatchSize

__all__ = ["make_family"]

WHISPER_CPU_CLIPS = 4
"""
Windows at once on a CPU: its decoder reads the weights once for all of them. The other families go
clip by clip there, which was faster by a fifth than four of 2 s at once (Wav2Vec2's base shape).
"""


def make_family(checkpoint: Checkpoint, batch_size: BatchSize) -> CTC | Whisper | Seq2Seq | Transducer:
    """
    Return what transcribes with *checkpoint*, its model made ready for the device.

    Raises:
        BackendLoadError: The model is of a type that works in yet another way.
    """
    if checkpoint.device.type == "cpu":
        pack_linears(checkpoint.model, checkpoint.dtypes.products)
        pack_front_end(checkpoint.model, checkpoint.dtypes.products)
    try:
        return _family(checkpoint, batch_size)
    except (AttributeError, TypeError) as error:
        kind = checkpoint.model.config.model_type
        raise BackendLoadError(
            f"the backend 'transformers' cannot run a model of the type {kind!r} ({error}); choose another model"
        ) from error


def _family(checkpoint: Checkpoint, batch_size: BatchSize) -> CTC | Whisper | Seq2Seq | Transducer:
    if checkpoint.kind == "whisper":
        batches = Batches(batch_size, checkpoint.device, least_s=WINDOW_S, cpu_clips=WHISPER_CPU_CLIPS)
        return Whisper(checkpoint, batches)
    batches = Batches(batch_size, checkpoint.device)
    if checkpoint.kind == "ctc":
        return CTC(checkpoint, batches)
    if checkpoint.kind == "transducer":
        return Transducer(checkpoint, batches)
    return Seq2Seq(checkpoint, batches)
