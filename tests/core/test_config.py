"""A client's settings: what is refused with which words, what they become, and what is shown of them."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from hfasr import Attempt, BackendNotFoundError, Chunking, RetryPolicy
from hfasr._core.config import Config, is_server, seconds_above_0
from hfasr.testing import FakeBackend

ENGINE = FakeBackend("x")
KNOWN = "use auto or hf-inference, or base_url= for a server of your own"
FALLBACK = "fallback must be the name of an engine, a server's URL, a Backend, or a sequence of them"
NEITHER = "which is neither an engine's name, a URL nor a Backend"
CHANNELS = 'channels must be "mix", "split" or the number of one channel, from 0, not '
BACKEND = 'backend must be "hosted", the name of an engine, or a Backend object'
NO_ROUTE = (
    'local_only=True leaves no route, since servers are left out: choose backend="transformers", '
    "or another engine, or name one in fallback="
)
NOT_AWAITED = (
    "on_attempt must be a plain function: nobody would await it, as it is called in the middle of a request; "
    "let it put the Attempt into a queue, and await there"
)
NO_HEADER = " holds white space or characters that HTTP cannot carry; copy it again"


def hook(attempt: Attempt) -> None:
    """Take an attempt."""


def told(secret: str, attempt: Attempt) -> None:
    """Take an attempt, and what is not to be seen."""


async def async_hook(attempt: Attempt) -> None:
    """Take an attempt where nobody awaits it."""


class AsyncHook:
    async def __call__(self, attempt: Attempt) -> None:
        return None


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"model": 1}, TypeError, "model must be a string or None, not int"),
        ({"model": ""}, ValueError, "model must not be empty; leave it out for the default"),
        ({"revision": b"v1"}, TypeError, "revision must be a string or None, not bytes"),
        ({"revision": ""}, ValueError, "revision must not be empty; leave it out for the default"),
        ({"backend": 1}, TypeError, BACKEND),
        ({"backend": ""}, TypeError, BACKEND),
        ({"fallback": 1}, TypeError, FALLBACK),
        ({"fallback": None}, TypeError, FALLBACK),
        ({"fallback": [ENGINE, 1]}, TypeError, f"fallback holds 1, {NEITHER}"),
        ({"fallback": ""}, TypeError, f"fallback holds '', {NEITHER}"),
        ({"fallback": [b"x" * 99]}, TypeError, f"fallback holds b'{'x' * 58}, {NEITHER}"),
        ({"fallback": "hosted"}, ValueError, 'fallback cannot be "hosted": name a server\'s URL or an engine'),
        (
            {"fallback": "ftp://x"},
            ValueError,
            'fallback must begin with http:// or https:// and name a host, like "https://host/path"',
        ),
        ({"provider": []}, ValueError, 'provider must be "auto", or one or more of hf-inference'),
        ({"provider": 7}, ValueError, 'provider must be "auto", or one or more of hf-inference'),
        ({"provider": "nobody"}, ValueError, f"provider 'nobody' is not known; {KNOWN}"),
        ({"provider": ["hf-inference", 7]}, ValueError, f"provider '7' is not known; {KNOWN}"),
        ({"provider": "n" * 60}, ValueError, f"provider '{'n' * 50}' is not known; {KNOWN}"),
        ({"base_url": 1}, ValueError, 'base_url is not a URL; write it like "https://host/path"'),
        ({"router_url": 1}, ValueError, 'router_url is not a URL; write it like "https://host/path"'),
        ({"dialect": "klingon"}, ValueError, "dialect must be one of auto, hf, openai, not 'klingon'"),
        ({"upload": "z" * 60}, ValueError, f"upload must be one of auto, original, flac, wav, opus, not '{'z' * 50}'"),
        ({"token": 1}, TypeError, "token must be a string or None, not int"),
        ({"token": ""}, ValueError, "token must not be empty; leave it out for the default"),
        ({"token": "hf_a\u00e4"}, ValueError, f"token{NO_HEADER}"),
        ({"token": "hf_a\nb"}, ValueError, f"token{NO_HEADER}"),
        ({"token": "hf_ab "}, ValueError, f"token{NO_HEADER}"),
        ({"bill_to": " org"}, ValueError, f"bill_to{NO_HEADER}"),
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds, not str"),
        ({"timeout": 0}, ValueError, "timeout must be seconds above 0, not 0"),
        ({"deadline": True}, TypeError, "deadline must be a number of seconds, not bool"),
        ({"deadline": float("inf")}, ValueError, "deadline must be seconds above 0, not inf"),
        ({"retry": 3}, TypeError, "retry must be a hfasr.RetryPolicy, like RetryPolicy(max_attempts=3)"),
        ({"chunking": 30}, TypeError, "chunking must be a hfasr.Chunking, like Chunking(chunk_length_s=20)"),
        ({"channels": -1}, ValueError, f"{CHANNELS}-1"),
        ({"channels": True}, ValueError, f"{CHANNELS}True"),
        ({"channels": 1.0}, ValueError, f"{CHANNELS}1.0"),
        ({"channels": "left"}, ValueError, f"{CHANNELS}'left'"),
        ({"channels": [0]}, ValueError, f"{CHANNELS}[0]"),
        ({"local_only": 0}, TypeError, "local_only must be True or False, not int"),
        ({"local_only": True}, ValueError, NO_ROUTE),
        ({"local_only": True, "fallback": ["http://localhost:1"]}, ValueError, NO_ROUTE),
        ({"on_attempt": 1}, TypeError, "on_attempt must be a function of one Attempt, not int"),
        ({"on_attempt": async_hook}, TypeError, NOT_AWAITED),
        ({"on_attempt": AsyncHook()}, TypeError, NOT_AWAITED),
        (
            {"backend": "nothing:org/model"},
            BackendNotFoundError,
            "no backend is called 'nothing'; there is: pocketsphinx, transformers",
        ),
        (
            {"fallback": ["pocketsphinx", "nothing"]},
            BackendNotFoundError,
            "no backend is called 'nothing'; there is: pocketsphinx, transformers",
        ),
    ],
)
def test_what_is_refused(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    """A setting that makes no sense is refused with its name, what it may be, and a bounded part of what it was."""
    with pytest.raises(kind) as caught:
        Config(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 0},
        {"channels": "split"},
        {"timeout": 0.001},
        {"deadline": 1},
        {"token": "hf_ab~ !"},
        {"bill_to": "an org"},
        {"on_attempt": hook},
        {"on_attempt": functools.partial(told, "a")},
        {"dialect": "openai"},
        {"upload": "original"},
        {"backend": ENGINE, "local_only": True},
        {"backend": "pocketsphinx:en-us", "local_only": True},
        {"fallback": ("http://localhost:1", "pocketsphinx"), "local_only": True},
    ],
)
def test_what_is_taken(settings: dict[str, Any]) -> None:
    """What is at the border of its range is kept as it is."""
    config = Config(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


def test_what_settings_become() -> None:
    """URLs lose their last slash; providers and fallbacks become tuples, providers once each."""
    config = Config(
        base_url="http://localhost:1/v1/",
        router_url="http://localhost:2/",
        provider=["hf-inference", "hf-inference"],
        fallback=["pocketsphinx", ENGINE, ENGINE],
    )
    assert (config.base_url, config.router_url) == ("http://localhost:1/v1", "http://localhost:2")
    assert config.providers == ("hf-inference",)
    assert config.fallbacks == ("pocketsphinx", ENGINE, ENGINE)
    assert Config(provider="auto").providers == ("hf-inference",)
    assert Config(provider="hf-inference").providers == ("hf-inference",)
    assert Config(fallback=ENGINE).fallbacks == (ENGINE,)
    assert Config(fallback="http://localhost:1").fallbacks == ("http://localhost:1",)
    assert Config().fallbacks == ()


def test_router_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is passed counts, then the environment, then Hugging Face's own."""
    assert Config().router_url == "https://router.huggingface.co"
    monkeypatch.setenv("HFASR_ROUTER_URL", "http://localhost:3/")
    assert Config().router_url == "http://localhost:3"
    assert Config(router_url="http://localhost:4").router_url == "http://localhost:4"
    monkeypatch.setenv("HFASR_ROUTER_URL", "localhost")
    with pytest.raises(ValueError, match=r"^router_url must begin with http"):
        Config()


