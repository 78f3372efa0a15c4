"""Models with random weights in the shapes of published ones: what they say is nonsense, what they cost is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel
from transformers.models.whisper.tokenization_whisper import LANGUAGES

N_TEXT_TOKENS = 50_257  # of the multilingual Whisper models, whose whole vocabulary has 51 865
LETTERS = "abcdefghijklmnopqrstuvwxyz'"


def whisper(folder: Path, *, d_model: int, layers: int, heads: int) -> Path:
    """
    A multilingual Whisper: 80 mels, windows of 30 s, 51 865 tokens in the true order.

    Source:
        Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, table 1:
        tiny has 4 layers of 384 with 6 heads, base 6 layers of 512 with 8.
    """
    tokenizer = _whisper_tokenizer()
    features = transformers.WhisperFeatureExtractor(feature_size=80)
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(folder)
    end, start = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|startoftranscript|>"])
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, d_model=d_model, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=4 * d_model,
        decoder_ffn_dim=4 * d_model, bos_token_id=end, eos_token_id=end, pad_token_id=end,
        decoder_start_token_id=start, init_std=0.2, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config).eval()
    _liven(model, tokenizer)
    model.generation_config = _whisper_generation(tokenizer)
    model.save_pretrained(folder)
    return folder


def wav2vec2(folder: Path) -> Path:
    """
    A Wav2Vec2-CTC of 12 layers of 768 with 12 heads, 32 tokens: facebook/wav2vec2-base-960h.

    Source:
        Baevski et al., wav2vec 2.0, 2020, section 4.2: BASE; transformers' defaults are its shape.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(vocabulary))
    features = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    transformers.Wav2Vec2Processor(features, tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(vocab_size=len(tokens), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = transformers.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        model.lm_head.bias[1:4] = -100.0  # a trained model never says <s>; a random one does, and the pipeline shows it
    model.save_pretrained(folder)
    return folder


def _whisper_tokenizer() -> Any:
    letters = sorted(ByteLevel.alphabet())
    words = [f"Ġ{number}" for number in range(N_TEXT_TOKENS - len(letters))]  # Ġ: a space, in GPT-2's bytes
    text = {token: i for i, token in enumerate([*letters, *words])}
    tokenizer = transformers.WhisperTokenizer(vocab=text, merges=[], pad_token="<|endoftext|>")
    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    languages = [name for name in LANGUAGES if name != "yue"]  # large-v3 alone has it
    names = [f"<|{name}|>" for name in ("startoftranscript", *languages, *tasks)]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokenizer.add_tokens([transformers.AddedToken(time, special=False, normalized=False) for time in times])
    return tokenizer


def _whisper_generation(tokenizer: Any) -> Any:
    def number(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    end = number("endoftext")
    return transformers.GenerationConfig(
        bos_token_id=end, eos_token_id=end, pad_token_id=end, decoder_start_token_id=number("startoftranscript"),
        no_timestamps_token_id=number("notimestamps"), prev_sot_token_id=number("startofprev"),
        max_initial_timestamp_index=50, max_length=448, return_timestamps=False, suppress_tokens=[],
        begin_suppress_tokens=[end], is_multilingual=True,
        lang_to_id={f"<|{name}|>": number(name) for name in LANGUAGES if name != "yue"},
        task_to_id={task: number(task) for task in ("translate", "transcribe")},
        forced_decoder_ids=[[1, None], [2, number("transcribe")]],  # as OpenAI's own have it
    )  # fmt: skip


def _liven(model: Any, tokenizer: Any) -> None:
    """Make the decoder spell letters that follow the audio: as drawn it says one token over and over."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "decoder" in name and "embed" not in name and weights.ndim == 2:
                weights.mul_(3.0)
        letters = [tokenizer.convert_tokens_to_ids(letter) for letter in ("Ġ", *LETTERS)]
        embeddings = model.model.decoder.embed_tokens.weight
        kept = embeddings[letters].clone()
        embeddings *= 0.3
        embeddings[letters] = kept
