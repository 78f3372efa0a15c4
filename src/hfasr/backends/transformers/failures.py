"""What went wrong between here and the Hub, in one sentence with its remedy."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from hfasr.errors import BackendLoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["causes", "explain", "first_line", "not_here"]

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quotas of that name
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def not_here(what: str) -> BackendLoadError:
    """Return the error for *what* where nothing may be downloaded."""
    return BackendLoadError(f"{what} is not on this machine; call preload() ahead, where it may be downloaded")


def explain(error: Exception, model: str, revision: str | None) -> BackendLoadError:
    """
    Return the error to raise for *error*, which the Hub's client raised while it fetched *model*.

    What the client says is left out: it holds addresses, signed ones among them.
    """
    from huggingface_hub import constants, errors

    chain = list(causes(error))
    for cause in chain:
        if (isinstance(cause, OSError) and cause.errno in _NO_ROOM) or "No space left" in str(cause):
            return BackendLoadError(
                f"there is no room on the disk for the model {model!r} in {constants.HF_HUB_CACHE}; free some, or "
                "set HF_HOME to a folder on another disk"
            )
    for cause in chain:
        if isinstance(cause, errors.GatedRepoError):
            return BackendLoadError(
                f"the model {model!r} is gated: accept its conditions on https://huggingface.co/{model} and run "
                "`hf auth login`"
            )
        if isinstance(cause, errors.RevisionNotFoundError):
            return BackendLoadError(
                f"the model {model!r} has no revision {revision!r}; name a branch, tag or commit that it has"
            )
        if isinstance(cause, errors.RepositoryNotFoundError):
            return BackendLoadError(
                f"there is no model {model!r} on the Hub, or it is private: check the name, or run `hf auth login`"
            )
        if isinstance(cause, errors.HfHubHTTPError):
            return _explain_status(cause.response.status_code, model)
    return _explain_rest(chain, model)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give *error* and what led to it, the last first."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += [one.__cause__, one.__context__]


def _explain_status(status: int, model: str) -> BackendLoadError:
    if status == 401:
        return BackendLoadError(
            f"the Hub did not take the token (401) for the model {model!r}; run `hf auth login` again, or set HF_TOKEN"
        )
    if status == 403:
        return BackendLoadError(
            f"the token may not read the model {model!r} (403); allow that in its settings on "
            "https://huggingface.co/settings/tokens, or choose another model"
        )
    if status == 429:
        return BackendLoadError(f"the Hub asks to wait (429) with the model {model!r}; try again in some minutes")
    return BackendLoadError(
        f"the Hub failed ({status}) with the model {model!r}, which is not on this machine; try again later"
    )


def _explain_rest(chain: list[BaseException], model: str) -> BackendLoadError:
    from huggingface_hub import constants, errors

    names = {base.__name__ for cause in chain for base in type(cause).__mro__}
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in chain):
        return BackendLoadError(
            f"the model {model!r} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset that, or "
            "call preload() where it may be downloaded"
        )
    if any(isinstance(cause, OSError) and cause.errno in _NOT_ALLOWED for cause in chain):
        return BackendLoadError(
            f"the model {model!r} cannot be kept in {constants.HF_HUB_CACHE}: no right to write there; set HF_HOME "
            "to a folder of your own"
        )
    # httpx's own base class, or httpx2's: which one the client uses depends on its version.
    if "ConnectError" in names or "ConnectTimeout" in names:
        return BackendLoadError(
            f"the model {model!r} is not on this machine and the Hub cannot be reached; connect, or call preload() "
            "while connected"
        )
    return BackendLoadError(
        f"the download of the model {model!r} broke off ({type(chain[-1]).__name__}); try again: the files that have "
        "arrived are not fetched twice"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of what *error* says, or its name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