def test_what_is_shown() -> None:
    """What differs from the defaults is shown, the token as three stars, and a function by its name alone."""
    assert (Config().shown(), str(Config())) == ({}, "")
    config = Config(model="org/a", token="hf_secret", timeout=5, retry=RetryPolicy(), chunking=Chunking(), channels=0)
    assert config.shown() == {"model": "org/a", "timeout": 5, "channels": 0, "token": "***"}
    assert str(config) == "model='org/a', timeout=5, channels=0, token='***'"
    assert "hf_secret" not in repr(config)
    assert Config(on_attempt=hook).shown() == {"on_attempt": "hook"}
    assert Config(on_attempt=functools.partial(told, "hf_secret")).shown() == {"on_attempt": "partial"}


@pytest.mark.parametrize(
    ("spec", "is_one"),
    [("http://a", True), ("ftp://a", True), ("transformers:org/a", False), ("a:/b", False), (ENGINE, False)],
)
def test_is_server(spec: Any, is_one: bool) -> None:
    """What has a scheme is a server."""
    assert is_server(spec) is is_one


@pytest.mark.parametrize("value", [1, 0.001, 1e300])
def test_seconds(value: float) -> None:
    """Seconds come back as a float."""
    seconds = seconds_above_0("x", value)
    assert (seconds, type(seconds)) == (value, float)


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), -float("inf")])
def test_no_seconds(value: float) -> None:
    """What is no finite time above 0 is refused."""
    with pytest.raises(ValueError, match=r"^x must be seconds above 0, not ") as caught:
        seconds_above_0("x", value)
    assert str(caught.value).endswith(repr(value))
