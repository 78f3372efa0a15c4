"""Tokens, audio and what was said are in no log, error, repr, pickle, traceback, warning or file name, whatever a server echoes."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import random
import string
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hfasr
from hfasr import ASRClient, AsyncASRClient, Audio, BatchItem, Chunking, LiveAudio, RetryPolicy, Transcript
from hfasr._core import hidden
from hfasr._core.hidden import Secrets
from hfasr.errors import MAX_MESSAGE_CHARS, APIStatusError, clean
from hfasr.testing import FakeASRServer, FakeBackend, FakeClock, Reply, ToneSpeech, replies
from tests.colours import Session
from tests.conftest import clip
from tests.core.test_failure_table import ROWS, Row

Make = Callable[..., Session]
TOKEN = "sk-9fQ2xVb7TnLw4KzR8mYp3HsD6gJc1AeU"  # of no form that is known
PROMPT = 'Names to expect: Dr. Żółkiewska-Smith, "Oncology" & Ward 7/b'
LOUD = slice(2_000, 2_900)
"""Of the bytes of `loud`: within its first word."""
ONCE = RetryPolicy(max_attempts=2, wait_initial=0)

REPLIES = [row for row in ROWS if isinstance(row.action, Reply)]


def loud() -> bytes:
    """Return a WAV file of which what is looked for occurs in no message by chance."""
    return clip("red boat green")


def echoes(audio: bytes) -> dict[str, str]:
    """Return what of a request a server might quote, as text."""
    piece = audio[LOUD]
    return {
        "token and prompt": f"Incorrect key {TOKEN} for Bearer {TOKEN}; unexpected prompt={PROMPT!r}: {PROMPT}",
        "audio": piece.decode("latin-1"),
        "audio, repaired": piece.decode("utf-8", "replace"),
        "audio in base64": base64.b64encode(piece).decode(),
        "audio in lines of base64": base64.encodebytes(piece).decode(),
        "audio in hex": piece.hex(),
        "audio in spaced hex": piece.hex(" "),
        "audio as Python shows it": repr(piece),
        "audio as numbers": str(list(piece)),
        "audio as samples": str([round(byte / 255 - 0.5, 7) for byte in piece]),
    }


def shaped(reply: Reply, said: str) -> Iterator[Reply]:
    """Return *reply* with *said* in its body in all documented shapes, and in its headers."""
    headers = {**reply.headers, "x-request-id": _header(said), "x-error-message": _header(said)}
    bodies: list[Any] = [
        {"error": said},
        {"error": [said], "warnings": [said]},
        {"error": {"message": said, "param": said}},
        {"detail": [{"loc": ["body", said[:300]], "msg": said, "input": said}]},
        {"message": said, "text": None},
    ]
    for body in bodies:
        yield Reply(reply.status, json=body, headers=headers)
    yield Reply(reply.status, body=said, headers={**headers, "content-type": _header(said)[:100]})
    yield Reply(reply.status, body="", headers=headers)


def _header(said: str) -> str:
    return "".join(c for c in said if c.isascii() and c.isprintable())[:400] or "none"


def everything(error: BaseException) -> str:
    """Return all that anybody may see of *error*: itself, its fields, its pickle, its traceback with what led to it."""
    seen = [str(error), repr(error), repr(error.args), repr(vars(error)), "".join(traceback.format_exception(error))]
    seen.append(pickle.dumps(error).decode("utf-8", "replace"))
    seen.append(repr(vars(pickle.loads(pickle.dumps(error)))))
    seen += [everything(one) for one in getattr(error, "errors", ())]
    return "\n".join(seen)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all records of every logger, with what is attached to them."""
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
    return "\n".join(formatter.format(record) + repr(record.args) for record in caplog.records)


def assert_hidden(text: str, audio: bytes) -> None:
    """See that *text* holds no piece of the token, the prompt or the audio that anybody could use."""
    for i in range(len(TOKEN) - 9):
        assert TOKEN[i : i + 10] not in text
    for form in (PROMPT, json.dumps(PROMPT)[1:-1], PROMPT.replace('"', '\\"')):
        for i in range(len(form) - 19):
            assert form[i : i + 20] not in text
    piece = audio[LOUD]
    for shown in (
        piece.decode("latin-1"),
        base64.b64encode(piece).decode(),
        piece.hex(),
        piece.hex(" "),
        repr(piece)[2:-1],
        str(list(piece))[1:-1],
        str([round(byte / 255 - 0.5, 7) for byte in piece])[1:-1],
    ):
        for i in range(0, len(shown) - 32, 16):
            assert shown[i : i + 32] not in text


