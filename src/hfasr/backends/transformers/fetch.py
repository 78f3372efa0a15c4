"""
A model's files, from a folder, the cache or the Hub; nothing but what it takes to run.

Everything after this reads a folder of this machine, so that transformers itself never asks the Hub.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfasr.errors import BackendLoadError, HfasrError

from .failures import explain, not_here
from .recognise import check_files, weight_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .settings import Settings

__all__ = ["Snapshot", "resolve"]

logger = logging.getLogger(__name__)

MAIN = "main"  # the branch where the Hub keeps what it shows

_REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}(?<![-.])", re.ASCII)
_FOLDER = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE_NAME = re.compile(r"[\w][\w.+-]{0,200}")

_DATA = ("*.json", "*.txt", "*.model")  # settings, vocabularies, SentencePiece models
_NESTED = ("*/*",)  # checkpoints of the training, exports for other libraries


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model's files at one commit."""

    folder: Path
    """Where they are."""

    commit: str | None
    """The commit, 40 hexadecimal digits; ``None`` for a folder of the user's own."""

    model: str
    """Hub id or folder, as it was asked for."""

    token: str | None = field(default=None, repr=False)
    """What the Hub was shown; ``None``: what its client finds."""

    def config(self) -> Mapping[str, Any]:
        """
        Return what config.json holds.

        Raises:
            BackendLoadError: It is no JSON object.
        """
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BackendLoadError(
                f"the config.json of {self.model!r} cannot be read ({type(error).__name__}); mend the folder "
                f"{str(self.folder)!r}, or delete it and load again"
            ) from error
        if not isinstance(config, dict):
            raise BackendLoadError(
                f"the config.json of {self.model!r} is a {type(config).__name__}, not an object; choose another model"
            )
        return config

    def fetch(self, filename: str, *, download: bool) -> Path:
        """
        Return where *filename* of the same commit is, such as the adapter of a language.

        Args:
            filename: A plain name, without folders.

            download: Whether it may be asked for on the Hub; without, no socket is opened.

        Raises:
            FileNotFoundError: The model has no such file.
            BackendLoadError: It is not on this machine, and cannot or may not be downloaded.
        """
        if not _FILE_NAME.fullmatch(filename):
            raise FileNotFoundError(f"the model {self.model!r} has no file {filename!r:.60}")
        path = self.folder / filename
        if path.is_file():
            return path
        if self.commit is None:
            raise FileNotFoundError(f"the folder {self.model!r} has no file {filename!r}")
        if not download:  # the Hub's client would look for a token first, which may open a socket
            raise not_here(f"{filename} of the model {self.model!r}")
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.model, filename, revision=self.commit, token=self.token))
        except LocalEntryNotFoundError as error:
            raise explain(error, self.model, self.commit) from error
        except EntryNotFoundError as error:
            raise FileNotFoundError(f"the model {self.model!r} has no file {filename!r}") from error
        except Exception as error:
            raise explain(error, self.model, self.commit) from error


def resolve(
    settings: Settings, *, download: bool, check: Callable[[Mapping[str, Any]], object] = lambda _: None
) -> Snapshot:
    """
    Return a folder with the model's files.

    A branch is looked up on the Hub each time, and what is here already is not fetched again. Where
    the Hub fails, a copy that is here is used, and a warning logged. After a download that broke off
    the files that had arrived are not fetched again.

    Args:
        settings: The model, its revision, and what may be loaded.

        download: Whether the Hub may be asked; without, no socket is opened.

        check: Looks at the model's config before its weights are fetched, and raises what is wrong.

    Raises:
        BackendLoadError: There is no such model, it is not on this machine, it is of another library
            or has no weights that may be loaded, the login does not allow it, or the disk is full.
    """
    if _is_folder(settings.model):
        snapshot = _local(settings)
        check(snapshot.config())
        return snapshot
    if not _REPO_ID.fullmatch(settings.model) or settings.model.endswith(".git"):
        raise BackendLoadError(
            f"{settings.model[:120]!r} is neither a folder nor the id of a model; an id is like 'openai/whisper-tiny'"
        )
    is_commit = bool(_COMMIT.fullmatch(settings.revision or ""))
    if is_commit or not download:
        here = _cached(settings, settings.revision or MAIN)
        if here is not None:
            check(here.config())
            return here
        if not download:
            raise not_here(f"the model {settings.model!r}")
    try:
        return _downloaded(settings, check)
    except HfasrError:
        raise
    except Exception as error:
        explained = explain(error, settings.model, settings.revision)
        here = _instead(settings, error)
        if here is None:
            raise explained from error
        logger.warning("the copy of %s that is here is used, as the Hub gave none: %s", settings.model, explained)
    check(here.config())
    return here


