"""The library's advice, in the words of a shell."""

from __future__ import annotations

import re

__all__ = ["KEY_VARIABLE", "in_shell"]

KEY_VARIABLE = "HFASR_TOKEN"
"""Holds the key of a server of your own: arguments of a process can be read by others."""

_OPTIONS = {
    "allow_private_urls": "--allow-private-urls",
    "backend": "--backend",
    "base_url": "--base-url",
    "batch_size": "--batch-size",
    "bill_to": "--bill-to",
    "cache": "--cache",
    "channels": "--channels",
    "chunk_length_s": "--chunk-length",
    "deadline": "--deadline",
    "device": "--device",
    "dialect": "--dialect",
    "dtype": "--dtype",
    "fallback": "--fallback",
    "journal": "--journal",
    "language": "--language",
    "local_only": "--local-only",
    "max_concurrency": "--jobs",
    "model": "--model",
    "on_chunk_error": "--on-chunk-error",
    "pause_s": "--pause",
    "prompt": "--prompt",
    "provider": "--provider",
    "retry_failed": "--retry-failed",
    "revision": "--revision",
    "router_url": "--router-url",
    "split": "--split",
    "stride_length_s": "--stride-length",
    "task": "--task",
    "timeout": "--timeout",
    "upload": "--upload",
    "verify": "--verify",
    "token": KEY_VARIABLE,
}
"""The command's word for each of the library's arguments, and for those of its engines."""

_NAMES = "|".join(_OPTIONS)
_ARGUMENT = re.compile(rf"\b({_NAMES})=(?:True\b|([\"'])([\w.:/-]*)\2?)?")
_SUBJECT = re.compile(rf"^({_NAMES})(?= (?:cannot|goes|holds|is|must)\b)")
_IN_SECONDS = re.compile(r"\b(chunk_length_s|pause_s|stride_length_s)\b(?!=)")  # no words of any language

_PHRASES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"pass ([^;]+?) as token=", rf"set {KEY_VARIABLE} to \1"),
        (r"call wait_until_ready\(\) first, or raise RetryPolicy\(loading_timeout=\)", "try again in some minutes"),
        (r"return_timestamps=True\b", "--timestamps segment"),
        (r"call preload\(\)(?: ahead)?", "run once without --deadline and --local-only"),
        (r"\bpass (trust_remote_code=True|use_safetensors=False)", r"from Python, pass \1"),  # no options for these
        (r"use extra_parameters= for parameters", "leave that out"),
        (r"expand \"~\" yourself, with pathlib\.Path\.expanduser", "write it without quotes, for the shell to expand"),
        (r"open it yourself and pass the file object", "name a file"),
        (r"pass hfasr\.Audio\((?:[^()]|\([^()]*\))*\)", "convert it to WAV first"),
        (r"python -m sounddevice lists the devices", "hfasr listen --list-devices shows them"),
        (r"save the audio and pass its path", "save it in a file and name that"),
        (r"save it and pass its path, which is read in blocks", "save it in a file and name that"),
        (r"fetch it yourself and pass (?:the|its) bytes", "download it and name the file"),
        (r"download it yourself and pass its path", "download it and name the file"),
        (r"decode the base64 and pass the bytes", "decode the base64 into a file and name that"),
        (r"read it(?: first| yourself)? and pass the bytes", "save it in a file and name that"),
        (r"pass the audio's path, URL or bytes", "name a file or URL"),
        (r"save it and pass its path", "save it in a file and name that"),
        (r"open it again, or pass its path", "name a file that can be read"),
        (r"pass the files in it, one a call", "name the files in it"),
        (r"read it with `datasets` and pass its audio column's values", "write its audio into files and name those"),
        (r"pass the audio itself, or its path as a str", "name the audio file itself"),
        (r"pass the (?:audio's )?bytes", "name a file"),
    )
)


def in_shell(text: str) -> str:
    """
    Return *text* with options in the place of arguments, and files in the place of objects.

    Example:
        >>> in_shell('raise timeout=, or choose backend="pocketsphinx"')
        'raise --timeout, or choose --backend pocketsphinx'
    """
    for pattern, words in _PHRASES:
        text = pattern.sub(words, text)
    for names in (_SUBJECT, _IN_SECONDS):
        text = names.sub(lambda found: _OPTIONS[found[1]], text)
    return _ARGUMENT.sub(lambda found: " ".join(filter(None, (_OPTIONS[found[1]], found[3]))), text)