def assert_message(text: str) -> None:
    """See that *text* is one short line that no terminal acts upon."""
    assert len(text) <= MAX_MESSAGE_CHARS
    assert text == text.strip()
    for character in text:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert character not in "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\ufeff"


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: row.name)
def test_echoes_of_every_failure(
    row: Row, session: Make, colour: str, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever of the request a failure quotes, no error and no log has it."""
    caplog.set_level(1)
    audio = loud()
    asr = session(
        base_url=asr_server.openai_url, dialect="openai", token=TOKEN, retry=ONCE, clock=FakeClock(), upload="original"
    )
    assert isinstance(row.action, Reply)
    for n, said in enumerate(echoes(audio).values()):
        every = list(shaped(row.action, said))
        alone = n or colour != "sync"  # what reads it is the same code for all colours and echoes
        for reply in every[n % len(every) :][:1] if alone else every:
            asr_server.script(*[reply] * 20)
            with pytest.raises(hfasr.HfasrError) as caught:
                asr.transcribe(audio, prompt=PROMPT)
            asr_server._script.clear()
            assert_hidden(everything(caught.value), audio)
            error: BaseException | None = caught.value
            while error is not None:
                assert_message(str(error))
                error = error.__cause__
    assert_hidden(logged(caplog), audio)
    assert asr_server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert audio in asr_server.requests[0].body


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_echo_at_the_edge(session: Make, asr_server: FakeASRServer, wav: bytes, cut: int) -> None:
    """A message that is cut off within a token leaves no more of that than anybody could guess."""
    for said in (f"{'x ' * 120}{'y' * cut}{TOKEN}", f"{'x ' * 230}{'y' * cut}{TOKEN}", f"{TOKEN[: 10 + cut]} …"):
        asr_server.script(Reply(400, json={"error": said}), Reply(200, json={"error": said}))
        asr = session(base_url=asr_server.openai_url, dialect="openai", token=TOKEN, retry=RetryPolicy(max_attempts=1))
        for _ in range(2):
            with pytest.raises(hfasr.HfasrError) as caught:
                asr.transcribe(wav)
            assert_hidden(everything(caught.value), loud())


@pytest.mark.parametrize(
    "line",
    [
        f"HTTP/1.1 {TOKEN}",
        f"{TOKEN} 200 OK",
        f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nx: \x00{TOKEN}",
    ],
)
def test_echo_that_is_no_http(
    session: Make, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    """What a server sends in place of HTTP is quoted neither in the error nor in what led to it."""
    caplog.set_level(1)
    asr_server.script(*[replies.NotHTTP(f"{line}\r\n\r\n".encode())] * 2)
    asr = session(base_url=asr_server.openai_url, dialect="openai", token=TOKEN, retry=ONCE)
    with pytest.raises(hfasr.APIError) as caught:
        asr.transcribe(loud(), prompt=PROMPT)
    assert_hidden(everything(caught.value) + logged(caplog), loud())


def test_transcript_in_another_shape(
    session: Make, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that may be a transcript, but is not of a known shape, is not quoted."""
    caplog.set_level(1)
    said = "my account number is four two"
    for reply in (
        Reply(200, json={"transcription": said}),
        Reply(200, json=[{"text": said}, {"text": said}]),
        Reply(200, json=said),
        Reply(200, body=said, headers={"content-type": "text/plain"}),
    ):
        asr_server.script(*[reply] * 2)
        with pytest.raises(hfasr.APIResponseError) as caught:
            session(router_url=asr_server.router_url, retry=ONCE).transcribe(loud())
        shown = f"{caught.value} {caught.value!r} {''.join(traceback.format_exception(caught.value))}"
        assert "account" not in shown + logged(caplog)
        assert said in caught.value.body  # where it is documented to be
    assert "transcription" in str(caught.value) or "bytes (text/plain)" in str(caught.value)


def test_signed_url(session: Make, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture) -> None:
    """The signature in an audio URL, and that of where it redirects to, is in no error and no log."""
    caplog.set_level(1)
    query = "X-Signature=4f9a1c7be02d5583&expires=900"
    asr = session(base_url=asr_server.url, dialect="hf", allow_private_urls=True, retry=ONCE)
    for path, action in (
        ("/a.wav", Reply(403, body=f"denied: {query}")),
        ("/b.wav", replies.NotHTTP(f"GET /b.wav?{query}\r\n\r\n".encode())),
        ("/c.wav", Reply(302, headers={"location": f"/a.wav?{query}"})),
        ("/d.wav", Reply(200, body=f"no audio {query}")),
        ("/e.wav", Reply(200, body=loud())),
    ):
        asr_server.script(action, path=path)
        if path == "/e.wav":
            asr.transcribe(f"{asr_server.url}{path}?{query}")
            continue
        with pytest.raises(hfasr.HfasrError) as caught:
            asr.transcribe(f"{asr_server.url}{path}?{query}")
        assert "4f9a1c7b" not in everything(caught.value)
    (item,) = asr.transcribe_many([f"{asr_server.url}/f.wav?{query}"])
    assert "4f9a1c7b" not in repr(item) + logged(caplog)


def test_call_that_goes_well(session: Make, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture) -> None:
    """Nor do calls that work log anything of it, on any level, of any logger; nor does the result hold it."""
    caplog.set_level(1)
    asr_server.script(replies.server_error(500))
    asr = session(
        base_url=asr_server.openai_url, token=TOKEN, retry=ONCE, chunking=Chunking(chunk_length_s=1), upload="original"
    )
    transcript = asr.transcribe(loud(), prompt=PROMPT)
    (item,) = asr.transcribe_many([loud()], prompt=PROMPT)
    segments = list(asr.transcribe_stream(loud(), prompt=PROMPT))
    assert item.transcript is not None
    assert transcript.text == item.transcript.text == "red boat green"
    assert segments
    shown = logged(caplog)
    assert "hfasr" in shown
    for word in ("red", "boat", "green"):
        assert word not in shown.replace("answered", "").replace("hundred", "")
    assert_hidden(shown + repr(transcript) + transcript.to_json() + repr(item) + repr(segments), loud())


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_client_of_the_callers_own(
    session: Make, colour: str, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture, library: Any
) -> None:
    """What such a client itself logs of our requests holds no token, no audio and no prompt."""
    caplog.set_level(1)
    client = library.Client() if colour == "sync" else library.AsyncClient()
    asr = session(base_url=asr_server.openai_url, token=TOKEN, http_client=client, retry=ONCE, upload="original")
    asr.transcribe(loud(), prompt=PROMPT)
    asr_server.script(*[replies.NotHTTP(f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n".encode())] * 2)
    with pytest.raises(hfasr.APIError) as caught:
        asr.transcribe(loud(), prompt=PROMPT)
    asr.close_http(client)
    assert any(record.name.startswith(("httpx", "httpcore")) for record in caplog.records)
    assert_hidden(everything(caught.value), loud())
    sent = "\n".join(record.getMessage() for record in caplog.records if ".failed" not in record.getMessage())
    assert_hidden(sent, loud())


def test_found_token(
    session: Make, asr_server: FakeASRServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The Hub's client says nothing of the token that it finds."""
    caplog.set_level(1)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("hfasr._core.routes.is_hugging_face", lambda url: True)
    asr_server.script(Reply(403, json={"error": f"not for {TOKEN}"}))
    with pytest.raises(hfasr.PermissionDeniedError) as caught:
        session(router_url=asr_server.router_url).transcribe(loud())
    assert asr_server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert_hidden(everything(caught.value) + logged(caplog), loud())


def test_all_routes(session: Make, asr_server: FakeASRServer, caplog: pytest.LogCaptureFixture) -> None:
    """The error of all routes, each of them, and the reason in a result are as clean."""
    caplog.set_level(1)
    echo = Reply(403, json={"error": f"{TOKEN} {PROMPT}"})
    fallback = FakeBackend(error=RuntimeError(f"cannot take {loud()!r} {Audio(ToneSpeech().say('red'), 16_000)}"))
    asr = session(base_url=asr_server.openai_url, token=TOKEN, dialect="openai", fallback=[fallback])
    asr_server.script(echo)
    with pytest.raises(hfasr.AllRoutesFailedError) as caught:
        asr.transcribe(loud(), prompt=PROMPT)
    error = caught.value
    shown = (
        f"{error} {error!r} {vars(error)} {error.errors} {pickle.dumps(error)!r}"  # the engine's own error is its own
    )
    assert_hidden(shown + logged(caplog), loud())
    asr_server.script(echo)
    asr = session(base_url=asr_server.openai_url, token=TOKEN, dialect="openai", fallback=FakeBackend("hi"))
    assert_hidden(asr.transcribe(loud(), prompt=PROMPT).to_json(), loud())


@pytest.mark.parametrize("make", [ASRClient, AsyncASRClient])
def test_reprs(make: type[ASRClient], tmp_path: Path) -> None:
    """No repr holds a token, audio, or the secret of a URL; a transcript's own is what was said."""
    url = f"https://user:{TOKEN}@example.com/a.wav?key={TOKEN}"
    asr = make(token=TOKEN, base_url="https://example.com", on_attempt=print)
    shown = [
        asr,
        asr._config,
        asr.with_options(timeout=5),
        asr.transcribe_many([loud(), url]),
        asr.transcribe_stream(loud()),
        asr._io,
        asr._shared,
        Audio(ToneSpeech().say("red"), 16_000),
        LiveAudio([loud()], sampling_rate=16_000),
        FakeBackend("secret words"),
        BatchItem(0, loud(), Transcript("x", raw=loud())),
        BatchItem(1, url, error=ValueError("no")),
        BatchItem(2, {"bytes": loud(), "path": None}, error=ValueError("no")),
        hfasr.TranscriptCache(tmp_path / "cache"),
    ]
    for one in shown:
        assert_hidden(f"{one!r} {one}", loud())
    assert "<28844 bytes>" in repr(shown[10]) or f"<{len(loud())} bytes>" in repr(shown[10])
    assert "example.com/a.wav" in repr(shown[11])


def test_journal_and_cache(session: Make, asr_server: FakeASRServer, tmp_path: Path) -> None:
    """Neither the names of files nor what a journal keeps of failures holds a token, audio or a URL's secret."""
    asr_server.script(*[Reply(500, json={"error": said}) for said in echoes(loud()).values() for _ in range(2)])
    asr = session(base_url=asr_server.openai_url, dialect="openai", token=TOKEN, retry=ONCE, allow_private_urls=True)
    inputs = [loud()] * 10 + [f"{asr_server.url}/nothing.wav?key={TOKEN}"]
    batch = asr.transcribe_many(
        inputs, prompt=PROMPT, journal=tmp_path / "out.jsonl", cache=tmp_path / "cache", max_concurrency=1
    )
    assert not any(item.ok for item in batch)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert_hidden(f"{path} {path.read_bytes().decode('utf-8', 'replace')}", loud())


# Whatever a server sends


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[FakeASRServer, ASRClient]]:
    with (
        FakeASRServer() as server,
        ASRClient(base_url=server.openai_url, dialect="openai", token=TOKEN, retry=RetryPolicy(max_attempts=1)) as asr,
    ):
        yield server, asr


PIECES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [TOKEN, PROMPT, "\x1b[31mred\x1b[0m", "\u202eevil\u202c", "a\nb\r\nc", "\u2028", "\ud800", "\0", "\x9b31m"]
    ),
    st.sampled_from(list(echoes(clip("red boat green")).values())),
    st.text(string.printable, min_size=300, max_size=600),
)
SAID = st.lists(PIECES, max_size=5).map("".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-request-id", "x-error-message", "content-type", "retry-after", "ratelimit", "location", "x-any"]
    ),
    SAID.map(lambda text: "".join(c for c in text if ord(c) < 256 and c not in "\r\n\0")[:3000].strip()),
    max_size=4,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | SAID,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "message", "msg", "loc", "text", "estimated_time"]), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.integers(200, 599), body=ANYTHING | st.binary(max_size=900), headers=HEADERS)
