"""Engines found by name."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import types
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

import hfasr
from hfasr import backends
from hfasr.types import Audio, TranscribeOptions, Transcript

PLUGIN = "hfasr_test_plugin"


class Parrot:
    """An engine that is somebody else's."""

    name = "parrot"
    sampling_rate = 8_000
    max_duration_s = None

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.words = "polly"

    def transcribe(self, batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        return [Transcript("polly") for _ in batch]

    def close(self) -> None:
        self.model = None


class Dist:
    def __init__(self, name: str) -> None:
        self.name = name


Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Give a function that installs plug-ins: name → object of a module that exists for this test only."""
    module = types.ModuleType(PLUGIN)
    monkeypatch.setitem(sys.modules, PLUGIN, module)

    def install(*points: EntryPoint, **attributes: Any) -> None:
        vars(module).update(attributes)
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda *, group: EntryPoints(points).select(group=group)
        )

    return install


def point(name: str, value: str, dist: str = "hfasr-parrot") -> EntryPoint:
    entry_point = EntryPoint(name, value, backends.GROUP)
    vars(entry_point)["dist"] = Dist(dist)  # what importlib.metadata itself does
    return entry_point


def test_built_in_is_registered_as_an_entry_point() -> None:
    """Our own engines stand in the distribution's metadata as anybody's would, at the places the table names."""
    found = {p.name: p.value for p in importlib.metadata.entry_points(group=backends.GROUP)}
    assert backends._BUILT_IN.items() <= found.items()


def test_built_in_without_metadata(register: Register) -> None:
    """A program packed without its packages' metadata still finds the built-in engine."""
    register()
    assert backends.available() == ("pocketsphinx", "transformers")
    assert backends.load("pocketsphinx").name == "pocketsphinx"


def test_plug_in(register: Register) -> None:
    """A registered engine is listed, and made for the model that was asked for; all that it has can be used."""
    register(point("parrot", f"{PLUGIN}:Parrot"), Parrot=Parrot)
    engine = backends.load("parrot", "grey")
    assert backends.available() == ("parrot", "pocketsphinx", "transformers")
    assert (engine.name, engine.sampling_rate, engine.model, engine.words) == ("parrot", 8_000, "grey", "polly")


def test_not_found() -> None:
    """An unknown name says which names there are, and is a LookupError."""
    with pytest.raises(hfasr.BackendNotFoundError, match=r"'abacus'; there is: .*pocketsphinx") as caught:
        backends.load("abacus")
    assert isinstance(caught.value, LookupError)


def test_two_distributions_with_one_name(register: Register, caplog: pytest.LogCaptureFixture) -> None:
    """Where two register one name, the first by distribution is used every time, and a warning names both."""
    register(
        point("parrot", f"{PLUGIN}:Other", "z-birds"), point("parrot", f"{PLUGIN}:Parrot", "a-birds"), Parrot=Parrot
    )
    with caplog.at_level(logging.WARNING, "hfasr"):
        assert backends.load("parrot").words == "polly"
    assert "a-birds and by z-birds" in caplog.text


def test_one_distribution_seen_twice(register: Register, caplog: pytest.LogCaptureFixture) -> None:
    """The same engine found twice, as in an editable install, is no conflict."""
    register(point("parrot", f"{PLUGIN}:Parrot"), point("parrot", f"{PLUGIN}:Parrot"), Parrot=Parrot)
    assert backends.available() == ("parrot", "pocketsphinx", "transformers")
    assert caplog.text == ""


def test_a_built_in_name_is_not_taken_over(register: Register) -> None:
    """Nobody else's package answers to the name of a built-in engine."""
    register(point("pocketsphinx", f"{PLUGIN}:Parrot", "a-birds"), Parrot=Parrot)
    assert not hasattr(backends.load("pocketsphinx"), "words")


def fails(error: Exception) -> Callable[[str | None], None]:
    def make(model: str | None) -> None:
        raise error

    return make


@pytest.mark.parametrize(
    ("value", "make", "expected", "message"),
    [
        ("absent_module:X", None, hfasr.BackendNotInstalledError, "absent_module.*hfasr-parrot"),
        (f"{PLUGIN}:make", fails(ImportError("no torch")), hfasr.BackendNotInstalledError, "no torch"),
        (f"{PLUGIN}:absent", None, hfasr.BackendLoadError, "AttributeError"),
        (f"{PLUGIN}:make", fails(RuntimeError("boom")), hfasr.BackendLoadError, "hfasr-parrot.*RuntimeError: boom"),
        (f"{PLUGIN}:make", lambda _: "no engine", hfasr.BackendLoadError, "gave a str"),
        (f"{PLUGIN}:make", "not callable", hfasr.BackendLoadError, "TypeError"),
        (f"{PLUGIN}:make", fails(hfasr.BackendLoadError("no such model")), hfasr.BackendLoadError, "^no such model$"),
    ],
)
def test_broken_plug_in(value: str, make: object, expected: type[Exception], message: str, register: Register) -> None:
    """Whatever is wrong with a plug-in, the error is ours and names what to do; the others still load."""
    register(point("parrot", value), make=make)
    with pytest.raises(expected, match=message):
        backends.load("parrot")
    assert backends.load("pocketsphinx").name == "pocketsphinx"


class Choosy(Parrot):
    """An engine with options."""

    def __init__(self, model: str | None = None, *, wings: int = 2) -> None:
        super().__init__(model)
        if wings < 0:
            raise ValueError("wings must be 0 or more")
        self.words = "flap " * wings


def test_options(register: Register) -> None:
    """Options reach the engine by keyword."""
    register(point("choosy", f"{PLUGIN}:Choosy"), Choosy=Choosy)
    assert backends.load("choosy", wings=1).words == "flap "


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("parrot", "^backend 'parrot' takes no option 'wing'; leave it out$"),
        ("choosy", "^backend 'choosy' takes no option 'wing'; it takes: wings$"),
        ("pocketsphinx", "^backend 'pocketsphinx' takes no option 'wing'; leave it out$"),
    ],
)
def test_unknown_option(name: str, message: str, register: Register) -> None:
    """An option that the engine does not take is named, with those that it does."""
    register(point("parrot", f"{PLUGIN}:Parrot"), point("choosy", f"{PLUGIN}:Choosy"), Parrot=Parrot, Choosy=Choosy)
    with pytest.raises(hfasr.BackendLoadError, match=message):
        backends.load(name, wing=1)


def test_any_option(register: Register) -> None:
    """An engine that takes any option gets them all."""

    def make(model: str | None, **options: object) -> Parrot:
        parrot = Parrot(model)
        parrot.words = " ".join(options)
        return parrot

    register(point("parrot", f"{PLUGIN}:make"), make=make)
    assert backends.load("parrot", wing=1, beak="red").words == "wing beak"


def test_bad_value_for_a_plug_in(register: Register) -> None:
    """A value that somebody else's engine refuses arrives as our error, with what it said."""
    register(point("choosy", f"{PLUGIN}:Choosy"), Choosy=Choosy)
    with pytest.raises(hfasr.BackendLoadError, match="ValueError: wings must be 0 or more"):
        backends.load("choosy", wings=-1)


def test_bad_value_for_a_built_in(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """What our own engines say about a bad value is the caller's to see as it is."""
    register(Choosy=Choosy)
    monkeypatch.setitem(backends._BUILT_IN, "choosy", f"{PLUGIN}:Choosy")
    with pytest.raises(ValueError, match=r"^wings must be 0 or more$"):
        backends.load("choosy", wings=-1)
