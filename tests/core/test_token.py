"""The token goes to nobody but the API's own host, and shows up nowhere."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from hfasr import APIStatusError, ASRClient, AsyncASRClient, AuthenticationError, RetryPolicy
from hfasr._core.config import Config
from hfasr._core.routes import HostedRoute, plan
from hfasr._hosted.servers import is_hugging_face
from hfasr.testing import FakeASRServer, FakeBackend, Reply, replies
from tests.colours import Session

Make = Callable[..., Session]
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
ELSEWHERE = (
    "{route} answered {status} and points to {where}, where neither audio nor token is sent; "
    "set base_url= (or router_url=) to the right address"
)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://router.huggingface.co", True),
        ("https://huggingface.co", True),
        ("https://x.eu-west-1.aws.endpoints.huggingface.cloud", True),
        ("http://router.huggingface.co", False),
        ("https://huggingface.co.evil.example", False),
        ("https://evilhuggingface.co", False),
        ("https://huggingface.cloud", False),
        ("https://127.0.0.1", False),
    ],
)
def test_hugging_face_hosts(url: str, own: bool) -> None:
    """A found token is for Hugging Face's own hosts, over TLS."""
    assert is_hugging_face(url) is own


def test_found_token_stays_away_from_other_servers(
    session: Make, asr_server: FakeASRServer, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the environment goes neither to another router nor to an own server."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    session(router_url=asr_server.router_url).transcribe(wav)
    session(base_url=asr_server.url).transcribe(wav)
    assert len(asr_server.requests) >= 2
    assert all("authorization" not in r.headers for r in asr_server.requests)


def test_passed_token_goes_along(session: Make, wav: bytes) -> None:
    """A token that is passed goes to the server that it was passed for, and bill_to to the router."""
    with FakeASRServer(token=TOKEN) as server:
        session(router_url=server.router_url, token=TOKEN, bill_to="my-org").transcribe(wav)
        session(base_url=server.url, token=TOKEN, bill_to="my-org").transcribe(wav)
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
        assert server.requests[0].headers["x-hf-bill-to"] == "my-org"
        assert "x-hf-bill-to" not in server.requests[-1].headers


def test_found_token_is_for_the_router() -> None:
    """For Hugging Face's own router, and its endpoints as fallbacks, the token is looked up."""
    routes = plan(Config(fallback=["https://x.endpoints.huggingface.cloud", "http://localhost:1/v1"]), None)
    hosted = [route for route in routes if isinstance(route, HostedRoute)]
    assert [route.finds_token for route in hosted] == [True, True, False]


def test_no_token_is_said_before_sending(session: Make, wav: bytes) -> None:
    """Without a token the hosted side is not asked at all; the error names the two ways out."""
    with pytest.raises(AuthenticationError, match=r"hf auth login.*backend="):
        session().transcribe(wav)


def test_no_token_leads_to_the_fallback(session: Make, wav: bytes) -> None:
    """A fallback takes over where there is no token."""
    assert session(fallback=FakeBackend("here")).transcribe(wav).text == "here"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_server(session: Make, wav: bytes, status: int) -> None:
    """Neither token nor audio follows a redirect to another server, not even on the same machine."""
    with FakeASRServer() as other, FakeASRServer() as server:
        server.script(Reply(status, headers={"location": other.url}))
        with pytest.raises(APIStatusError) as caught:
            session(router_url=server.router_url, token=TOKEN).transcribe(wav)
        assert str(caught.value) == ELSEWHERE.format(route="hf-inference", status=status, where="another server")
        assert caught.value.status_code == status
        assert other.connections.accepted == 0
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "location", "where"),
    [
        (302, "/page", "a page"),
        (307, "", "a page"),
        (308, None, "a page"),
        (307, "http://[", "another server"),
        (307, "http://other.example/", "another server"),
    ],
)
def test_redirect_that_leads_nowhere(
    session: Make, asr_server: FakeASRServer, wav: bytes, status: int, location: str | None, where: str
) -> None:
    """A redirect to a page, to nothing, or to what is no address is an error that says what to do."""
    headers = {"x-request-id": "r-17"} if location is None else {"location": location, "x-request-id": "r-17"}
    asr_server.script(Reply(status, headers=headers))
    with pytest.raises(APIStatusError) as caught:
        session(base_url=asr_server.url, dialect="hf", token=TOKEN).transcribe(wav)
    assert str(caught.value) == ELSEWHERE.format(route=asr_server.url, status=status, where=where)
    assert (caught.value.status_code, caught.value.request_id) == (status, "r-17")
    assert len(asr_server.requests) == 1