def test_any_answer(
    hostile: tuple[FakeASRServer, ASRClient],
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: Any,
    headers: dict[str, str],
) -> None:
    """Any answer at all gives a transcript or an error of ours: one short clean line, with nothing of the request."""
    server, asr = hostile
    caplog.set_level(1)
    caplog.clear()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    server._script.clear()
    server.script(*[Reply(status, body=raw, headers=headers)] * 20)
    audio = loud()
    try:
        asr.transcribe(audio, prompt=PROMPT)
    except hfasr.HfasrError as error:
        assert_hidden(everything(error), audio)
        assert_message(str(error))
        for attempt in error.attempts:
            assert_message(f"x{attempt.request_id}")
    assert_hidden(logged(caplog), audio)
    for record in caplog.records:
        if record.name == "hfasr":
            assert_message(record.getMessage())


@given(st.text() | SAID)
def test_cleaned_text(text: str) -> None:
    """Any text becomes one short line that no terminal acts upon, and so it does when it is cleaned again."""
    cleaned = clean(text)
    assert_message(cleaned)
    again = clean(cleaned)  # may leave out more: what is closer together now may look like audio
    assert_message(again)
    assert len(again) <= len(cleaned)


@given(st.data())
def test_hidden_token(data: st.DataObject) -> None:
    """No piece of a token of more than eight characters is left, wherever it stands and wherever it is cut."""
    token = data.draw(st.text(string.ascii_letters + string.digits + "-_.~+/=", min_size=16, max_size=64))
    around = st.text(max_size=30)
    text = data.draw(around) + token[data.draw(st.integers(0, 8)) :] + data.draw(around) + token
    text = text[: data.draw(st.integers(0, len(text)))]
    hidden = Secrets(token).out_of(text)
    assert not any(token[i : i + 9] in hidden for i in range(len(token) - 8))


