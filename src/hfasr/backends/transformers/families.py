"""Which of our ways to transcribe a loaded model gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .batches import Batches
from .ctc import CTC
from .packed import pack_linears
from .seq2seq import Seq2Seq
from .transducer import Transducer
from .whisper import WINDOW_S, Whisper

if TYPE_CHECKING:
    from .loading import Checkpoint
    from .settings import BatchSize

__all__ = ["make_family"]


def make_family(checkpoint: Checkpoint, batch_size: BatchSize) -> CTC | Whisper | Seq2Seq | Transducer:
    """Return what transcribes with *checkpoint*, its model made ready for the device."""
    if checkpoint.device.type == "cpu":
        pack_linears(checkpoint.model)
    if checkpoint.kind == "whisper":
        return Whisper(checkpoint, Batches(batch_size, checkpoint.device, least_s=WINDOW_S))
    family = {"ctc": CTC, "seq2seq": Seq2Seq, "transducer": Transducer}[checkpoint.kind]
    return family(checkpoint, Batches(batch_size, checkpoint.device))