def _instead(settings: Settings, error: Exception) -> Snapshot | None:
    """Return the copy that is here although the Hub failed with *error*."""
    from huggingface_hub.errors import RevisionNotFoundError

    if isinstance(error, RevisionNotFoundError):  # it was there, and was taken back
        return None
    return _cached(settings, settings.revision or MAIN)


def _is_folder(model: str) -> bool:
    return bool(_FOLDER.match(model)) or os.path.isdir(model)  # noqa: PTH112  # Path's raises where a name is too long


def _local(settings: Settings) -> Snapshot:
    if settings.revision is not None:
        raise BackendLoadError(f"{settings.model!r} is a folder, which has no revisions; leave revision out")
    try:
        folder = Path(settings.model).expanduser()
        names = {path.name for path in folder.iterdir()}
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BackendLoadError(
            f"the folder {settings.model!r} cannot be opened ({reason}); name one with a model, or a model of the Hub"
        ) from error
    check_files(settings.model, names, use_safetensors=settings.use_safetensors)
    _check_whole(settings.model, folder, names)
    return Snapshot(folder, None, settings.model)


def _check_whole(model: str, folder: Path, names: Collection[str]) -> None:
    missing = _missing_shards(folder, names)
    if missing:
        raise BackendLoadError(
            f"the folder {model!r} lacks a part of the weights ({min(missing)}); copy the whole model"
        )


def _cached(settings: Settings, revision: str) -> Snapshot | None:
    """Return what is in the cache, where it is whole. Opens no socket."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    config = try_to_load_from_cache(settings.model, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    names = {path.name for path in folder.iterdir() if path.is_file()}
    try:  # newer versions of the Hub's client know whether all files are here; we look at the weights ourselves
        snapshot_download(
            settings.model,
            revision=folder.name,
            local_files_only=True,
            allow_patterns=_patterns(settings, names),
            ignore_patterns=list(_NESTED),
        )
        check_files(settings.model, names, use_safetensors=settings.use_safetensors)
    except (LocalEntryNotFoundError, BackendLoadError):
        return None
    if _missing_shards(folder, names):
        return None
    return Snapshot(folder, folder.name, settings.model, settings.token)


def _downloaded(settings: Settings, check: Callable[[Mapping[str, Any]], object]) -> Snapshot:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    revision = settings.revision or MAIN
    files = HfApi(token=settings.token).model_info(settings.model, revision=revision).siblings or []
    names = {file.rfilename for file in files}
    check_files(settings.model, names, use_safetensors=settings.use_safetensors)
    folder = Path(hf_hub_download(settings.model, "config.json", revision=revision, token=settings.token)).parent
    snapshot = Snapshot(folder, folder.name, settings.model, settings.token)
    check(snapshot.config())
    # A whole copy of this very commit needs no more questions, nor a progress bar that says so.
    here = _cached(settings, folder.name)
    if here is None:
        snapshot_download(
            settings.model,
            revision=folder.name,
            allow_patterns=_patterns(settings, names),
            ignore_patterns=list(_NESTED),
            token=settings.token,
        )
    return here or snapshot


def _patterns(settings: Settings, names: Collection[str]) -> list[str]:
    code = ("*.py",) if settings.trust_remote_code else ()
    return [*_DATA, *code, *weight_patterns(names, use_safetensors=settings.use_safetensors)]


def _missing_shards(folder: Path, names: Collection[str]) -> set[str]:
    """Return the files that the weights' index names and that are not in *folder*."""
    if "model.safetensors" in names:
        return set()
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if index in names:
            try:
                shards = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
                return {str(shard) for shard in shards if not (folder / str(shard)).is_file()}
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                return {index}  # damaged, so nobody knows
    return set()
