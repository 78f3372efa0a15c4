from __future__ import annotations

import uuid

import fsspec  # type: ignore[import-untyped]  # has no types of its own
import pytest

from hfasr.audio.remote import check_store, scheme_of
from hfasr.errors import AudioNotFoundError, AudioTooLongError, AudioURLError, DeadlineExceededError
from tests.audio.kit import Colour, encode, tone

WAV = encode(tone())


@pytest.fixture
def url() -> str:
    """Return the URL of a WAV file in fsspec's store in memory."""
    url = f"memory://{uuid.uuid4()}/tone.wav"
    with fsspec.open(url, "wb") as file:
        file.write(WAV)
    return url


def test_any_fsspec_url_can_be_allowed(reader: Colour, url: str) -> None:
    """What fsspec opens is audio, too."""
    source = reader.load(url, allow_private_urls=True)
    assert (source.name, source.read()) == ("tone.wav", WAV)


def test_a_missing_object_is_not_found(sync: Colour, url: str) -> None:
    """As with files."""
    with pytest.raises(AudioNotFoundError, match=r"gone\.wav is not in the memory:// store"):
        sync.load(url.replace("tone", "gone"), allow_private_urls=True)


def test_the_cap_holds_for_stores(sync: Colour, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object is read in blocks, up to the cap."""
    monkeypatch.setattr("hfasr.audio.spool.MAX_SPOOLED_BYTES", 100)
    with pytest.raises(AudioTooLongError):
        sync.load(url, allow_private_urls=True)


def test_an_unknown_store_is_an_audio_error(sync: Colour) -> None:
    """A protocol that fsspec does not know does not leak fsspec's own error, nor the query."""
    with pytest.raises(AudioURLError, match="cannot be read from the nosuch://") as caught:
        sync.load("nosuch://bucket/a.wav?token=secret", allow_private_urls=True)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "gs", "gcs", "az", "abfs", "hf", "oci"])
def test_cloud_stores_are_allowed(scheme: str) -> None:
    """A URL that names a bucket leads to the store and nowhere else."""
    check_store(f"{scheme}://bucket/a.wav", scheme, allow_paths=True, allow_private=False)
    with pytest.raises(AudioURLError, match="allow_paths=False"):
        check_store(f"{scheme}://bucket/a.wav", scheme, allow_paths=False, allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "local:///etc/passwd",
        "memory://a.wav",
        "ftp://10.0.0.1/a.wav",
        "sftp://host/a.wav",
        "smb://host/a.wav",
        "github://org:repo@main/a.wav",
        "simplecache::file:///etc/passwd",
        "zip://a.wav::s3://bucket/a.zip",
        "simplecache::s3://bucket/a.wav",
        "s3://bucket/a.wav::file:///etc/passwd",
        "hf://datasets/a/b::memory",
        "s3://169.254.169.254:80/a.wav",
        "s3://key@host.example.com/a.wav",
        "abfs://container@127.0.0.1/a.wav",
        "FILE:///etc/passwd",
    ],
)
def test_what_names_a_host_or_this_machine_is_refused(sync: Colour, url: str) -> None:
    """Other protocols, chains of them, and hosts of their own need allow_private_urls=True."""
    with pytest.raises(AudioURLError, match="allow_private_urls=True"):
        sync.load(url)


def test_azure_s_own_hosts_are_allowed() -> None:
    """An account's public address is part of Azure's usual URLs."""
    url = "abfss://container@account.dfs.core.windows.net/a.wav"
    check_store(url, "abfss", allow_paths=True, allow_private=False)


@pytest.mark.parametrize("path", ["C:/a.wav", "C:\\a.wav", "c://a.wav", "a:b.wav", "/s3://x", "", "./http://x"])
def test_paths_have_no_scheme(path: str) -> None:
    """A drive letter is no scheme."""
    assert scheme_of(path) is None


def test_a_store_without_its_package_is_named(sync: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec says which package is missing, and so does the error."""
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(AudioURLError, match=r"s3:// needs a package of its own: .*s3fs"):
        sync.load("s3://bucket/a.wav")


def test_a_deadline_comes_through(sync: Colour, url: str) -> None:
    """The check's own error is not taken for the store's."""

    def expire() -> None:
        raise DeadlineExceededError("over")

    sync.check = expire
    with pytest.raises(DeadlineExceededError):
        sync.load(url, allow_private_urls=True)


def test_chains_can_be_allowed() -> None:
    """With allow_private_urls=True, what fsspec makes of :: is the caller's."""
    check_store("s3://bucket/a.zip::file:///tmp/b", "s3", allow_paths=True, allow_private=True)