def chained(*messages: str) -> hfasr.APIError:
    """Return an error of ours that others with *messages* have led to, the last one first."""
    error: BaseException | None = None
    for message in messages:
        later = OSError(message)
        later.__cause__ = error
        error = later
    ours = hfasr.APIConnectionError("it failed")
    ours.__cause__ = hfasr.ServerError(f"no: {TOKEN}", status_code=500, body=TOKEN, request_id=TOKEN)
    ours.__cause__.__cause__ = error
    return ours


def test_what_led_to_an_error() -> None:
    """Errors of ours below one are cleaned; others are kept as long as none of them tells a secret."""
    kept, left = chained("reset", "broken pipe"), chained(f"header {TOKEN}", "broken pipe")
    for error in (kept, left):
        Secrets(TOKEN).out_of_error(error)
        assert_hidden(everything(error), loud())
        assert isinstance(error.__cause__, hfasr.ServerError)
    assert "broken pipe" in everything(kept)
    assert "broken pipe" not in everything(left)


def test_plain_text_stays() -> None:
    """What people write stays as it is, in any language, with numbers, addresses and names of models."""
    chance = random.Random(5)
    lines = [
        "L'opération a échoué : le modèle n'a pas été chargé, réessayez plus tard",
        "größer als üblich; möglicherweise überlastet, später prüfen",
        "não é possível, você não está à vontade até às três",
        "ошибка сервера: модель загружается; サーバーエラーが発生しました; 服务器错误; خطأ في الخادم",
        "see https://huggingface.co/openai/whisper-large-v3-turbo-german-with-a-long-name-indeed-2024/discussions/12",
        "expected 1, 2, 3 or 4 channels at 8000, 16000, 44100 or 48000 Hz, not 5",
        "the request Root=1-6921c9e1-3aaf9e0a5b1cf4f2 failed after 12.5 s at 2026-11-27T21:00:00Z",
        "my file%20name%20of%20today.wav; C:\\x41\\audio; {'a': [1.5, 2.5]}",
        " ".join("".join(chance.choices(string.ascii_lowercase, k=9)) for _ in range(40)),
    ]
    for line in lines:
        assert clean(line) == line
        assert Secrets(TOKEN, PROMPT).out_of(line) == line


