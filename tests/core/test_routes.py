"""Which routes there are for which settings, who may see the token on them, and where they lead."""

from __future__ import annotations

from typing import Any

import pytest

from hfasr._core.config import Config
from hfasr._core.routes import DIALECTS, HostedRoute, LocalRoute, plan
from hfasr._hosted.servers import endpoint_server, openai_server
from hfasr.testing import FakeBackend

ROUTER, DEFAULT = "https://router.huggingface.co", "openai/whisper-large-v3"
MINE, OTHER = "http://localhost:1", "http://localhost:2/v1"
ENDPOINT = "https://x.endpoints.huggingface.cloud"
ENGINE = FakeBackend("x", name="mine")
TOKEN = "hf_token"


def behind(model: str, token: str | None = None, router: str = ROUTER) -> HostedRoute:
    return HostedRoute("hf-inference", "hf-inference", router, model, "hf", True, token)


def at(url: str, model: str | None = None, token: str | None = None, dialect: Any = "auto") -> HostedRoute:
    return HostedRoute(url, url, url, model, dialect, False, token)


@pytest.mark.parametrize(
    ("settings", "model", "routes"),
    [
        ({}, None, [behind(DEFAULT)]),
        ({"model": "org/a"}, None, [behind("org/a")]),
        ({"model": "org/a"}, "org/b", [behind("org/b")]),
        ({"router_url": MINE, "token": TOKEN}, None, [behind(DEFAULT, TOKEN, MINE)]),
        ({"base_url": MINE}, None, [at(MINE)]),
        ({"base_url": MINE, "dialect": "hf", "token": TOKEN}, "org/b", [at(MINE, "org/b", TOKEN, "hf")]),
        ({"fallback": [MINE, f"{OTHER}/"]}, None, [behind(DEFAULT), at(MINE), at(OTHER)]),
        ({"fallback": MINE}, "org/b", [behind("org/b"), at(MINE, "org/b")]),
        ({"fallback": MINE, "base_url": OTHER, "dialect": "hf"}, None, [at(OTHER, dialect="hf"), at(MINE)]),
        (
            {"fallback": "pocketsphinx", "model": "org/a"},
            None,
            [behind("org/a"), LocalRoute("pocketsphinx", None, None)],
        ),
        ({"fallback": "transformers"}, None, [behind(DEFAULT), LocalRoute("transformers", None, None)]),
        ({"fallback": "transformers"}, "org/b", [behind("org/b"), LocalRoute("transformers", "org/b", None)]),
        (
            {"fallback": "transformers:org/c", "model": "org/a"},
            None,
            [behind("org/a"), LocalRoute("transformers", "org/c", None)],
        ),
        ({"fallback": ENGINE}, "org/b", [behind("org/b"), LocalRoute("mine", "org/b", ENGINE)]),
        ({"backend": ENGINE}, None, [LocalRoute("mine", None, ENGINE)]),
        ({"backend": "pocketsphinx"}, "org/b", [LocalRoute("pocketsphinx", "org/b", None)]),
        ({"backend": "transformers", "base_url": MINE}, None, [LocalRoute("transformers", None, None)]),
        ({"backend": "transformers", "fallback": MINE}, None, [LocalRoute("transformers", None, None), at(MINE)]),
        ({"local_only": True, "fallback": [MINE, ENGINE]}, None, [LocalRoute("mine", None, ENGINE)]),
        (
            {"local_only": True, "backend": ENGINE, "base_url": MINE, "fallback": "pocketsphinx"},
            None,
            [LocalRoute("mine", None, ENGINE), LocalRoute("pocketsphinx", None, None)],
        ),
    ],
)
def test_plan(settings: dict[str, Any], model: str | None, routes: list[Any]) -> None:
    """The backend comes first, then the fallbacks in order; the call's model is for all that have none of their own."""
    assert plan(Config(**settings), model) == tuple(routes)


