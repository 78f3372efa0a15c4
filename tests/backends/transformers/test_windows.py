"""Windows over long audio: no frame twice, none left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.backends.transformers.windows import MAX_WHOLE_S, STRIDE_S, windows


@given(
    n_samples=st.integers(1, 16_000 * 1_000),
    rate=st.sampled_from([8_000, 16_000, 44_100]),
    samples_per_frame=st.sampled_from([160, 320, 640, 1_280]),
    lost=st.integers(0, 1),
)
def test_every_frame_once(n_samples: int, rate: int, samples_per_frame: int, lost: int) -> None:
    """The frames that count are those of the whole, each once and in order, with a model that loses one at the end."""
    kept: list[int] = []
    for window in windows(n_samples, rate, samples_per_frame):
        assert window.first % samples_per_frame == 0
        assert window.end - window.first <= round(MAX_WHOLE_S * rate) + samples_per_frame
        n_frames = max((window.end - window.first) // samples_per_frame - lost, 0)
        first = window.first // samples_per_frame
        end = None if window.keep is None else window.skip + window.keep
        kept += list(range(first, first + n_frames))[window.skip : end]
    assert kept == list(range(max(n_samples // samples_per_frame - lost, 0)))


@pytest.mark.parametrize("seconds", [0.1, 39.99, 40.0])
def test_whole(seconds: float) -> None:
    """Up to 40 s there is one window, of which everything counts."""
    n_samples = int(seconds * 16_000)
    assert windows(n_samples, 16_000, 320) == [(0, n_samples, 0, None)]


def test_context() -> None:
    """Everything that counts has 5 s of sound on both sides, but for the ends of the audio."""
    long = windows(16_000 * 300, 16_000, 320)
    stride = round(STRIDE_S * 16_000 / 320)
    assert [window.skip for window in long] == [0] + [stride] * (len(long) - 1)
    for window in long[:-1]:
        assert window.keep is not None
        assert (window.end - window.first) // 320 - window.skip - window.keep == stride
    assert long[-1].end == 16_000 * 300
