"""
Test the service of service.py, without network, token or model.

    python -m pytest examples/testing_service.py
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from fastapi.testclient import TestClient

from hfasr import AsyncASRClient, RetryPolicy
from hfasr.testing import FakeASRServer, FakeBackend, ToneSpeech, replies

sys.path.insert(0, str(Path(__file__).parent))
import service  # type: ignore[import-not-found]  # the file beside this one

# --8<-- [start:fixtures]


@pytest.fixture
def http(asr_server: FakeASRServer) -> Iterator[TestClient]:
    """The service, which asks a server that hears the words of `ToneSpeech`."""
    asr = AsyncASRClient(router_url=asr_server.router_url, allow_paths=False, retry=RetryPolicy(max_attempts=2))
    with TestClient(service.create_app(asr)) as client:
        yield client


@pytest.fixture
def clip(tone_speech: ToneSpeech) -> bytes:
    """A WAV file that says "red boat"."""
    file = io.BytesIO()
    soundfile.write(file, tone_speech.say("red boat"), tone_speech.sampling_rate, format="WAV")
    return file.getvalue()


# --8<-- [end:fixtures]
# --8<-- [start:tests]


def test_a_file_is_transcribed(http: TestClient, clip: bytes) -> None:
    """What was said comes back, with times."""
    answer = http.post("/transcribe", files={"file": clip})
    assert answer.status_code == 200
    assert answer.json()["text"] == "red boat"
    assert answer.json()["segments"][0]["start"] >= 0


def test_an_outage_of_a_moment_is_not_noticed(http: TestClient, clip: bytes, asr_server: FakeASRServer) -> None:
    """A connection that breaks once is the client's to mend."""
    asr_server.script(replies.Reset())
    assert http.post("/transcribe", files={"file": clip}).json()["text"] == "red boat"


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>not audio</html>", 415), (b"RIFF\x24\0\0\0WAVEfmt ", 422), (b"", 422)]
)
def test_bad_audio_is_the_callers_to_mend(http: TestClient, body: bytes, status: int) -> None:
    """Audio that is none, or damaged, is told in one line."""
    answer = http.post("/transcribe", files={"file": body})
    assert answer.status_code == status
    assert "\n" not in answer.json()["detail"]


def test_a_rate_limit_is_passed_on(http: TestClient, clip: bytes, asr_server: FakeASRServer) -> None:
    """The caller is told when to come back, and nothing of our account."""
    asr_server.script(replies.rate_limited(retry_after=3600))
    answer = http.post("/transcribe", files={"file": clip})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3600")


def test_our_own_faults_are_not_told(http: TestClient, clip: bytes, asr_server: FakeASRServer) -> None:
    """A token that the server refuses is for the log, not for the caller."""
    asr_server.script(replies.unauthorized())
    answer = http.post("/transcribe", files={"file": clip})
    assert answer.status_code == 502
    assert "token" not in answer.text


def test_the_deadline_holds(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes too long is not waited for."""
    monkeypatch.setattr(service, "DEADLINE_S", 0.2)
    with TestClient(service.create_app(AsyncASRClient(backend=FakeBackend(delay=30.0)))) as client:
        assert client.post("/transcribe", files={"file": clip}).status_code == 504


def test_a_large_body_is_refused(http: TestClient) -> None:
    """What is over the limit is refused, whether its length is declared or not."""
    assert http.post("/transcribe", files={"file": bytes(service.MAX_BYTES)}).status_code == 413
    pieces = (bytes(2**20) for _ in range(service.MAX_BYTES // 2**20 + 1))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert http.post("/transcribe", content=pieces, headers=headers).status_code == 413


def test_paths_are_not_opened(http: TestClient) -> None:
    """A text field in the place of the file is no path."""
    assert http.post("/transcribe", data={"file": "/etc/passwd"}).status_code == 422


def test_health(http: TestClient) -> None:
    """A probe is answered without asking anybody else."""
    assert http.get("/health").json() == {"status": "ok"}


# --8<-- [end:tests]

if __name__ == "__main__":
    print("usage: python -m pytest examples/testing_service.py", file=sys.stderr)
    sys.exit(2)
