"""Whatever a server echoes, and however: no credential comes into a cassette."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfasr import ASRClient, HfasrError, RetryPolicy
from hfasr.testing import FakeASRServer, Reply, record, replay, replies
from hfasr.testing._secrets import Secrets
from tests.testing.cassette_kit import clip, entries, failure

TOKEN = "correct-horse-battery"  # by its looks no credential

ONCE = RetryPolicy(max_attempts=1)


def written(server: FakeASRServer, tape: Path, **client: Any) -> str:
    """Return the file that one call leaves, however the call ends."""
    options = client.pop("options", {})
    asr = ASRClient(router_url=server.router_url, retry=ONCE, **client)
    with asr, record(tape) as cassette, contextlib.suppress(HfasrError):
        cassette.attach(asr).transcribe(clip(), **options)
    return tape.read_text(encoding="utf-8")


def is_in(token: str, text: str) -> bool:
    """Whether *token* can be had from *text*: as it is, escaped, in hex, or in base64 of whatever alphabet."""
    if any(form in text for form in (token, json.dumps(token)[1:-1], quote(token, safe=""), token.encode().hex())):
        return True
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        for start in range(4):
            packed = run[start:].replace("-", "+").replace("_", "/")
            packed = packed[:-1] if len(packed) % 4 == 1 else packed
            if token.encode() in base64.b64decode(packed + "=" * (-len(packed) % 4)):
                return True
    return False


ECHOES = {
    "a string": lambda t: Reply(401, json={"error": f"Token {t} is invalid"}),
    "a transcript": lambda t: Reply(200, json={"text": t}),
    "a name": lambda t: Reply(400, json={"error": "bad", "detail": [{t: [t, None]}]}),
    "text": lambda t: Reply(500, body=f"<p>authorization: Bearer {t}</p>"),
    "binary": lambda t: Reply(500, body=b"\xff" + t.encode() + b"\xfe"),
    "base64": lambda t: Reply(400, json={"error": base64.b64encode(f"user:{t}".encode()).decode()}),
    "base64, shifted by one": lambda t: Reply(400, json={"error": base64.b64encode(f"u:{t};".encode()).decode()}),
    "base64 of URLs": lambda t: Reply(400, json={"e": base64.urlsafe_b64encode(f"?:{t}??".encode()).decode()}),
    "a URL": lambda t: Reply(400, json={"error": f"https://x.example/?token={quote(t, safe='')}"}),
    "hex": lambda t: Reply(400, json={"error": t.encode().hex()}),
    "a message header": lambda t: Reply(403, headers={"x-error-message": f"no {t}"}),
    "a redirect": lambda t: Reply(307, headers={"location": f"/elsewhere?token={quote(t)}"}),
    "a redirect away": lambda t: Reply(307, headers={"location": f"https://{quote(t)}.example/{quote(t)}"}),
    "a limit's name": lambda t: Reply(429, headers={"ratelimit": f'"{t}";r=0;t=900'}),
    "other headers": lambda t: Reply(500, headers={"x-request-id": t, "set-cookie": f"s={t}", "x-anything": t}),
}


@pytest.mark.parametrize("where", ECHOES)
def test_the_token_is_taken_out_of(asr_server: FakeASRServer, tape: Path, where: str) -> None:
    """Wherever the server puts the request's token, it is not in the file, in no form."""
    asr_server.script(ECHOES[where](TOKEN))
    assert not is_in(TOKEN, written(asr_server, tape, token=TOKEN))


def test_the_search_finds_it(asr_server: FakeASRServer, tape: Path) -> None:
    """The search of the tests here finds a token in each form that is not taken out: that of another client."""
    for where in ("a string", "a name", "binary", "base64", "base64, shifted by one", "base64 of URLs", "a URL", "hex"):
        asr_server.script(ECHOES[where](TOKEN))
        assert is_in(TOKEN, written(asr_server, tape, token="not-the-one-at-all")), where


@given(
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=48),
    before=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5),
    where=st.sampled_from(sorted(ECHOES)),
)
@settings(max_examples=150, deadline=None)
def test_no_token_is_ever_written(token: str, before: str, where: str) -> None:
    """That holds for any token, behind anything."""
    secrets = Secrets()
    secrets.add([token])
    reply = ECHOES[where](token)
    body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
    packed = [base64.b64encode(before.encode() + token.encode()).decode(), before + token, [{token: before + token}]]
    shown = json.dumps(secrets.hide([reply.json, packed]), ensure_ascii=False)
    assert not is_in(token, shown)
    assert token.encode() not in secrets.hide_bytes(body)


@given(number=st.integers(10**7, 10**20))
def test_a_number_may_be_one(number: int) -> None:
    """A token of digits alone is also found where it is a number."""
    secrets = Secrets()
    secrets.add([str(number)])
    assert str(number) not in json.dumps(
        secrets.hide({"id": number, "near": number / 1, "ids": [number, -number, True]})
    )


