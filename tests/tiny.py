"""
Tiny speech-recognition models with random weights, made on the spot: the true shapes, token layouts and files,
but no download. Every factory writes one folder, as a repository of the Hub holds it, and returns it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.tones import ALPHABET, random_sentence, tone_track

RATE = 16_000
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "|")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz'")

Words = Sequence[str]


def tiny_ctc(folder: Path, family: str = "wav2vec2", *, seed: int = 0, **config: Any) -> Path:
    """*family*: wav2vec2, hubert or wavlm, with the true front end of 320 samples a frame; random letters come out."""
    import torch
    import transformers as t

    makers: dict[str, tuple[Any, Any]] = {
        "wav2vec2": (t.Wav2Vec2Config, t.Wav2Vec2ForCTC),
        "hubert": (t.HubertConfig, t.HubertForCTC),
        "wavlm": (t.WavLMConfig, t.WavLMForCTC),
    }
    make_config, make_model = makers[family]
    vocabulary = SPECIAL + LETTERS
    torch.manual_seed(seed)
    _ctc_processor(vocabulary).save_pretrained(folder)
    make_model(make_config(**{**_wav2vec2(len(vocabulary)), **config})).eval().save_pretrained(folder)
    return folder


def tiny_mms(folder: Path, languages: Iterable[str] = ("eng", "fra"), *, seed: int = 0) -> Path:
    """
    A Wav2Vec2 with one adapter and one vocabulary per language, as the MMS models are.

    The first language's adapter is in the weights; the others are files beside them.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

    languages = tuple(languages)
    # Another order for each language, so that a wrong vocabulary shows in the text.
    nested = {
        language: {token: i for i, token in enumerate(SPECIAL + LETTERS[n:] + LETTERS[:n])}
        for n, language in enumerate(languages)
    }
    processor = _ctc_processor(SPECIAL + LETTERS)
    vocabulary_file = folder / "vocab.json"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary_file.write_text(json.dumps(nested), encoding="utf-8")
    processor.tokenizer = Wav2Vec2CTCTokenizer(
        str(vocabulary_file), unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        word_delimiter_token="|", target_lang=languages[0],
    )  # fmt: skip
    processor.save_pretrained(folder)
    torch.manual_seed(seed)
    size = len(SPECIAL + LETTERS)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**_wav2vec2(size), adapter_attn_dim=4)).eval()
    model.save_pretrained(folder)
    for n, language in enumerate(languages):
        # The first file holds the very weights of the model; the others are told apart by their noise.
        save_file(
            {
                name: (weight + n * torch.randn_like(weight)).contiguous()
                for name, weight in model._get_adapters().items()
            },
            folder / f"adapter.{language}.safetensors",
        )
    return folder


