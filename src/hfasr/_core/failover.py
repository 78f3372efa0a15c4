"""From route to route: which one is taken, which is skipped, and what ends the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hfasr.errors import (
    AllRoutesFailedError,
    APIError,
    AudioError,
    AudioTooLongError,
    AuthenticationError,
    BackendError,
    BadRequestError,
    HfasrError,
    PayloadTooLargeError,
    PaymentRequiredError,
)

from .routes import HostedRoute, Route

if TYPE_CHECKING:
    from .context import CallContext

__all__ = ["TakesLessError", "circuit", "over_routes"]

T = TypeVar("T")

_TOLD_CHARS = 360  # of all routes together, which leaves room for the rest of a message


class TakesLessError(Exception):
    """A route takes shorter audio only: it is to be cut, and tried again from that route on."""

    def __init__(self, longest_s: float, routes: tuple[Route, ...], reason: str | None) -> None:
        super().__init__(longest_s)
        self.longest_s = longest_s
        """Longest piece, seconds, above 0."""
        self.routes = routes
        """Those that are left, the one that takes less first."""
        self.reason = reason
        """Why the routes before gave no answer; ``None``: there were none."""


async def over_routes(
    call: CallContext,
    routes: tuple[Route, ...],
    take: Callable[[Route, float | None], Awaitable[T]],
    shorter: Callable[[HfasrError], float | None],
) -> tuple[T, str | None]:
    """
    Take *routes* in order until one answers.

    Args:
        call: The call.

        routes: At least one.

        take: Takes one route, within so many seconds.

        shorter: Tells which length, in seconds, may mend a route's error; ``None``: none does.

    Returns:
        The answer, and why the routes before gave none; ``None``: it is the first one's.

    Raises:
        TakesLessError: Cut into shorter pieces the audio may pass.
        AllRoutesFailedError: None of several answered.
        HfasrError: The only route's own error, the caller's fault, or the deadline's.
    """
    breaker, policy, clock = call.shared.breaker, call.config.retry, call.io.clock
    errors: list[HfasrError] = []
    told: list[str] = []  # why each route that is behind us gave no answer
    n_left_out = 0
    waiting = list(routes)
    while waiting:
        route, *rest = waiting
        permit = breaker.enter(circuit(call, route), policy, clock.now(), forced=not rest)
        if isinstance(permit, str):
            call.record_skip(route.name)
            told.append(f"{route.name} was {permit}")
            waiting = rest
            continue
        n_attempts = len(call.attempts)
        try:
            answer = await take(route, _share(call, rest))
        except (APIError, BackendError, AudioError) as error:
            longest_s = shorter(error)
            if longest_s is not None:
                raise TakesLessError(longest_s, tuple(waiting), _reason(told)) from error
            if _tells_of_its_health(call, error, n_attempts):
                permit.failed(error, clock.now())
            # Faults of the audio are the caller's, unless another route may take what this one cannot.
            if call.audio_refused or (isinstance(error, AudioError) and not errors and not _is_the_routes(error)):
                raise
            call.stamp(error)
            errors.append(error)
            told.append(f"{type(error).__name__}: {error}")
        else:
            permit.succeeded()
            return answer, _reason(told)
        finally:
            permit.release()  # cancelled, out of time, or the caller's fault: the next call may probe
        if call.expired():
            raise call.deadline_error(f"{route.name} was at work")
        waiting = _still_worth_trying(rest, route, errors[-1])
        n_left_out += len(rest) - len(waiting)
    if len(routes) == 1:
        raise errors[0]
    failed = "all routes failed" if len(told) == len(errors) else "all routes failed or were skipped"
    without = f" ({n_left_out} left out, whose token was refused)" if n_left_out else ""
    raise AllRoutesFailedError(f"{failed}{without}: {_together(told)}", errors=errors)


def circuit(call: CallContext, route: Route) -> Hashable:
    """
    Return what tells *route* from others for the breaker: its address, model and who pays.

    An engine of the caller's own is told by its identity: it need not be hashable, and is not kept alive.
    """
    if isinstance(route, HostedRoute):
        return route, call.config.bill_to
    return route.name, route.model, route.revision, None if route.backend is None else id(route.backend)


def _share(call: CallContext, rest: Sequence[Route]) -> float | None:
    """Return the seconds that a route may use with *rest* behind it: those that will be skipped need none."""
    left = call.left()
    if left is None:
        return None
    breaker, policy, now = call.shared.breaker, call.config.retry, call.io.clock.now()
    n_rest = sum(not breaker.shuts_out(circuit(call, route), policy, now) for route in rest[:-1])
    return left / (1 + n_rest + bool(rest))  # the last one is always tried


def _tells_of_its_health(call: CallContext, error: HfasrError, n_attempts: int) -> bool:
    """Whether *error* says that the route is not well, and not that the call was wrong or too short of time."""
    if isinstance(error, BackendError):
        return error is not call.late
    sent = len(call.attempts) > n_attempts  # else no token was found, or decoding took all the time
    if isinstance(error, PayloadTooLargeError):
        return call.chunk is not None  # cut as short as it gets
    return isinstance(error, APIError) and sent and not isinstance(error, BadRequestError)


def _is_the_routes(error: AudioError) -> bool:
    return isinstance(error, AudioTooLongError)


def _still_worth_trying(routes: list[Route], failed: Route, error: HfasrError) -> list[Route]:
    """Leave out the routes that would be refused for the same credential."""
    if not isinstance(failed, HostedRoute) or not isinstance(error, AuthenticationError | PaymentRequiredError):
        return routes
    refused = failed.credential
    return [r for r in routes if refused is None or not isinstance(r, HostedRoute) or r.credential != refused]


def _reason(told: Sequence[str]) -> str | None:
    return _together(told) if len(told) > 1 else told[0] if told else None


def _together(told: Sequence[str]) -> str:
    """Join what is told of several routes, each cut to its share."""
    limit = _TOLD_CHARS // len(told)
    return "; ".join(text if len(text) <= limit else f"{text[: limit - 1]}…" for text in told)