def test_what_is_no_secret_stays() -> None:
    """Speech is not touched, though it speaks of tokens; nor are the names and numbers of an answer."""
    answer = {
        "text": " The bearer of bad news has a key, a token and hf radio.",
        "words": [{"token": "bear", "start": 0.25, "end": None, "key": 7, "probability": 1.0, "final": True}],
    }
    secrets = Secrets()
    secrets.add(["", "a", "key", TOKEN])  # of fewer than four characters it would be found everywhere
    assert secrets.hide(answer) == answer


LOOKS = [
    "hf_" + "a1B2" * 8,
    "sk-proj-" + "a1B2" * 6,
    "r8_" + "a1B2" * 8,
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    "Bearer abcd1234abcd",
    "Basic dXNlcjpwYXNzd29yZA==",
    "on behalf of user someone-of-us",
]


@pytest.mark.parametrize("text", LOOKS, ids=lambda text: text[:10])
def test_credentials_are_known_by_their_looks(text: str) -> None:
    """What looks like a token of one of the usual kinds is left out, whoever's it is."""
    secret = text.rsplit(maxsplit=1)[-1]
    assert secret not in Secrets().hide(f"your ({text}) was refused")


def test_whom_it_is_billed_to_is_left_out(asr_server: FakeASRServer, tape: Path) -> None:
    """The name of the account that pays is no part of an answer."""
    asr_server.script(Reply(402, json={"error": "acme-research has no credits"}))
    assert "acme" not in written(asr_server, tape, bill_to="acme-research")
    asr_server.script(replies.forbidden(user="someone-of-us"))
    assert "someone" not in written(asr_server, tape)


def test_more_can_be_left_out(asr_server: FakeASRServer, tape: Path) -> None:
    """What the test says to hide is left out, whether it says so before or after the answer came."""
    asr_server.script(Reply(200, json={"text": "my name is Jane Roe of Springfield"}))
    cassette = record(tape)
    cassette.hide("Jane Roe")
    with cassette, ASRClient(router_url=asr_server.router_url) as asr:
        asr.transcribe(clip())
        cassette.hide("Springfield")
    with replay(tape), ASRClient() as asr:
        assert asr.transcribe(clip()).text == "my name is *** of ***"


def test_secrets_among_the_options(asr_server: FakeASRServer, tape: Path) -> None:
    """A parameter that is called a key is left out, and the recording is found with another one."""
    options: dict[str, Any] = {"extra_parameters": {"api_key": "a-key-of-mine", "top_k": 5}}
    asr_server.script(Reply(200, json={"text": "yes"}))
    assert "a-key-of-mine" not in written(asr_server, tape, options=options)
    assert entries(tape)[0]["options"]["extra_parameters"] == {"api_key": "***", "top_k": 5}
    with replay(tape), ASRClient() as asr:
        options["extra_parameters"]["api_key"] = "another one"
        assert asr.transcribe(clip(), **options).text == "yes"


def test_what_the_callers_own_http_client_adds(asr_server: FakeASRServer, tape: Path) -> None:
    """Headers, cookies and a password of the caller's HTTP client are left out where the server echoes them."""
    secret = ["header-secret-1", "cookie-secret-2", "password-secret-3", "query-secret-4"]
    http = httpx.Client(
        headers={"x-api-key": secret[0]},
        cookies={"session": secret[1]},
        auth=("someone", secret[2]),
        params={"sig": secret[3]},
        trust_env=False,
    )
    asr_server.script(Reply(400, json={"error": " ".join(secret), "kind": "json"}))
    with http:
        text = written(asr_server, tape, http_client=http)
    assert [one for one in secret if one in text] == []
    assert '"kind": "json"' in text


def test_cookies_that_a_server_sets(asr_server: FakeASRServer, tape: Path) -> None:
    """A cookie that came with an answer is left out of that answer's body, too."""
    asr_server.script(
        Reply(400, json={"error": "s3ss10n-c00kie"}, headers={"set-cookie": "sid=s3ss10n-c00kie; Path=/"})
    )
    assert "s3ss10n" not in written(asr_server, tape)


def test_the_servers_name_is_left_out(tape: Path) -> None:
    """The address of a server of one's own is not in the file, not even in the message of a failure."""
    with record(tape), ASRClient(base_url="http://localhost:9", dialect="hf", retry=ONCE) as asr:
        failure(asr, "localhost:9")
    assert "localhost" not in tape.read_text(encoding="utf-8")
    with replay(tape), ASRClient(base_url="http://localhost:9", dialect="hf", retry=ONCE) as asr:
        failure(asr, "the connection to the server failed")


AUDIO = b"RIFF\x24\x08\0\0WAVEfmt " + random.Random(1).randbytes(1_000)
HEARD = {
    "base64": lambda a: Reply(400, json={"error": f"File name too long: '{base64.b64encode(a).decode()}'"}),
    "base64 of a JSON body": lambda a: Reply(422, json={"detail": [{"input": base64.b64encode(a).decode()}]}),
    "hex": lambda a: Reply(400, body=f"cannot read {a.hex()}"),
    "bytes as numbers": lambda a: Reply(400, json={"body": {"type": "Buffer", "data": list(a)}}),
    "bytes": lambda a: Reply(500, body=b"cannot read " + a),
    "a header": lambda a: Reply(400, headers={"x-error-message": base64.b64encode(a).decode()}),
    "a name": lambda a: Reply(400, json={base64.b64encode(a).decode(): "is too long"}),
    "an answer": lambda a: Reply(200, json={"text": "red boat", "inputs": base64.b64encode(a).decode()}),
}