@pytest.mark.parametrize(
    ("settings", "revisions"),
    [
        ({"backend": "transformers"}, ["v1"]),
        ({"backend": "transformers:org/c"}, ["v1"]),
        ({"fallback": "transformers"}, [None, "v1"]),
        ({"fallback": "transformers:org/c"}, [None, None]),
        ({"fallback": "pocketsphinx"}, [None, None]),
        ({"backend": ENGINE}, [None]),
    ],
)
def test_revision(settings: dict[str, Any], revisions: list[str | None]) -> None:
    """The client's revision is that of its own model, and of no other that a fallback names."""
    routes = plan(Config(revision="v1", **settings), None)
    assert [getattr(route, "revision", None) for route in routes] == revisions


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({"fallback": [MINE, ENDPOINT, "transformers"]}, [TOKEN, None, TOKEN, TOKEN]),
        ({"base_url": ENDPOINT, "fallback": [MINE, "https://huggingface.co"]}, [TOKEN, None, TOKEN]),
        ({"base_url": MINE, "fallback": [f"{MINE}/v1", OTHER, ENDPOINT, "transformers"]}, [TOKEN, TOKEN] + [None] * 3),
        ({"router_url": MINE, "fallback": [f"{MINE}/v1", ENDPOINT, "transformers"]}, [TOKEN, TOKEN, None, None]),
        ({"backend": "transformers:org/c"}, [TOKEN]),
        ({"backend": "transformers", "base_url": MINE}, [None]),
        ({"backend": ENGINE}, [None]),
    ],
)
def test_passed_token(settings: dict[str, Any], tokens: list[str | None]) -> None:
    """A token is for the server that it was passed for, and within Hugging Face for all of its hosts, Hub included."""
    routes = plan(Config(token=TOKEN, **settings), None)
    assert [r.explicit_token if isinstance(r, HostedRoute) else r.token for r in routes] == tokens
    assert TOKEN not in repr(routes)


@pytest.mark.parametrize(
    ("route", "finds", "needs", "credential"),
    [
        (behind(DEFAULT), True, True, "found"),
        (behind(DEFAULT, TOKEN), False, True, TOKEN),
        (behind(DEFAULT, None, MINE), False, False, None),
        (at(ENDPOINT), True, False, "found"),
        (at(ENDPOINT, token=TOKEN), False, False, TOKEN),
        (at(MINE), False, False, None),
        (at(MINE, token=TOKEN), False, False, TOKEN),
    ],
)
def test_credentials(route: HostedRoute, finds: bool, needs: bool, credential: str | None) -> None:
    """A found token is for Hugging Face's hosts where none was passed; only its router cannot do without one."""
    assert (route.finds_token, route.needs_token, route.credential) == (finds, needs, credential)


def test_servers() -> None:
    """The router's address names provider and model, whatever the dialect; others are as their dialect has them."""
    url = f"{ROUTER}/hf-inference/models/org/a"
    assert behind("org/a").server("hf").url == url
    assert behind("org/a").server("openai", "/x").url == url
    unnamed = HostedRoute("hf-inference", "hf-inference", ROUTER, None, "hf", True, None)
    assert unnamed.server("hf").url == f"{ROUTER}/hf-inference/models/{DEFAULT}"
    assert at(MINE, "org/a").server("hf") == endpoint_server(MINE, "org/a")
    assert at(MINE, "org/a").server("hf", "/x") == endpoint_server(MINE, "org/a")
    assert at(MINE, "org/a").server("openai") == openai_server(MINE, "org/a")
    assert at(MINE, "org/a").server("openai", "/x") == openai_server(MINE, "org/a", prefix="/x")
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {"hf": "hf", "openai": "openai"}


def test_model_that_is_no_hub_id() -> None:
    """For the router it is refused when the routes are planned; a server of one's own may call its model anything."""
    with pytest.raises(ValueError, match="is not a Hub model id"):
        plan(Config(), "/a/folder")
    assert plan(Config(base_url=MINE), "/a/folder") == (at(MINE, "/a/folder"),)
