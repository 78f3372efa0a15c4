"""Convolutions as products of matrices: the model's own results, for every length, and its own modules elsewhere."""

from __future__ import annotations

import copy
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hfasr.backends.transformers.packed import can_pack
from hfasr.backends.transformers.packed_front_end import (
    BLOCK_FRAMES,
    PackedConvolutions,
    PackedPositions,
    pack_front_end,
)
from tests import tiny
from tests.backends.transformers.kit import engine, hear, sound, texts

TinyModel = Callable[..., Path]

needs_onednn = pytest.mark.skipif(not can_pack(torch.float32), reason="this processor or this torch packs nothing")

FIELD, STRIDE = 400, 320
# One frame, two, a last block of another size, blocks without a remainder, 45 s.
LENGTHS = (FIELD, FIELD + STRIDE - 1, FIELD + STRIDE, 16_000, FIELD + STRIDE * 2 * BLOCK_FRAMES, 45 * 16_000)
NORMS: dict[str, dict[str, Any]] = {
    "group": {"feat_extract_norm": "group", "do_stable_layer_norm": False},
    "layer": {"feat_extract_norm": "layer"},
    "group-bias": {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": True},
    "layer-bias": {"feat_extract_norm": "layer", "conv_bias": True},
}
OTHERS: dict[str, tuple[str, dict[str, Any], int]] = {  # family, config, how many of the two parts are replaced
    "another activation": ("wav2vec2", {"feat_extract_activation": "gelu_new"}, 0),
    "a norm over a batch": ("hubert", {"conv_pos_batch_norm": True}, 1),
}


def load(folder: Path) -> Any:
    """Return the model in *folder*, its norms and biases as little alike as those of a trained one."""
    import transformers

    model = transformers.AutoModelForCTC.from_pretrained(folder, local_files_only=True).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "feature_extractor" in name and weights.ndim == 1:
                weights.add_(torch.randn(weights.shape, generator=generator), alpha=0.3)
    return model


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def near(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Whether the two are as good as equal, by the largest value."""
    return float((found - expected).abs().max()) < tolerance * float(expected.abs().max())


@needs_onednn
@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
@pytest.mark.parametrize("norm", NORMS)
def test_features(family: str, norm: str, tiny_model: TinyModel) -> None:
    """Features and positions are those of the model's own modules, for one clip and several, of any length."""
    model = load(tiny_model(tiny.tiny_ctc, family, **NORMS[norm]))
    ours = copy.deepcopy(model)
    assert pack_front_end(ours, torch.float32) == 2
    own, packed = model.base_model.feature_extractor, ours.base_model.feature_extractor
    assert isinstance(packed, PackedConvolutions)
    with torch.inference_mode():
        for n_samples in LENGTHS:
            samples = noise(1, n_samples)
            torch.testing.assert_close(packed(samples), own(samples), atol=2e-5, rtol=1e-4)
        several = noise(3, 8_000) * torch.tensor([[1.0], [0.01], [3.0]]) + 0.5
        torch.testing.assert_close(packed(several), own(several), atol=2e-5, rtol=1e-4)
        own, packed = model.base_model.encoder.pos_conv_embed, ours.base_model.encoder.pos_conv_embed
        assert isinstance(packed, PackedPositions)
        for shape in ((1, 1, 32), (2, 7, 32), (1, 500, 32), (3, 250, 32)):
            torch.testing.assert_close(packed(noise(*shape)), own(noise(*shape)), atol=2e-5, rtol=1e-4)


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor packs no bfloat16")
@pytest.mark.parametrize("norm", NORMS)
def test_features_in_bfloat16(norm: str, tiny_model: TinyModel) -> None:
    """In bfloat16 they are near, in float32, and nearer than with everything in bfloat16."""
    model = load(tiny_model(tiny.tiny_ctc, **NORMS[norm]))
    ours, narrow = copy.deepcopy(model), copy.deepcopy(model).bfloat16()
    assert pack_front_end(ours, torch.bfloat16) == 2
    off = {"packed": 0.0, "narrow": 0.0}
    with torch.inference_mode():
        for n_samples in LENGTHS:
            samples = noise(1, n_samples)
            expected = model.base_model.feature_extractor(samples)
            found = ours.base_model.feature_extractor(samples)
            assert found.dtype == torch.float32
            assert near(found, expected, 0.03)
            off["packed"] += float((found - expected).square().mean())
            found = narrow.base_model.feature_extractor(samples.bfloat16())
            off["narrow"] += float((found.float() - expected).square().mean())
        frames = noise(2, 250, 32)
        found = ours.base_model.encoder.pos_conv_embed(frames)
        assert near(found, model.base_model.encoder.pos_conv_embed(frames), 0.03)
    assert off["packed"] < off["narrow"]


@needs_onednn
@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("level", [0.0, 1e-6, 0.7])
def test_silence(norm: str, level: float, tiny_model: TinyModel) -> None:
    """Where nothing varies the norm over time divides by what keeps it from zero, as the model's own does."""
    model = load(tiny_model(tiny.tiny_ctc, **NORMS[norm]))
    ours = copy.deepcopy(model)
    pack_front_end(ours, torch.float32)
    samples = torch.full((1, 8_000), level)
    with torch.inference_mode():
        found, expected = ours(samples).logits, model(samples).logits
    assert near(found, expected, 1e-3)


@needs_onednn
def test_less_than_a_frame(tiny_model: TinyModel) -> None:
    """Fewer samples than a frame are an error, and not a result from memory of others."""
    model = load(tiny_model(tiny.tiny_ctc))
    pack_front_end(model, torch.float32)
    with pytest.raises(ValueError, match="399 samples are less than a frame"):
        model.base_model.feature_extractor(noise(1, FIELD - 1))


@needs_onednn
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_built_otherwise_stays(name: str, tiny_model: TinyModel) -> None:
    """A part that is built in another way is the model's own, which still works."""
    family, config, n_packed = OTHERS[name]
    model = load(tiny_model(tiny.tiny_ctc, family, **config))
    ours = copy.deepcopy(model)
    assert pack_front_end(ours, torch.float32) == n_packed
    with torch.inference_mode():
        torch.testing.assert_close(ours(noise(1, 8_000)).logits, model(noise(1, 8_000)).logits, atol=1e-4, rtol=1e-4)


@needs_onednn
@pytest.mark.parametrize("change", ["padding", "dilation", "norm", "forward"])
def test_what_gives_something_else_stays(change: str, tiny_model: TinyModel) -> None:
    """Convolutions of another kind, and ones that do more than they look like, are left alone."""
    model = load(tiny_model(tiny.tiny_ctc))
    layer = model.base_model.feature_extractor.conv_layers[-1]
    if change == "padding":
        layer.conv.padding = (1,)
    elif change == "dilation":
        layer.conv.dilation = (2,)
    elif change == "norm":
        layer.layer_norm = nn.InstanceNorm1d(16)
    else:
        layer.register_forward_hook(lambda module, inputs, output: 2 * output)  # only the trial shows it
    own = model.base_model.feature_extractor
    assert pack_front_end(model, torch.float32) == 1
    assert model.base_model.feature_extractor is own


@pytest.mark.parametrize("lacks", ["processor", "build", "operators"])
def test_where_it_cannot_be(lacks: str, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another processor, or without the operators, the model stays as it is and works."""
    if lacks == "processor":
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
    elif lacks == "build":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    else:
        monkeypatch.setattr(torch.ops, "mkldnn", object())
    folder = tiny_model(tiny.tiny_ctc)
    for dtype in (torch.float32, torch.bfloat16):
        assert pack_front_end(load(folder), dtype) == 0
    for name in ("auto", "float32", "bfloat16"):
        assert hear(engine(folder, dtype=name), sound(1.0))[0].text


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_numbers_stay(dtype: torch.dtype, tiny_model: TinyModel) -> None:
    """Only float32 and bfloat16 are packed."""
    assert pack_front_end(load(tiny_model(tiny.tiny_ctc)), dtype) == 0
    assert pack_front_end(load(tiny_model(tiny.tiny_ctc)).to(dtype), torch.float32) == 0


def test_other_models_stay(tiny_model: TinyModel) -> None:
    """A model without such a front end is left alone."""
    assert pack_front_end(load(tiny_model(tiny.tiny_parakeet, "ctc")), torch.float32) == 0


@needs_onednn
@pytest.mark.parametrize("norm", NORMS)
def test_batches(norm: str, tiny_model: TinyModel) -> None:
    """Each clip goes alone through packed convolutions, too: a batch of mixed lengths has the texts of each alone."""
    model = engine(tiny_model(tiny.tiny_ctc, **NORMS[norm]), batch_size=4)
    clips = [sound(seconds, seed=n) for n, seconds in enumerate((0.1, 3.0, 0.5, 2.0))]
    together = texts(hear(model, *clips))
    assert model._loaded is not None
    front_end = model._loaded[0].model.base_model.feature_extractor
    assert isinstance(front_end.convolutions, PackedConvolutions)
    assert together == [hear(model, clip)[0].text for clip in clips]
    assert sum(map(bool, together)) > 2


LONG = """
import resource, sys
import torch
torch.set_num_threads(1)
from hfasr.backends.transformers.packed_front_end import pack_front_end
import transformers

model = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(num_hidden_layers=1, feat_extract_norm=sys.argv[1]))
model.eval()
assert pack_front_end(model, torch.float32)
samples = torch.randn(1, 16_000 * 40)
with torch.inference_mode():
    model.base_model.feature_extractor(samples[:, :48_000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.base_model.feature_extractor(samples)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@needs_onednn
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss is that of Linux")
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_memory_of_a_long_window(norm: str) -> None:
    """A window of 40 s of the usual shape needs little beside its features; the first layer's result is 262 MB."""
    done = subprocess.run(
        [sys.executable, "-c", LONG, norm],
        capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) < 64 * 2**20


@needs_onednn
def test_memory_is_freed(tiny_model: TinyModel) -> None:
    """The model's own convolutions are not kept beside the packed ones."""
    import gc
    import weakref

    model = load(tiny_model(tiny.tiny_ctc))
    own = [weakref.ref(layer.conv) for layer in model.base_model.feature_extractor.conv_layers]
    assert pack_front_end(model, torch.float32) == 2
    gc.collect()
    assert not [layer for layer in own if layer() is not None]