def test_redirect_of_the_same_server(session: Make, asr_server: FakeASRServer, wav: bytes) -> None:
    """A 307 or 308 within the server is followed with audio and token; a circle is left."""
    asr_server.script(Reply(307, headers={"location": "/predict"}))
    asr = session(base_url=asr_server.url, dialect="hf", token=TOKEN)
    assert asr.transcribe(wav).text == "red boat green"
    assert [(r.path, r.headers["authorization"]) for r in asr_server.requests] == [
        ("/", f"Bearer {TOKEN}"),
        ("/predict", f"Bearer {TOKEN}"),
    ]
    asr_server.script(*[Reply(308, headers={"location": "/predict"})] * 9)
    with pytest.raises(ConnectionError, match="circles"):
        asr.transcribe(wav)


@pytest.mark.parametrize("make", [ASRClient, AsyncASRClient])
def test_repr_and_pickle(make: type[ASRClient | AsyncASRClient]) -> None:
    """Neither the repr of a client nor its pickle holds the token; the rest arrives."""
    asr = make("facebook/wav2vec2-base-960h", token=TOKEN, timeout=5, retry=RetryPolicy(max_attempts=2))
    assert TOKEN not in repr(asr)
    assert "token='***'" in repr(asr)
    frozen = pickle.dumps(asr)
    assert TOKEN.encode() not in frozen
    thawed = pickle.loads(frozen)
    assert repr(thawed) == repr(asr).replace(", token='***'", "")
    assert TOKEN not in repr(copy.copy(asr)._config)


def test_token_does_not_go_along_to_another_server(asr_server: FakeASRServer, wav: bytes) -> None:
    """with_options with a new address drops the token that was passed for the old one."""
    with ASRClient(router_url=asr_server.router_url, token=TOKEN) as asr, FakeASRServer() as other:
        asr.with_options(base_url=other.url, dialect="hf").transcribe(wav)
        assert "authorization" not in other.requests[0].headers
        asr.with_options(timeout=3).transcribe(wav)
        assert asr_server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("bad", ["hf_new\nline", "hf_ünï", " hf_space", ""])
def test_token_that_no_header_can_carry(bad: str) -> None:
    """A token with a line break or beyond ASCII is refused when the client is made, unquoted."""
    with pytest.raises(ValueError, match="token") as caught:
        ASRClient(token=bad)
    assert "hf_" not in str(caught.value)


def test_bad_token_of_the_environment_is_not_quoted(session: Make, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that holds what no header can carry fails with an error that does not show it."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret\u00e9secret")
    with pytest.raises(AuthenticationError, match="characters") as caught:
        session().transcribe(wav)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_nothing_secret_in_logs_and_errors(
    session: Make, asr_server: FakeASRServer, wav: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs, errors and tracebacks hold neither token nor text, even where a server echoes them."""
    caplog.set_level(logging.DEBUG)
    asr_server.script(Reply(400, json={"error": f"bad: Bearer {TOKEN} {'QUJD' * 5000}"}))
    asr = session(router_url=asr_server.router_url, token=TOKEN)
    with pytest.raises(APIStatusError) as caught:
        asr.transcribe(wav)
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + caught.value.body
    assert len(str(caught.value)) <= 500
    asr_server.script(replies.server_error(500))
    assert asr.transcribe(wav).text == "red boat green"
    mine = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("hfasr"))
    assert mine
    assert TOKEN not in mine
    assert "red boat" not in mine


def test_found_token_of_a_file(session: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login's token is found through the Hub's own client, unless that is told not to."""
    from huggingface_hub import constants

    from hfasr._core.shared import Shared

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert Shared().find_token() == TOKEN
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert Shared().find_token() is None
