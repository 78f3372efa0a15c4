"""The library's advice, in the words of a shell."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import hfasr
from hfasr.cli import wording
from hfasr.cli.app import app
from hfasr.cli.wording import in_shell


@pytest.mark.parametrize(
    ("library", "shell"),
    [
        (
            'run `hf auth login` or set HF_TOKEN, or choose a local engine such as backend="pocketsphinx"',
            "run `hf auth login` or set HF_TOKEN, or choose a local engine such as --backend pocketsphinx",
        ),
        ("check base_url=, dialect= and model=", "check --base-url, --dialect and --model"),
        ("raise timeout= or deadline=", "raise --timeout or --deadline"),
        ("pass bill_to=, or set a fallback=", "pass --bill-to, or set a --fallback"),
        ("set base_url= (or router_url=) to it", "set --base-url (or --router-url) to it"),
        ("pass allow_private_urls=True if it may", "pass --allow-private-urls if it may"),
        ("task='translate' was not used", "--task translate was not used"),
        ('or use upload="flac"', "or use --upload flac"),
        ('cut off: backend="pocketsp', "cut off: --backend pocketsp"),
        ("timeout must be seconds above 0, not -1.0", "--timeout must be seconds above 0, not -1.0"),
        ("base_url is not a URL; correct it", "--base-url is not a URL; correct it"),
        ("a deadline must be", "a deadline must be"),
        ("pass the server's key as token=; none was", "set HFASR_TOKEN to the server's key; none was"),
        ("pass its key as token=", "set HFASR_TOKEN to its key"),
        ("token holds white space; copy it", "HFASR_TOKEN holds white space; copy it"),
        ("pass hfasr.Audio(numpy.load(path), sampling_rate)", "convert it to WAV first"),
        ("(headerless PCM: pass hfasr.Audio(waveform, rate))", "(headerless PCM: convert it to WAV first)"),
        ("fetch it yourself and pass the bytes, or wait", "download it and name the file, or wait"),
        ("is a pipe or a device; open it yourself and pass the file object", "is a pipe or a device; name a file"),
        (
            "it is not on this machine; call preload() ahead",
            "it is not on this machine; run once without --deadline and --local-only",
        ),
        (
            'local_only=True leaves no route: choose backend="transformers"',
            "--local-only leaves no route: choose --backend transformers",
        ),
        ("if you trust it, pass trust_remote_code=True", "if you trust it, from Python, pass trust_remote_code=True"),
        ("device='cuda' is not usable here; use device='cpu'", "--device cuda is not usable here; use --device cpu"),
        ("give another name with journal=", "give another name with --journal"),
        ("max_concurrency must be from 1 to 1024, not 0", "--jobs must be from 1 to 1024, not 0"),
        (
            "stride_length_s (2) must be under half of chunk_length_s (3)",
            "--stride-length (2) must be under half of --chunk-length (3)",
        ),
        ('stride_length_s goes with split="none"; other', "--stride-length goes with --split none; other"),
        ("python -m sounddevice lists the devices", "hfasr listen --list-devices shows them"),
        ("save it and pass its path, which is read in blocks", "save it in a file and name that"),
        ("call wait_until_ready() first, or raise RetryPolicy(loading_timeout=)", "try again in some minutes"),
    ],
)
def test_sentence(library: str, shell: str) -> None:
    """Each argument becomes its option, with its value as a shell has it; objects become files."""
    assert in_shell(library) == shell


def test_every_option_exists() -> None:
    """What the advice names, the command takes; and it stands for an argument of the library."""
    command = typer.main.get_command(app)
    commands = command.commands.values()  # type: ignore[attr-defined]  # a group
    known = {name for one in commands for parameter in one.params for name in parameter.opts}
    assert set(wording._OPTIONS.values()) - {wording.KEY_VARIABLE} <= known
    assert set(wording._OPTIONS) <= {
        *inspect.signature(hfasr.ASRClient).parameters,
        *inspect.signature(hfasr.ASRClient.transcribe_many).parameters,
        *hfasr.TranscribeOptions.__annotations__,
        *inspect.signature(hfasr.Chunking).parameters,
        *inspect.signature(hfasr.LiveAudio).parameters,
        *("device", "dtype", "batch_size"),  # of the engines
    }


def test_no_advice_of_the_library_is_left_in_python() -> None:
    """No message of the library's that asks for bytes or file objects reaches a shell as it is."""
    advice = [text for text in texts_of_the_library() if re.search(r"pass the .*bytes|file object|yourself", text)]
    assert len(advice) > 4
    assert [text for text in advice if re.search(r"pass .*bytes|file object|yourself", in_shell(text))] == []


def texts_of_the_library() -> list[str]:
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for folder in ("audio", "_batch", "_core", "_hosted", "backends")
        for path in (Path(hfasr.__file__).parent / folder).glob("*.py")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]