@pytest.mark.parametrize("how", HEARD)
def test_the_audio_that_a_server_echoes_is_left_out(asr_server: FakeASRServer, tape: Path, how: str) -> None:
    """A server that quotes the audio back, as Hugging Face's own do, does not bring it into the file."""
    asr_server.script(HEARD[how](AUDIO))
    text = written(asr_server, tape)
    assert text.count("***") >= 1 or '"base64"' in text
    assert base64.b64encode(AUDIO).decode()[:200] not in text
    assert base64.b64encode(AUDIO[30:]).decode()[:200] not in text
    assert AUDIO.hex()[:200] not in text
    assert len(text) < 700


def test_what_was_said_is_never_taken_for_audio(asr_server: FakeASRServer, tape: Path) -> None:
    """A word that a model repeats without end, numbers and bytes of any script are kept as they came."""
    said = {"text": "ha" * 300 + " " + "1, 2, 3, 4, " * 20 + "né à Paris, où l'été " * 9, "numbers": list(range(99))}
    asr_server.script(Reply(200, json=said))
    written(asr_server, tape)
    assert entries(tape)[0]["takes"][0][0]["json"] == said


def test_the_path_of_an_address_is_left_out(asr_server: FakeASRServer, tape: Path) -> None:
    """A server's path may name an account: it is left out of what is asked and echoed, and may be another one later."""
    base = "/t/acme-7f3c/v1"
    asr_server.script(Reply(404, body=f"Cannot POST {base}"), path=base)
    asr_server.script(Reply(200, body="ok"), path=f"{base}/health")
    with record(tape), ASRClient(base_url=f"{asr_server.url}{base}", dialect="hf", retry=ONCE) as asr:
        failure(asr, "404")
        asr.wait_until_ready(timeout=10)
    assert "acme" not in tape.read_text(encoding="utf-8")
    assert [entry.get("request") for entry in entries(tape)] == ["GET /health", None]
    with replay(tape), ASRClient(base_url="http://localhost:9/other", dialect="hf", retry=ONCE) as asr:
        failure(asr, "404")
        asr.wait_until_ready(timeout=10)


def test_a_server_that_tells_its_name(asr_server: FakeASRServer, tape: Path) -> None:
    """The host of a server of one's own is left out of what it says, and of nothing else."""
    asr_server.script(Reply(400, json={"error": "POST http://127.0.0.1/ was refused"}))
    with record(tape), ASRClient(base_url=asr_server.url, dialect="hf", retry=ONCE) as asr:
        failure(asr)
    assert "127.0.0.1" not in tape.read_text(encoding="utf-8")


def test_thousands_of_cookies() -> None:
    """A new cookie with each answer is found as well, without making each answer slower than the one before."""
    cookies = [f"{n:08d}-session-{n * 7919:012d}" for n in range(3_000)]
    secrets = Secrets()
    for cookie in cookies:
        secrets.add([cookie])
        assert secrets.hide({"text": f"<{cookie}>"}) == {"text": "<***>"}
    assert secrets.hide([f"a {cookie}{cookie} b" for cookie in cookies]) == ["a ****** b"] * len(cookies)


def test_the_longest_is_left_out() -> None:
    """Of two credentials that begin alike the whole of the longer one is left out."""
    secrets = Secrets()
    secrets.add(["session-1"])
    secrets.add(["session-12"])
    assert secrets.hide("session-12, session-1, session-") == "***, ***, session-"


def test_ids_and_dates_are_left_out(asr_server: FakeASRServer, tape: Path) -> None:
    """Nothing in the file says when, or under which number, it was recorded."""
    asr_server.script(Reply(200, json={"text": "x"}, headers={"x-request-id": "Root=1-67dd", "x-amz-cf-id": "DedM4"}))
    text = written(asr_server, tape)
    assert entries(tape)[0]["takes"] == [
        [{"status": 200, "headers": {"content-type": "application/json"}, "json": {"text": "x"}}]
    ]
    assert "GMT" not in text


def test_credentials_of_a_proxy_or_basic() -> None:
    """User and password of basic authentication are secrets, each; what only looks like it harms nothing."""
    from hfasr.testing._secrets import credentials

    basic = base64.b64encode(b"jane:pass:word").decode()
    assert {"jane", "pass:word", basic} <= set(credentials({"authorization": f"Basic {basic}"}))
    assert set(credentials({"authorization": "Basic %%%"})) == {"%%%", ""}
    assert "/w==" in set(credentials({"proxy-authorization": "basic /w=="}))
    assert "alone" in set(credentials({"authorization": "alone"}))