@pytest.mark.parametrize(
    ("token", "said", "shown"),
    [
        ("test", "the latest key test: was refused", "the latest key ***: was refused"),
        ("x", "the next text", "the next text"),  # what servers of one's own are given, and no secret
        ("s3cr3t", '{"key":"s3cr3t"} of hotels3cr3ts', '{"key":"***"} of hotels3cr3ts'),
        ("s3cr3t!!", "as3cr3t!!b", "a***b"),
    ],
)
def test_short_tokens(token: str, said: str, shown: str) -> None:
    """A short token is hidden where it stands alone, and tears no other word to pieces."""
    assert Secrets(token).out_of(said) == shown


def test_long_prompt_costs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a long prompt looks like, in all of its forms, is worked out once for an error, however much it holds."""
    made: list[str] = []
    forms = hidden._forms

    def counted(secret: str) -> set[str]:
        made.append(secret)
        return forms(secret)

    monkeypatch.setattr(hidden, "_forms", counted)
    secrets = Secrets(TOKEN, PROMPT)
    error = APIStatusError(f"no {PROMPT}", status_code=500, body=PROMPT, request_id=PROMPT[:20])
    error.__cause__ = ValueError(TOKEN)
    secrets.out_of_error(error)
    secrets.out_of(PROMPT)
    assert len(made) == 2
