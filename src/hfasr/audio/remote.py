"""
URLs of stores that fsspec opens: ``s3://``, ``gs://``, ``hf://`` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hfasr.errors import AudioNotFoundError, AudioURLError, HfasrError

from . import files
from .source import short_name

if TYPE_CHECKING:
    from .spool import Spool

__all__ = ["check_local", "check_store", "read_store", "scheme_of"]

# Cloud stores whose URL names a bucket, not a host: the service's own address is all that is contacted.
# ssh, ftp, smb, webhdfs, file, memory, github, and all chains with "::", name hosts or this machine.
_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "oci"}
_ON_THIS_MACHINE = {"file", "local", "memory"}  # fsspec's protocols that open no socket
_AZURE_HOSTS = (".dfs.core.windows.net", ".blob.core.windows.net")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z0-9+.:/-]*?)?)://")
_READ_BYTES = 2**20


def scheme_of(text: str) -> str | None:
    """
    Return the scheme of a URL in lower case, or ``None`` for what is a path.

    Example:
        >>> scheme_of("S3://bucket/a.flac"), scheme_of("C:/a.flac"), scheme_of("simplecache::s3://b/a.flac")
        ('s3', None, 'simplecache::s3')
    """
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def check_local(text: str) -> None:
    """
    Refuse a URL that leads off this machine. Paths pass.

    Raises:
        AudioURLError: It does, or may: of a chain of fsspec's protocols nobody knows.
    """
    scheme = scheme_of(text)
    if scheme is not None and (scheme not in _ON_THIS_MACHINE or "::" in text):
        raise AudioURLError(
            f"{scheme[:40]}:// leads to a network, which local_only=True forbids; "
            "download it yourself and pass its path"
        )


def check_store(url: str, scheme: str, *, allow_paths: bool, allow_private: bool) -> None:
    """
    Refuse *url* unless it names a cloud store that this process may use.

    Raises:
        AudioURLError: Not allowed; the message says which option allows it.
    """
    shown = scheme[:40]
    if not allow_paths:
        raise AudioURLError(
            f"{shown}:// uses this machine's own files or credentials, which allow_paths=False forbids; pass bytes"
        )
    if allow_private:
        return
    if scheme not in _STORES:
        raise AudioURLError(
            f"{shown}:// may lead into a private network or to local files; pass a path or the bytes, "
            "or set allow_private_urls=True"
        )
    if "::" in url:  # anywhere: what follows is the next link of a chain for fsspec, and may be file://
        raise AudioURLError(f"this {shown}:// URL chains stores by ::; set allow_private_urls=True to allow that")
    host = url.split("://", 1)[1].partition("/")[0].rpartition("@")[2].lower()
    if ":" in host or ("@" in url and "." in host and not host.endswith(_AZURE_HOSTS)):
        raise AudioURLError(f"this {shown}:// URL names a host of its own; set allow_private_urls=True to allow that")


def read_store(url: str, scheme: str, spool: Spool, check: Callable[[], None]) -> str:
    """
    Read *url* into *spool* through fsspec, which picks up the store's usual credentials; return a short name.

    Raises:
        AudioNotFoundError: There is no such object.

        AudioURLError: The store's package is not installed, or it failed.
    """
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # has no types of its own

    name = short_name(files.without_secrets(url)) or scheme
    try:
        filesystem, path = url_to_fs(url)
        with filesystem.open(path, "rb") as file:
            files.pour(iter(lambda: file.read(_READ_BYTES), b""), spool, check)
        return name
    except HfasrError:  # too large, or the deadline's
        raise
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{name} is not in the {scheme}:// store; check the URL") from error
    except ImportError as error:
        raise AudioURLError(f"{scheme}:// needs a package of its own: {error}") from error
    except Exception as error:  # stores raise errors of their own kinds
        raise AudioURLError(
            f"{name} cannot be read from the {scheme}:// store ({type(error).__name__}); check the URL and credentials"
        ) from error
