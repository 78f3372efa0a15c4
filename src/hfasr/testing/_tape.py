"""Which answer belongs to which request: by audio and options, whatever the bytes on the wire."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from hfasr._core.about import About
from hfasr._hosted.servers import origin

from ._cassette_file import Take, Track
from ._secrets import Secrets, credentials

if TYPE_CHECKING:
    from hfasr.wire import Request

__all__ = ["Blank", "Mode", "NotRecordedError", "Tape"]

Mode: TypeAlias = Literal["none", "new", "all"]
"""What is recorded."""

_SAME_S = 0.05  # two machines may cut long audio a few samples apart
_SHOWN = ("language", "model", "return_timestamps", "task")  # options whose values are no content
_ROUTER = "router.huggingface.co"  # everybody's


class NotRecordedError(LookupError):
    """A request for which nothing was recorded; the message says what comes nearest."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A request that is to be sent, and its answer kept."""

    key: Mapping[str, Any]
    about: About | None


@dataclass(slots=True)
class _Running:
    """A take, and how far it was played."""

    take: Take
    n_played: int = 0

    def play(self) -> dict[str, Any]:
        """Return the next answer; after the last, that one again: a server that failed goes on failing."""
        kept = self.take[min(self.n_played, len(self.take) - 1)]
        self.n_played += 1
        return kept


class Tape:
    """
    Finds recorded answers, and keeps new ones. Safe from many threads and event loops.

    Args:
        recorded: What there is.

        mode: ``"none"``: what is missing is an error; ``"new"``: it is sent; ``"all"``: everything is.

        name: Of the file, for messages.
    """

    def __init__(self, recorded: Iterable[Track], *, mode: Mode, name: str) -> None:
        self.secrets = Secrets()
        self.missed: NotRecordedError | None = None
        self.n_replayed = 0
        self.n_recorded = 0
        self._mode = mode
        self._name = name
        self._recorded: dict[str, list[Track]] = {}
        self._new: dict[str, list[Track]] = {}
        for track in recorded:
            self._recorded.setdefault(_name_of(track.key), []).append(track)
        self._n_given: Counter[int] = Counter()
        self._running: WeakKeyDictionary[About, _Running] = WeakKeyDictionary()
        self._taking: WeakKeyDictionary[About, Take] = WeakKeyDictionary()
        self._servers: dict[object, str] = {}
        self._bases: dict[object, set[str]] = {}
        self._addresses = Secrets()
        self._lock = threading.Lock()

    def learn_of_servers(self, urls: Iterable[str]) -> None:
        """Remember the addresses that requests begin with: those may name an account, and be others tomorrow."""
        for url in urls:
            path = urlsplit(url).path.rstrip("/")
            with self._lock:
                self._bases.setdefault(origin(url), set()).add(path)
            self._addresses.add([path])

    def find(self, request: Request) -> dict[str, Any] | Blank:
        """
        Return the answer to *request*, or where to keep it.

        Raises:
            NotRecordedError: There is none, and nothing is recorded.
        """
        about = request.about if isinstance(request.about, About) else None
        if about is None:
            asked = {"request": self.secrets.hide(f"{request.method} {self._path(request.url)}")}
        else:
            asked = _asked(about, self.secrets)  # may hash a file
        with self._lock:
            key = {**asked, "server": self._server(request, about)}
            if self._mode == "all" or (about is not None and about in self._taking):
                return self._blank(request, key, about)
            running = None if about is None else self._running.get(about)
            if running is None:
                track = _closest(key, self._recorded.get(_name_of(key), ()))
                if track is None and self._mode == "new":
                    return self._blank(request, key, about)
                if track is None:
                    raise self._miss(key)
                n_given = self._n_given[id(track)]
                self._n_given[id(track)] += 1
                running = _Running(track.takes[min(n_given, len(track.takes) - 1)])
                if about is not None:
                    self._running[about] = running
            self.n_replayed += 1
            return running.play()

    def keep(self, blank: Blank, kept: dict[str, Any]) -> None:
        """Keep the answer to what was *blank*."""
        with self._lock:
            self.n_recorded += 1
            take = None if blank.about is None else self._taking.get(blank.about)
            if take is None:
                take = []
                tracks = self._new.setdefault(_name_of(blank.key), [])
                track = _closest(blank.key, tracks)
                if track is None:
                    track = Track(blank.key)
                    tracks.append(track)
                track.takes.append(take)
                if blank.about is not None:
                    self._taking[blank.about] = take
            take.append(kept)

    def tracks(self, others: Iterable[Track]) -> list[Track]:
        """Return what was recorded, without credentials, and of *others* what it does not replace."""
        with self._lock:
            new = [
                Track(
                    {**track.key, **self.secrets.hide(_words(track.key))},
                    _without_echoes(self._addresses.hide(self.secrets.hide(track.takes))),
                )
                for track in itertools.chain(*self._new.values())
            ]
            kept = [track for track in others if _closest(track.key, self._new.get(_name_of(track.key), ())) is None]
            return [*kept, *new]

    def _blank(self, request: Request, key: Mapping[str, Any], about: About | None) -> Blank:
        self.secrets.add(credentials(request.headers))
        host = urlsplit(request.url).hostname or ""
        if host != _ROUTER and not host.isalpha():  # of one word it may be a word that was said
            self._addresses.add([host])
        return Blank(key, about)

    def _path(self, url: str) -> str:
        """Return what *url* has after the address of its server."""
        path = urlsplit(url).path
        bases = [base for base in self._bases.get(origin(url), ()) if f"{path}/".startswith(f"{base}/")]
        return path.removeprefix(max(bases, key=len, default="")) or "/"

    def _server(self, request: Request, about: About | None) -> str:
        """Name the server: its address may be another one tomorrow, and says who pays."""
        if about is not None and about.provider is not None:
            return about.provider
        return self._servers.setdefault(origin(request.url), f"server {len(self._servers) + 1}")

    def _miss(self, key: Mapping[str, Any]) -> NotRecordedError:
        tracks = list(itertools.chain(*self._recorded.values()))
        if not tracks:
            what = f"there is no recording in {self._name}"
        elif "request" in key:
            what = f"{self._name} has no recording of {key['request']} of {key['server']}"
        else:
            digest = key["audio"]["sha256"][:12]
            what = (
                f"{self._name} has no recording of this audio (sha256 {digest}…) with these options "
                f"({_nearest(key, tracks)})"
            )
        error = NotRecordedError(
            f"{what}, and nothing is sent: record it, with hfasr.testing.record() or pytest --hfasr-record=new"
        )
        self.missed = self.missed or error
        return error


