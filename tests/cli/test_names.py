"""Names of output files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfasr.cli.names import MAX_STEM_BYTES, folded, mirrored, stem, unique


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/b/talk.mp3", "talk"),
        ("talk.en.mp3", "talk.en"),
        ("talk", "talk"),
        (".flac", "flac"),
        ("-", "stdin"),
        ("https://example.org/a/talk.mp3?token=x#t=1", "talk"),
        ("https://example.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd"),
        ("https://example.org/a%5c..%5cb.mp3", "a_.._b"),
        ("https://example.org/", "audio"),
        ("https://example.org/..", "audio"),
        ("hf://datasets/me/talks/one.flac", "one"),
        ("https://example.org/CON.mp3", "CON_"),
        ("https://example.org/aux", "aux_"),
        ("https://example.org/com1.x.mp3", "com1_.x"),
        ("https://example.org/LPT¹.mp3", "LPT¹_"),
        ("https://example.org/console.mp3", "console"),
        ("https://example.org/a:b.mp3", "a_b"),
        ("https://example.org/what%3f%00.mp3", "what__"),
        ("https://example.org/dots...mp3", "dots"),
        ("https://example.org/space%20.mp3", "space"),
        ("caf\udce9.mp3", "caf_"),
        ("https://example.org/e\u0301t\u00e9.mp3", "été"),
    ],
)
def test_name(source: str, name: str) -> None:
    """An output is called after its input, by a name that Windows, macOS and Linux take."""
    assert stem(source) == name


def test_names_never_clash() -> None:
    """Inputs of one name, in any case or composition, get files of their own, the same ones every time."""
    sources = ["a/x.mp3", "b/x.mp3", "c/X.flac", "x-2.mp3", "e\u0301.mp3", "é.mp3"]
    assert unique(map(stem, sources)) == ["x", "x-2", "X-3", "x-2-2", "é", "é-2"]


def test_many_of_one_name() -> None:
    """Ten thousand files of one name, as a corpus has them, are numbered without trying every number each time."""
    assert unique(["audio"] * 10_000)[-1] == "audio-10000"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), max_size=8))
def test_any_url(paths: list[str]) -> None:
    """Whatever a URL says, its name is one component, not too long, and nobody else's."""
    names = unique(stem(f"https://example.org/{path}") for path in paths)
    assert len({folded(name) for name in names}) == len(paths)
    for name in names:
        assert name
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name == name.strip(". ")
        assert len(name.encode()) <= MAX_STEM_BYTES + len("-8")


@pytest.mark.parametrize(
    "name", ["talk.wav", "Ünï 🎙.flac", "-x.wav", ".hidden.wav", "a.b.c.wav", "x" * 196 + ".wav", "e\u0301.wav"]
)
def test_mirrored_names_stay(name: str) -> None:
    """A name that every system takes is kept as it is, its suffix, too."""
    assert mirrored(["day", name]) == f"day/{name}"


@pytest.mark.parametrize(
    "name",
    [
        *("a:b.wav", "a\nb.wav", "a\\b.wav", "caf\udce9.wav", "..", ".", "dots..", "space ", "CON.wav", "nul"),
        *("x" * 251 + ".wav", "é" * 150 + ".wav", "x" * 250, "x." + "y" * 240, "a~0123abcd.wav"),
    ],
)
def test_mirrored_names_that_some_system_refuses(name: str) -> None:
    """Any other name becomes one that every system takes, marked so that it is no other input's."""
    made = mirrored([name])
    assert made != name
    assert not set(made) & set('/\\:*?"<>|\0\n')
    assert made == made.strip(". ")
    assert len(made.encode()) <= MAX_STEM_BYTES + len("~01234567") + 11
    assert made.encode().decode() == made


@given(
    st.lists(
        st.text(min_size=1, max_size=300).filter(lambda part: "/" not in part), min_size=2, max_size=8, unique=True
    )
)
def test_mirrored_names_differ(names: list[str]) -> None:
    """Two names never become one, and none leads out of the folder."""
    made = [mirrored([name]) for name in names]
    assert len(set(made)) == len(names)
    assert not {"", ".", ".."} & set(made)