def pretrained_encoder(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """What XLS-R looks like: pretrained without transcripts, so there is no head and no tokenizer."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    torch.manual_seed(seed)
    codevectors = {"codevector_dim": 16, "proj_codevector_dim": 16, "num_codevectors_per_group": 8}
    model = Wav2Vec2ForPreTraining(Wav2Vec2Config(**{**_wav2vec2(32), **codevectors, **config}))
    model.eval().save_pretrained(folder)
    _ctc_features().save_pretrained(folder)
    return folder


def tiny_whisper(
    folder: Path,
    *,
    seed: int = 0,
    languages: Sequence[str] = ("en", "fr", "de"),
    n_mels: int = 80,
    d_model: int = 32,
    layers: int = 2,
    heads: int = 2,
    init_std: float = 0.2,
) -> Path:
    """
    A Whisper with the true order of tokens (text, special, 1501 times) and the true window of 30 s.

    Its text tokens are single bytes. No *languages*: an English-only one.
    """
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperProcessor

    tokenizer = _whisper_tokenizer(languages)
    features = WhisperFeatureExtractor(feature_size=n_mels, sampling_rate=RATE, return_attention_mask=False)
    WhisperProcessor(features, tokenizer).save_pretrained(folder)
    end, start = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|startoftranscript|>"])
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer), num_mel_bins=n_mels, d_model=d_model, encoder_layers=layers,
            decoder_layers=layers, encoder_attention_heads=heads, decoder_attention_heads=heads,
            encoder_ffn_dim=2 * d_model, decoder_ffn_dim=2 * d_model, bos_token_id=end, eos_token_id=end,
            pad_token_id=end, decoder_start_token_id=start, init_std=init_std, suppress_tokens=None,
            begin_suppress_tokens=None,
        )
    ).eval()  # fmt: skip
    _liven(model)
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in ("Ġ", *LETTERS)]  # Ġ: a space, in GPT-2's bytes
    with torch.no_grad():  # else 1501 times and broken UTF-8 would win against them
        embeddings = model.model.decoder.embed_tokens.weight
        kept = embeddings[letters].clone()
        embeddings *= 0.3
        embeddings[letters] = kept
    model.generation_config = _whisper_generation(tokenizer, languages, [[layers - 1, head] for head in range(heads)])
    model.save_pretrained(folder)
    return folder


def tiny_moonshine(folder: Path, *, seed: int = 0, hidden: int = 32, layers: int = 2, heads: int = 2) -> Path:
    """A Moonshine: raw samples in, byte-fallback tokens out, no times."""
    import torch
    from transformers import (
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        PreTrainedTokenizerFast,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_word_piece_tokens(("<unk>", "<s>", "</s>")),
        unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>",
    )  # fmt: skip
    features = Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=False, return_attention_mask=True)
    Wav2Vec2Processor(features, tokenizer).save_pretrained(folder)
    torch.manual_seed(seed)
    config = MoonshineConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, encoder_num_hidden_layers=layers,
        decoder_num_hidden_layers=layers, encoder_num_attention_heads=heads, decoder_num_attention_heads=heads,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, decoder_start_token_id=1, initializer_range=0.2,
    )  # fmt: skip
    model = MoonshineForConditionalGeneration(config).eval()
    _liven(model)
    model.save_pretrained(folder)
    return folder


def tiny_speech2text(folder: Path, *, seed: int = 0, d_model: int = 32, layers: int = 2, heads: int = 2) -> Path:
    """A Speech2Text, with a SentencePiece model of single letters; needs the package sentencepiece."""
    import torch
    from transformers import (
        Speech2TextConfig,
        Speech2TextFeatureExtractor,
        Speech2TextForConditionalGeneration,
        Speech2TextProcessor,
        Speech2TextTokenizer,
    )

    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
    pieces, words = folder / "sentencepiece.bpe.model", folder / "vocab.json"
    folder.mkdir(parents=True, exist_ok=True)
    pieces.write_bytes(_letter_pieces())
    words.write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}), encoding="utf-8")
    tokenizer = Speech2TextTokenizer(str(words), str(pieces), do_lower_case=True)
    features = Speech2TextFeatureExtractor(feature_size=80, num_mel_bins=80, sampling_rate=RATE)
    Speech2TextProcessor(features, tokenizer).save_pretrained(folder)
    torch.manual_seed(seed)
    config = Speech2TextConfig(
        vocab_size=len(vocabulary), d_model=d_model, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=2 * d_model,
        decoder_ffn_dim=2 * d_model, conv_channels=2 * d_model, init_std=0.2, max_target_positions=200,
    )  # fmt: skip
    model = Speech2TextForConditionalGeneration(config).eval()
    _liven(model)
    model.generation_config.max_length = 60
    model.save_pretrained(folder)
    return folder


def tiny_parakeet(folder: Path, head: str = "ctc", *, seed: int = 0, hidden: int = 32, layers: int = 2) -> Path:
    """*head*: ctc or tdt, on the true front end of 8 times 10 ms a frame."""
    import torch
    import transformers as t

    tokens = ("<unk>", "<pad>") if head == "ctc" else ("<unk>", "<pad>", "<blank>")
    tokenizer = t.ParakeetTokenizer(
        tokenizer_object=_word_piece_tokens(tokens), unk_token="<unk>", pad_token="<pad>",
        extra_special_tokens=list(tokens[2:]),
    )  # fmt: skip
    features = t.ParakeetFeatureExtractor(feature_size=80, sampling_rate=RATE)
    t.ParakeetProcessor(features, tokenizer, decoder_type=head).save_pretrained(folder)
    encoder = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 2 * hidden,
        "subsampling_conv_channels": 8, "initializer_range": 0.2,
    }  # fmt: skip
    size = len(tokenizer)
    torch.manual_seed(seed)
    model: Any
    if head == "ctc":
        model = t.ParakeetForCTC(t.ParakeetCTCConfig(vocab_size=size, pad_token_id=1, encoder_config=encoder))
    else:
        model = t.ParakeetForTDT(
            t.ParakeetTDTConfig(
                vocab_size=size, pad_token_id=1, blank_token_id=2, decoder_hidden_size=hidden, num_decoder_layers=1,
                encoder_config=encoder,
            )
        )  # fmt: skip
        model.generation_config.decoder_start_token_id = 2  # decoding begins with a blank
    model.eval().save_pretrained(folder)
    return folder


def train_tone_ctc(folder: Path, *, steps: int = 100, batch: int = 8, seed: int = 0) -> Path:
    """
    A Wav2Vec2-CTC that truly transcribes `tone_audio`: 7 s of training on one core.

    It learns frame by frame, as we know what sounds when; the loss of CTC, which has to find that
    out, takes three times the steps.
    """
    import numpy as np
    import torch

    vocabulary = SPECIAL + tuple(ALPHABET)
    token = {"": 0, " ": vocabulary.index("|")} | {letter: vocabulary.index(letter) for letter in ALPHABET}
    processor, model = _ctc_processor(vocabulary), _tone_model(len(vocabulary), seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other, beside other tests
    for _ in range(steps):
        tracks = [tone_track(random_sentence(rng), seed=int(rng.integers(1 << 30))) for _ in range(batch)]
        inputs = processor([sound for sound, _ in tracks], sampling_rate=RATE, return_tensors="pt", padding=True)
        logits = model(**inputs).logits
        targets = torch.full(logits.shape[:2], -100)  # what is padded does not count
        for row, (_, heard) in enumerate(tracks):
            frames = [token[letter] for letter in heard[160::320]][: targets.shape[1]]
            targets[row, : len(frames)] = torch.tensor(frames)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    torch.set_num_threads(n_threads)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tone_model(vocabulary_size: int, seed: int) -> Any:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(seed)
    # Three wide convolutions keep 320 samples a frame and learn fast; nothing is masked or dropped.
    front_end = {"conv_dim": (24,) * 3, "conv_stride": (10, 8, 4), "conv_kernel": (80, 16, 8)}
    dropouts = ("hidden", "attention", "activation", "feat_proj", "final")
    still = {"mask_time_prob": 0.0, "apply_spec_augment": False} | {f"{name}_dropout": 0.0 for name in dropouts}
    shape = _wav2vec2(vocabulary_size, hidden=48, layers=1) | front_end | still
    return Wav2Vec2ForCTC(Wav2Vec2Config(**shape)).train()


def _liven(model: Any) -> None:
    """Make a random decoder follow the audio: with weights as they are drawn it says one letter over and over."""
    import torch

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "decoder" in name and "embed" not in name and weights.ndim == 2:
                weights.mul_(3.0)


def _wav2vec2(vocabulary_size: int, hidden: int = 32, layers: int = 2) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary_size, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 2,
        "intermediate_size": 2 * hidden, "conv_dim": (16,) * 7, "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2), "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
        "feat_extract_norm": "layer", "do_stable_layer_norm": True, "layerdrop": 0.0, "mask_time_length": 2,
        "ctc_loss_reduction": "mean", "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def _ctc_features() -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True, return_attention_mask=True)


def _ctc_processor(vocabulary: Words) -> Any:
    import tempfile

    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2Processor

    with tempfile.TemporaryDirectory() as folder:  # the tokenizer reads it once, and writes its own on saving
        file = Path(folder, "vocab.json")
        file.write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(
            str(file), unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", word_delimiter_token="|"
        )
    return Wav2Vec2Processor(_ctc_features(), tokenizer)


def _whisper_tokenizer(languages: Sequence[str]) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import AddedToken, WhisperTokenizer

    alphabet = {token: i for i, token in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = WhisperTokenizer(vocab=alphabet, merges=[], pad_token="<|endoftext|>")
    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    special = [f"<|{name}|>" for name in ("startoftranscript", *languages, *tasks)]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    times = [AddedToken(f"<|{i * 0.02:.2f}|>", special=False, normalized=False) for i in range(1501)]
    tokenizer.add_tokens(times)
    return tokenizer


def _whisper_generation(tokenizer: Any, languages: Sequence[str], alignment_heads: list[list[int]]) -> Any:
    from transformers import GenerationConfig

    def number(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    end = number("endoftext")
    multilingual = {
        "lang_to_id": {f"<|{language}|>": number(language) for language in languages},
        "task_to_id": {task: number(task) for task in ("translate", "transcribe")},
        "forced_decoder_ids": [[1, None], [2, number("transcribe")]],  # as OpenAI's own have it
    }
    return GenerationConfig(
        bos_token_id=end, eos_token_id=end, pad_token_id=end, decoder_start_token_id=number("startoftranscript"),
        no_timestamps_token_id=number("notimestamps"), prev_sot_token_id=number("startofprev"),
        max_initial_timestamp_index=50, max_length=448, return_timestamps=False, suppress_tokens=[],
        begin_suppress_tokens=[end], alignment_heads=alignment_heads, is_multilingual=bool(languages),
        **(multilingual if languages else {}),
    )  # fmt: skip


def _word_piece_tokens(special: Words) -> Any:
    """Single letters, and a "▁" before each word, as SentencePiece writes them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokens = {token: i for i, token in enumerate((*special, "▁", *LETTERS))}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _letter_pieces() -> bytes:
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["".join(LETTERS), " ".join(LETTERS)]), model_writer=model, model_type="char",
        vocab_size=len(LETTERS) + 5, bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()
