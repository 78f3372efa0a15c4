from __future__ import annotations

import pytest

from hfasr.audio.urls import MAX_REDIRECTS, shown
from hfasr.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    AudioTooLongError,
    AudioURLError,
    EmptyAudioError,
    UnsupportedAudioError,
)
from hfasr.wire import Response
from tests.audio.kit import Colour, Pages, encode, tone

URL = "https://example.com/talks/a%20b.wav?token=secret"
WAV = encode(tone())


def redirect(location: str, status: int = 302) -> Response:
    return Response(status, {"location": location})


def test_a_url_is_fetched(reader: Colour, pages: Pages) -> None:
    """The body is the audio, and the name says nothing of the query."""
    pages.answers[URL] = Response(200, {"content-type": "audio/x-wav"}, WAV)
    source = reader.load(URL)
    assert source.name == "a b.wav"
    assert source.read() == WAV
    assert pages.asked == [URL]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream", "video/mp4", "AUDIO/WAV; a=b"])
def test_vague_types_are_looked_into(sync: Colour, pages: Pages, content_type: str) -> None:
    """Servers that do not know the type of audio are forgiven."""
    pages.answers[URL] = Response(200, {"content-type": content_type}, WAV)
    assert sync.load(URL).size == len(WAV)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(sync: Colour, pages: Pages, status: int) -> None:
    """Relative and absolute targets are followed, the last one gives the name."""
    pages.answers = {
        URL: redirect("/moved", status),
        "https://example.com/moved": redirect("//cdn.example.net/x.wav#part", status),
        "https://cdn.example.net/x.wav": Response(200, {}, WAV),
    }
    assert sync.load(URL).name == "x.wav"
    assert len(pages.asked) == 3


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://u:p@example.com/",
        "http://[::1/",
        "",
    ],
)
def test_each_redirect_is_checked_like_the_first_url(sync: Colour, pages: Pages, location: str) -> None:
    """A public page cannot lead into the private network, or to another protocol."""
    pages.answers[URL] = redirect(location)
    with pytest.raises(AudioURLError):
        sync.load(URL)
    assert pages.asked == [URL]


def test_redirects_end(sync: Colour, pages: Pages) -> None:
    """A loop of redirects is left after five."""
    pages.answers[URL] = redirect(URL)
    with pytest.raises(AudioURLError, match="more than 5 redirects"):
        sync.load(URL)
    assert len(pages.asked) == MAX_REDIRECTS + 1


def test_private_urls_are_never_asked(reader: Colour, pages: Pages) -> None:
    """A refused URL is refused before anything is sent."""
    with pytest.raises(AudioURLError, match="allow_private_urls=True"):
        reader.load("http://127.0.0.1/a.wav")
    assert pages.asked == []


def test_private_urls_can_be_allowed(sync: Colour, pages: Pages) -> None:
    """With the option, they are fetched like others."""
    pages.answers["http://127.0.0.1:9/a.wav"] = Response(200, {}, WAV)
    assert sync.load("http://127.0.0.1:9/a.wav", allow_private_urls=True).name == "a.wav"


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 500, 503])
def test_failures_name_the_status(sync: Colour, pages: Pages, status: int) -> None:
    """What is not 2xx is no audio, whatever its body."""
    pages.answers[URL] = Response(status, {"content-type": "audio/wav"}, WAV)
    with pytest.raises(AudioURLError, match=rf"example\.com/talks/a%20b\.wav answered with status {status}") as caught:
        sync.load(URL)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content_type", "what"),
    [("text/html; charset=utf-8", "an HTML page"), ("application/json", "a JSON document"), ("image/png", "a picture")],
)
def test_other_types_are_named(sync: Colour, pages: Pages, content_type: str, what: str) -> None:
    """A page, a document or a picture is refused by its type."""
    pages.answers[URL] = Response(200, {"content-type": content_type}, WAV)
    with pytest.raises(AudioURLError, match=f"is {what}"):
        sync.load(URL)


def test_a_page_without_a_type_is_recognised(sync: Colour, pages: Pages) -> None:
    """The body is looked at, too."""
    pages.answers[URL] = Response(200, {}, b"<!doctype html><title>Sign in</title>")
    with pytest.raises(UnsupportedAudioError, match=r"a b\.wav is an HTML page"):
        sync.load(URL)


def test_an_empty_body_is_empty(sync: Colour, pages: Pages) -> None:
    """No bytes are no audio."""
    pages.answers[URL] = Response(200, {}, b"")
    with pytest.raises(EmptyAudioError):
        sync.load(URL)


@pytest.mark.parametrize("error", [APIConnectionError("refused"), APITimeoutError("too slow")])
def test_an_unreachable_host_is_an_audio_error(reader: Colour, pages: Pages, error: Exception) -> None:
    """No route is to blame when the audio's own host fails; the cause is kept."""
    pages.answers[URL] = error
    with pytest.raises(AudioURLError, match="cannot be fetched") as caught:
        reader.load(URL)
    assert caught.value.__cause__ is error


def test_what_is_too_large_is_refused(sync: Colour, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap also holds for a client that does not keep to it."""
    monkeypatch.setattr("hfasr.audio.spool.MAX_SPOOLED_BYTES", 100)
    pages.answers[URL] = Response(200, {}, WAV)
    with pytest.raises(AudioTooLongError, match="more than 100 bytes"):
        sync.load(URL)


def test_messages_stay_short() -> None:
    """A long path is cut, a malformed URL is not shown at all."""
    assert len(shown("https://example.com/" + "a" * 1_000)) == 120
    assert shown("http://[::1/") == "the URL"


def test_a_body_that_is_cut_off_is_an_audio_error(reader: Colour, pages: Pages) -> None:
    """The message is about the audio's URL, not about a model's server; the cause is kept."""
    error = APIResponseError("the server's reply was cut off; look at the server's own log")
    pages.answers[URL] = error
    with pytest.raises(AudioURLError, match=r"^example\.com/talks/a%20b\.wav answered, but .* cut off") as caught:
        reader.load(URL)
    assert "log" not in str(caught.value)
    assert caught.value.__cause__ is error
