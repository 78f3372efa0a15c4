"""What one call teaches the next: lengths and forms that a server takes, and the token that was found."""

from __future__ import annotations

import pytest

from hfasr import AuthenticationError
from hfasr._core.shared import Shared
from hfasr._hosted.dialect import Ask, Form, Server

ONE, OTHER = Server("https://one.example", "org/a", "one"), Server("https://one.example", "org/b", "one")
FORM = Form("raw", False)
MOST = 512  # lessons of a kind that are kept


def test_longest_audio() -> None:
    """The shortest refusal counts, for that server and model alone, and for ten minutes."""
    shared = Shared()
    assert shared.longest_s(ONE, 0.0) is None
    shared.learn_longest(ONE, 60.0, 100.0)
    assert shared.longest_s(ONE, 100.0) == 60.0
    assert shared.longest_s(OTHER, 100.0) is None
    shared.learn_longest(ONE, 90.0, 200.0)
    assert shared.longest_s(ONE, 799.9) == 60.0
    assert shared.longest_s(ONE, 800.0) is None
    shared.learn_longest(ONE, 30.0, 750.0)
    assert shared.longest_s(ONE, 1349.9) == 30.0
    shared.learn_longest(ONE, 45.0, 1350.0)  # what was known is too old
    assert shared.longest_s(ONE, 1350.0) == 45.0


def test_lessons_are_bounded() -> None:
    """Of servers and models without end, not more than 512 are remembered."""
    shared = Shared()
    servers = [Server(f"https://{i}.example", None, "x") for i in range(MOST + 1)]
    for server in servers[:MOST]:
        shared.learn_longest(server, 60.0, 0.0)
        shared.learn_form(server, Ask(), FORM)
    assert {shared.longest_s(server, 0.0) for server in servers[:MOST]} == {60.0}
    assert all(shared.learned_form(server, Ask()) for server in servers[:MOST])
    shared.learn_longest(servers[MOST], 30.0, 0.0)
    shared.learn_form(servers[MOST], Ask(), FORM)
    assert [shared.longest_s(server, 0.0) for server in servers] == [None] * MOST + [30.0]
    assert [shared.learned_form(server, Ask()) for server in servers] == [None] * MOST + [FORM]


def test_forms() -> None:
    """A form is for the same ask of the same model, whatever the text of its prompt."""
    shared = Shared()
    assert shared.learned_form(ONE, Ask()) is None
    shared.learn_form(ONE, Ask(prompt="one name"), FORM)
    assert shared.learned_form(ONE, Ask(prompt="another")) is FORM
    assert shared.learned_form(ONE, Ask()) is None
    assert shared.learned_form(OTHER, Ask(prompt="one name")) is None
    assert shared.learned_form(ONE, Ask(prompt="one name", language="de")) is None


def test_token_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the Hub's client fails with is named, and not quoted."""

    def get_token() -> str:
        raise PermissionError("/home/me/secret")

    monkeypatch.setattr("huggingface_hub.get_token", get_token)
    shared = Shared()
    with pytest.raises(AuthenticationError) as caught:
        shared.find_token()
    assert str(caught.value) == (
        "the Hugging Face token cannot be read (PermissionError): run `hf auth login` again, or set HF_TOKEN"
    )
    assert caught.value.status_code == 401
    assert isinstance(caught.value.__cause__, PermissionError)
    assert shared.known_token is None


def test_token_that_no_header_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that holds other characters is refused before it is sent."""
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_\x00")
    with pytest.raises(AuthenticationError) as caught:
        Shared().find_token()
    assert str(caught.value) == (
        "the Hugging Face token that was found holds characters that no header can carry: run `hf auth login` again"
    )
    assert caught.value.status_code == 401


def test_token_is_kept_until_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is known from then on, and forgotten where a server refused it."""
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_one")
    shared = Shared()
    assert shared.known_token is None
    assert shared.find_token() == "hf_one"
    assert shared.known_token == "hf_one"
    shared.forget_token()
    assert shared.known_token is None
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert shared.find_token() is None