def _asked(about: About, secrets: Secrets) -> dict[str, Any]:
    """Return what is asked, as JSON, but not whom."""
    stretch, ask = about.stretch, about.ask
    part = about if stretch is None else stretch
    audio: dict[str, Any] = {"sha256": part.source.sha256()}
    if part.channels != "mix":
        audio["channel"] = part.channels
    if stretch is not None:
        audio.update(from_s=round(stretch.start, 2), to_s=round(stretch.end, 2))
    options = {
        "model": about.model,
        "language": ask.language,
        "task": ask.task,
        "prompt": ask.prompt,
        "return_timestamps": ask.return_timestamps,
        "generation_parameters": ask.generation_parameters,
        "extra_parameters": ask.extra_parameters,
    }
    plain = json.loads(json.dumps({name: value for name, value in options.items() if value}))
    return {"audio": audio, "options": secrets.hide(plain, by_name=True)}


def _name_of(key: Mapping[str, Any]) -> str:
    """Return what two keys have in common that differ in nothing but the stretch of the audio."""
    audio = {name: value for name, value in key.get("audio", {}).items() if name not in {"from_s", "to_s"}}
    return json.dumps([audio, key.get("options"), key.get("request"), key.get("server")], sort_keys=True)


def _without_echoes(takes: list[Take]) -> list[Take]:
    """Leave out the last takes that say the same as the one before: the last is played again and again."""
    n_takes = len(takes)
    while n_takes > 1 and takes[n_takes - 1] == takes[n_takes - 2]:
        n_takes -= 1
    return takes[:n_takes]


def _words(key: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *key* comes from the caller: neither a digest nor a name of ours is searched for secrets."""
    return {name: key[name] for name in ("options", "request") if name in key}


def _stretch(key: Mapping[str, Any]) -> tuple[float, float] | None:
    audio = key.get("audio", {})
    return (audio["from_s"], audio["to_s"]) if "from_s" in audio else None


def _closest(key: Mapping[str, Any], tracks: Iterable[Track]) -> Track | None:
    """Return the one of *tracks* for the stretch of *key*."""
    wanted = _stretch(key)

    def distance(track: Track) -> float:
        have = _stretch(track.key)
        if wanted is None or have is None:
            return 0.0 if wanted is have else float("inf")
        return max(abs(wanted[0] - have[0]), abs(wanted[1] - have[1]))

    best = min(tracks, key=distance, default=None)
    return best if best is not None and distance(best) <= _SAME_S else None


def _nearest(key: Mapping[str, Any], tracks: Iterable[Track]) -> str:
    """Say how what was recorded for the same audio differs."""
    audio = key["audio"]
    same = [t for t in tracks if t.key.get("audio", {}).get("sha256") == audio["sha256"]]
    if not same:
        return "it has none of this audio at all"
    nearest = min((list(_differences(key, track.key)) for track in same), key=len)
    return f"nearest: {', '.join(nearest)}"


def _differences(key: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    here, there = key["options"], other.get("options", {})
    for name in sorted({*here, *there}):
        if here.get(name) != there.get(name):
            shown = f" was {there.get(name)!r:.60} and is {here.get(name)!r:.60}" if name in _SHOWN else " differs"
            yield f"{name}{shown}"
    if key["server"] != other.get("server"):
        yield f"it was asked of {other.get('server')!s:.40}, not of {key['server']:.40}"
    if key["audio"].get("channel") != other["audio"].get("channel"):
        yield "channel differs"
    if _stretch(key) != _stretch(other):
        yield "it was cut at other points"
