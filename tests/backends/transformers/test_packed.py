"""Linear layers laid out for the processor: the same results, and nothing touched that must not be."""

from __future__ import annotations

import copy
import platform
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hfasr.backends.transformers.packed import PackedLinear, can_pack, pack_linears
from tests import tiny
from tests.backends.transformers.kit import engine, hear, sound

TinyModel = Callable[..., Path]

needs_onednn = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.is_available(),
    reason="this processor or this build of torch packs nothing",
)

needs_bfloat16 = pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor packs no bfloat16")


class Tied(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """An output layer that shares its weights with the embedding, a layer used twice, and an ordinary one."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 16)
        self.output = nn.Linear(16, 7, bias=False)
        self.output.weight = self.embedding.weight
        self.plain = nn.Linear(16, 16)
        self.once = nn.Linear(16, 16)
        self.again = nn.Linear(16, 16)
        self.again.weight = self.once.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.output(self.again(self.once(self.plain(self.embedding(ids)))))


def load(folder: Path, kind: str = "AutoModelForCTC", **settings: Any) -> Any:
    import transformers

    return getattr(transformers, kind).from_pretrained(folder, local_files_only=True, **settings).eval()


def packed_names(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, PackedLinear)]


@needs_onednn
@pytest.mark.parametrize("shape", [(16,), (3, 16), (2, 5, 16), (0, 16), (1, 1, 1, 16)])
@pytest.mark.parametrize("bias", [True, False])
def test_same_results(shape: tuple[int, ...], bias: bool) -> None:
    """A packed layer gives what the layer gave, for inputs of any shape, and has its sizes and weights."""
    torch.manual_seed(0)
    linear = nn.Linear(16, 40, bias=bias)
    inputs = torch.randn(shape)
    with torch.inference_mode():
        ours = PackedLinear(linear, torch.float32)
        torch.testing.assert_close(ours(inputs), linear(inputs), atol=1e-4, rtol=1e-4)
    assert (ours.in_features, ours.out_features) == (16, 40)
    assert torch.equal(ours.weight, linear.weight)
    assert (ours.bias is None) is not bias


@needs_onednn
@pytest.mark.parametrize(
    ("factory", "kind"),
    [
        ((tiny.tiny_ctc, "wav2vec2"), "AutoModelForCTC"),
        ((tiny.tiny_ctc, "wavlm"), "AutoModelForCTC"),
        ((tiny.tiny_parakeet, "ctc"), "AutoModelForCTC"),
        ((tiny.tiny_whisper,), "AutoModelForSpeechSeq2Seq"),
        ((tiny.tiny_moonshine,), "AutoModelForSpeechSeq2Seq"),
    ],
)
def test_whole_models(factory: tuple[Any, ...], kind: str, tiny_model: TinyModel) -> None:
    """A packed model's output is that of the model, to 1e-4 of its size."""
    model = load(tiny_model(*factory), kind)
    ours = copy.deepcopy(model)
    assert pack_linears(ours, torch.float32) == len(packed_names(ours)) > 0
    torch.manual_seed(0)
    is_raw = model.main_input_name == "input_values"
    n_mels = getattr(model.config, "num_mel_bins", 80)
    shape = (2, 8_000) if is_raw else (2, n_mels, 3_000) if "whisper" in type(model).__name__.lower() else (2, 100, 80)
    inputs = {model.main_input_name: torch.randn(shape)}
    if kind != "AutoModelForCTC":
        inputs["decoder_input_ids"] = torch.tensor([[1, 5, 7]] * 2)
    with torch.inference_mode():
        expected, found = model(**inputs).logits, ours(**inputs).logits
    assert float((found - expected).abs().max()) < 1e-4 * float(expected.abs().max())


@needs_onednn
def test_shared_weights() -> None:
    """Weights of two layers are not packed; an output layer's that are an embedding's, too, get a copy."""
    model = Tied()
    ids = torch.tensor([[1, 5]])
    with torch.inference_mode():
        expected = model(ids)
        assert pack_linears(model, torch.float32) == 2
        assert sorted(packed_names(model)) == ["output", "plain"]
        torch.testing.assert_close(model(ids), expected, atol=1e-5, rtol=1e-4)
    assert type(model.embedding) is nn.Embedding


@needs_onednn
def test_what_is_exchanged_stays(tiny_model: TinyModel) -> None:
    """The head and the adapters of MMS, which each language exchanges, are not packed."""
    names = packed_names(model) if pack_linears(model := load(tiny_model(tiny.tiny_mms)), torch.float32) else []
    assert names
    assert not [name for name in names if "lm_head" in name or "adapter" in name]
    assert type(model.lm_head) is nn.Linear


@needs_onednn
def test_weights_that_are_read_stay(tiny_model: TinyModel) -> None:
    """WavLM's attention hands its layers' weights on instead of calling the layers: they are not packed."""
    model = load(tiny_model(tiny.tiny_ctc, "wavlm"))
    pack_linears(model, torch.float32)
    assert packed_names(model)
    assert not [name for name in packed_names(model) if ".attention." in name]


@needs_bfloat16
@pytest.mark.parametrize("loaded", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_bfloat16(loaded: torch.dtype, bias: bool) -> None:
    """A layer that multiplies in bfloat16 gives results of its inputs' type, near to those of float32."""
    torch.manual_seed(0)
    linear = nn.Linear(64, 40, bias=bias, dtype=loaded)
    inputs = torch.randn(2, 5, 64, dtype=loaded)
    with torch.inference_mode():
        ours = PackedLinear(linear, torch.bfloat16)
        found = ours(inputs)
        torch.testing.assert_close(found.float(), linear.float()(inputs.float()), atol=0.02, rtol=0.02)
    assert found.dtype == loaded
    assert ours.weight.dtype == torch.bfloat16


@needs_onednn
@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_gelu_in_passing(family: str, activation: str, tiny_model: TinyModel) -> None:
    """The exact GELU of a feed-forward layer is done with the product before it; any other stays."""
    model = load(tiny_model(tiny.tiny_ctc, family, hidden_act=activation))
    ours = copy.deepcopy(model)
    pack_linears(ours, torch.float32)
    left = [type(module) for name, module in ours.named_modules() if name.endswith("intermediate_act_fn")]
    assert left
    assert {one is nn.Identity for one in left} == {activation == "gelu"}
    samples = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(samples).logits, model(samples).logits, atol=1e-4, rtol=1e-4)


@needs_bfloat16
@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM's own, in float32 as well
def test_attention_in_bfloat16(family: str, tiny_model: TinyModel) -> None:
    """A whole model that multiplies in bfloat16 is near to itself in float32, also with padding, and gives float32."""
    model = load(tiny_model(tiny.tiny_ctc, family))
    ours = copy.deepcopy(model)
    assert pack_linears(ours, torch.bfloat16) > 0
    samples = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 8_000, dtype=torch.long)
    mask[1, 5_000:] = 0
    with torch.inference_mode():
        for how in ({}, {"attention_mask": mask}):
            found, expected = ours(samples, **how).logits, model(samples, **how).logits
            assert found.dtype == torch.float32
            assert float((found - expected)[1, :10].abs().max()) < 0.05 * float(expected.abs().max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_numbers_stay(dtype: torch.dtype, tiny_model: TinyModel) -> None:
    """Only float32 and bfloat16 are packed."""
    assert pack_linears(load(tiny_model(tiny.tiny_ctc), dtype=dtype), dtype) == 0


@pytest.mark.parametrize("lacks", ["processor", "build", "reorder", "multiply"])
def test_where_it_cannot_be(lacks: str, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another processor, or without the operators, the model stays as it is and works."""

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("could not create a primitive")

    if lacks == "processor":
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
    elif lacks == "build":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    else:
        name = {"reorder": "_reorder_linear_weight", "multiply": "_linear_pointwise"}[lacks]
        monkeypatch.setattr(torch.ops.mkldnn, name, fail)
    folder = tiny_model(tiny.tiny_ctc)
    assert pack_linears(load(folder), torch.float32) == 0
    assert hear(engine(folder), sound(1.0))[0].text


def test_operator_of_another_name(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that no longer has the operators changes nothing either."""

    class Nothing:
        pass

    monkeypatch.setattr(torch.ops, "mkldnn", Nothing())
    assert pack_linears(load(tiny_model(tiny.tiny_ctc)), torch.float32) == 0


@needs_onednn
def test_memory_is_freed(tiny_model: TinyModel) -> None:
    """When a layer is laid out, the weights of those before it are gone: two copies of a model may not fit."""
    model = load(tiny_model(tiny.tiny_ctc))
    layers = [weakref.ref(module) for module in model.modules() if type(module) is nn.Linear]
    alive: list[int] = []
    original = PackedLinear.__init__

    def count(self: PackedLinear, linear: nn.Linear, *args: Any, **settings: Any) -> None:
        alive.append(sum(layer() is not None for layer in layers))
        original(self, linear, *args, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackedLinear, "__init__", count)
        n_packed = pack_linears(model, torch.float32)
    assert n_packed == len(alive)
    assert alive[-1] <= len(layers) - n_packed + 1
