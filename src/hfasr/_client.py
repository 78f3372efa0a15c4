"""The two clients: constructor, lifetime and one-line methods. What they do is in `_core`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ._core.clock import SystemClock
from ._core.config import DEFAULT_MODEL, HOSTED, Config
from ._core.io import AsyncIO, BlockingIO, run_sync
from ._core.shared import Shared
from .types import AudioInput, Backend, RetryPolicy, TranscribeOptions, Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Sequence
    from os import PathLike
    from types import TracebackType
    from typing import Unpack

    from ._batch.asynchronous import AsyncBatch
    from ._batch.blocking import Batch
    from ._batch.opening import Order
    from ._batch.settings import Verify
    from ._core.clock import Clock
    from ._core.config import Channels, DialectName
    from .audio import UploadFormat
    from .batches import Progress
    from .cache import Cache

__all__ = ["DEFAULT_MODEL", "ASRClient", "AsyncASRClient"]

_DEFAULT_RETRY = RetryPolicy()

F = TypeVar("F", bound="Callable[..., Any]")


def _with_options_shown(method: F) -> F:
    """Let ``help()`` show the keywords of `TranscribeOptions` one by one."""
    plain = inspect.signature(method)
    kept = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shown = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "return_timestamps" else None,
            annotation=getattr(kind, "__forward_arg__", kind),  # what was written, since annotations here are text
        )
        for name, kind in TranscribeOptions.__annotations__.items()
    ]
    method.__signature__ = plain.replace(parameters=[*kept, *shown])  # type: ignore[attr-defined]  # functions take attributes
    return method


class _Client:
    """What both colours share: the settings, and making a client from another."""

    _io: Any  # of the class's own colour

    def __init__(
        self,
        model: str | None = None,
        *,
        backend: str | Backend = HOSTED,
        fallback: str | Backend | Sequence[str | Backend] = (),
        provider: str | Sequence[str] = "auto",
        base_url: str | None = None,
        dialect: DialectName = "auto",
        router_url: str | None = None,
        token: str | None = None,
        bill_to: str | None = None,
        timeout: float = 60.0,
        deadline: float | None = None,
        retry: RetryPolicy = _DEFAULT_RETRY,
        upload: UploadFormat = "auto",
        channels: Channels = "mix",
        allow_private_urls: bool = False,
        allow_paths: bool = True,
        revision: str | None = None,
        local_only: bool = False,
        http_client: Any = None,
    ) -> None:
        self._settings: dict[str, Any] = {
            "model": model,
            "backend": backend,
            "fallback": fallback,
            "provider": provider,
            "base_url": base_url,
            "dialect": dialect,
            "router_url": router_url,
            "token": token,
            "bill_to": bill_to,
            "timeout": timeout,
            "deadline": deadline,
            "retry": retry,
            "upload": upload,
            "channels": channels,
            "allow_private_urls": allow_private_urls,
            "allow_paths": allow_paths,
            "revision": revision,
            "local_only": local_only,
        }
        self._config = Config(**self._settings)
        self._shared = Shared()
        self._parent: _Client | None = None
        self._closed = False
        self._io = self._make_io(http_client, SystemClock())

    def _make_io(self, http_client: Any, clock: Clock) -> BlockingIO | AsyncIO:  # noqa: ARG002  # the colours use both
        raise TypeError("use ASRClient or AsyncASRClient")

    def with_options(self, **changes: Any) -> Self:
        """
        Return a client with other settings that shares this one's connections and engines.

        Closing it leaves the shared connections open; closing this one closes them. A *token* that
        was passed for one server does not go along to another: with a new *base_url* or
        *router_url*, pass it again.

        Args:
            **changes: Any arguments of the constructor, except *http_client*.

        Raises:
            TypeError: An unknown setting, or a value of the wrong type.
            ValueError: A value that is out of range.

        Example:
            >>> asr = ASRClient()
            >>> patient = asr.with_options(deadline=600)
        """
        unknown = changes.keys() - self._settings.keys()
        if unknown:
            raise TypeError(f"with_options() cannot change {', '.join(sorted(unknown))}")
        settings = {**self._settings, **changes}
        if "token" not in changes and any(
            name in changes and changes[name] != self._settings[name] for name in ("base_url", "router_url")
        ):
            settings["token"] = None
        made = object.__new__(type(self))
        changed = {"_settings": settings, "_config": Config(**settings), "_parent": self}
        vars(made).update({**vars(self), **changed})
        return made

    def _order(self, audios: object, options: TranscribeOptions, *, allow_async: bool, **settings: Any) -> Order:
        """Check everything that a batch is asked for, before anything is opened."""
        from ._batch.opening import Order
        from ._batch.settings import BatchSettings, check_inputs
        from ._core.options import check_options
        from ._core.routes import plan

        check_inputs(audios, allow_async=allow_async)
        check_options(options)
        plan(self._config, options.get("model"))
        return Order(
            io=self._io,
            config=self._config,
            shared=self._shared,
            audios=audios,
            options=options,
            settings=BatchSettings(**settings),
            check_open=self._check_open,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed; make a new one, or move the call inside its `with` block")
        if self._parent is not None:
            self._parent._check_open()  # noqa: SLF001  # one of us

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the token nor connections travel: the other process finds its own.
        return _unpickle, (type(self), {**self._settings, "token": None})


def _unpickle(cls: type[_Client], settings: dict[str, Any]) -> _Client:
    return cls(**settings)


class ASRClient(_Client):
    """
    Speech to text, from ordinary code.

    Works everywhere, also inside a running event loop (which it blocks: use `AsyncASRClient`
    there). Safe to use from many threads, which share connections and engines: of several first calls at
    once, one loads the engine and the others wait for it. Making one is cheap: nothing is imported, opened or
    looked up before the first call.

    Args:
        model: Hub id, or a folder for a local engine; ``None`` is `DEFAULT_MODEL`.

        backend: ``"hosted"``, the name of a local engine such as ``"pocketsphinx"``, or a `Backend`.

        fallback: What to try, in order, when *backend* has failed: an engine's name
            (``"name"`` or ``"name:model"``), a server's URL, a `Backend`, or a sequence of them.

        provider: ``"auto"`` or ``"hf-inference"``, or a sequence of providers in order.

        base_url: A server of your own or an Inference Endpoint, instead of the router.

        dialect: What that server speaks: ``"hf"`` (toolkit), ``"openai"``, or ``"auto"`` to ask it.

        router_url: Requests go to ``{router_url}/{provider}/…``; ``None``: ``HFASR_ROUTER_URL``, else
            https://router.huggingface.co.

        token: ``None``: ``HF_TOKEN`` or the login, for Hugging Face's own hosts alone. One that is
            passed here goes to *base_url* or *router_url*; where that is Hugging Face's, engines fetch
            their models with it as well.

        bill_to: Organisation that pays, instead of the token's user.

        timeout: Seconds for one network operation, above 0.

        deadline: Seconds for one whole call: decoding, uploads, waits, retries, fallback. ``None``: no limit.

        retry: How long and how often to try again.

        upload: What to send. ``"auto"``: the cheapest body that the server takes. ``"original"``: the
            input's own bytes. ``"flac"``, ``"wav"``, ``"opus"``: 16 kHz mono, encoded so.

        channels: ``"mix"``, or the number of one channel, from 0.

        allow_private_urls: Whether an audio URL may point into a private network or at a file.

        allow_paths: ``False``: a string or path is never opened as a file. For servers.

        revision: Branch, tag or commit of *model*, or of a call's own, for engines here. A fallback that
            names its model chooses for itself; so does a server, which the result then says.

        local_only: ``True``: no socket is opened. Servers are left out of the routes, engines load what is
            on this machine, no token is looked up, and audio by URL is refused.

        http_client: An ``httpx.Client`` (or ``httpx2.Client``) for API calls; never closed here. With
            it and a *deadline*, each request runs in a helper thread, left behind on expiry.

    Raises:
        TypeError: A value of the wrong type, or an *http_client* of the wrong colour.
        ValueError: A value that is out of range.

    Example:
        >>> from hfasr.testing import FakeBackend, ToneSpeech
        >>> from hfasr import Audio
        >>> with ASRClient(backend=FakeBackend("hello")) as asr:
        ...     asr.transcribe(Audio(ToneSpeech().say("apple"), 16_000)).text
        'hello'
    """

    _io: BlockingIO

    def _make_io(self, http_client: Any, clock: Clock) -> BlockingIO:
        from ._core.http import BlockingHTTP

        return BlockingIO(BlockingHTTP(http_client), clock)

    @_with_options_shown
    def transcribe(self, audio: AudioInput, /, **options: Unpack[TranscribeOptions]) -> Transcript:
        """
        Turn *audio* into text.

        Args:
            audio: A path, URL, bytes, binary file, iterable of byte chunks, or `Audio`; see `AudioInput`.

            **options: ``model``, ``language``, ``task``, ``prompt``, ``return_timestamps``, ``deadline``,
                ``generation_parameters`` and ``extra_parameters``; see `TranscribeOptions`.

        Returns:
            The transcript, with its provenance, and warnings for what could not be honoured.

        Raises:
            AudioError: The audio cannot be used.
            APIError: The hosted side failed, and no fallback is configured.
            AllRoutesFailedError: Every route failed.
            DeadlineExceededError: Time ran out inside an operation.
            BackendError: A local engine failed.
            InvalidOptionError: A local engine cannot take an option's value.
        """
        self._check_open()
        return run_sync(_transcribe(self._io, self._config, self._shared, audio, options))

    @_with_options_shown
    def transcribe_many(
        self,
        audios: Iterable[AudioInput],
        /,
        *,
        max_concurrency: int = 8,
        ordered: bool = True,
        journal: str | PathLike[str] | None = None,
        cache: Cache | str | PathLike[str] | None = None,
        progress: bool | Callable[[Progress], object] = False,
        verify: Verify = "stat",
        retry_failed: bool | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Batch:
        """
        Turn many *audios* into text, several at a time.

        Args:
            audios: Any iterable of what `transcribe` takes, read lazily, in a thread of its own.

            max_concurrency: Items in work at once, from 1 to 1024. Fewer requests are sent where the
                server answers that there are too many. With an engine on this machine as *backend*, four
                times as many are prepared at once, up to 32, so that it has clips to pack by length.

            ordered: Whether items come in the order of the inputs, or as they are finished.

            journal: A file to which each finished item is written before it is handed out. A batch that
                was interrupted, and is run again with the same journal, sends only what is missing, and
                hands out the same items. What it holds goes by the input, the model and every option.

            cache: A file or object that keeps transcripts by the content of the audio, for all batches.

            progress: ``True`` shows a bar on standard error; a function is called after each item.

            verify: How the journal knows a file again: ``"stat"``, by path, size and modification time,
                or ``"hash"``, by its content. Bytes and arrays always go by content, URLs by their text.

            retry_failed: Whether items that failed, by the journal, are tried again; ``None``: those
                for which that may help.

            **options: Those of `transcribe`, for every item.

        Returns:
            An iterator of `BatchItem`, which is a context manager as well. A bad file is an item with an
            error, and never ends the batch.

        Raises:
            TypeError: *audios* is one input, or an option is of the wrong type.
            ValueError: An option is out of range.
            BatchAbortedError: While iterating: the last route refused the token, asks for payment, or
                cannot serve any item.
            JournalError: While iterating: the journal cannot be used or written.
        """
        self._check_open()
        from ._batch.blocking import Batch

        order = self._order(
            audios, options, allow_async=False, max_concurrency=max_concurrency, ordered=ordered, journal=journal,
            cache=cache, progress=progress, verify=verify, retry_failed=retry_failed,
        )  # fmt: skip
        return Batch(order)

    def wait_until_ready(self, *, timeout: float) -> None:
        """
        Wait until the first route answers: an endpoint has scaled up, a model is loaded.

        A server of your own is asked for its ``/health``. The router has no such address, so half
        a second of silence is transcribed there, which bills its compute time.

        Args:
            timeout: Seconds, above 0.

        Raises:
            DeadlineExceededError: It is still not ready.
            APIError: It answered with a failure that waiting does not mend.
            BackendError: The local engine cannot be loaded.
        """
        self._check_open()
        run_sync(_wait_until_ready(self._io, self._config, self._shared, timeout))

    def preload(self) -> None:
        """
        Load the local engines among backend and fallbacks now, instead of in the first call.

        What is missing is downloaded, unless the client is *local_only*. A call with a *deadline* never
        downloads: preload before it.

        Raises:
            BackendError: One cannot be found or loaded.
        """
        self._check_open()
        run_sync(_preload(self._io, self._config, self._shared))

    def close(self) -> None:
        """Close connections and engines. May be called twice."""
        self._closed = True
        if self._parent is None:
            self._io.http.close()
            self._shared.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncASRClient(_Client):
    """
    Speech to text, from asyncio and trio; arguments and methods are those of `ASRClient`.

    File reads, decoding and look-ups never block the event loop. One client belongs to one event
    loop.

    Example:
        >>> import asyncio
        >>> from hfasr import Audio
        >>> from hfasr.testing import FakeBackend, ToneSpeech
        >>> async def main() -> str:
        ...     async with AsyncASRClient(backend=FakeBackend("hello")) as asr:
        ...         return (await asr.transcribe(Audio(ToneSpeech().say("apple"), 16_000))).text
        >>> asyncio.run(main())
        'hello'
    """

    _io: AsyncIO

    def _make_io(self, http_client: Any, clock: Clock) -> AsyncIO:
        from ._core.http import AsyncHTTP

        return AsyncIO(AsyncHTTP(http_client), clock)

    @_with_options_shown
    async def transcribe(self, audio: AudioInput, /, **options: Unpack[TranscribeOptions]) -> Transcript:
        """Turn *audio* into text; see `ASRClient.transcribe`. Async files and iterables are taken, too."""
        self._check_open()
        return await _transcribe(self._io, self._config, self._shared, audio, options)

    @_with_options_shown
    def transcribe_many(
        self,
        audios: Iterable[AudioInput] | AsyncIterable[AudioInput],
        /,
        *,
        max_concurrency: int = 8,
        ordered: bool = True,
        journal: str | PathLike[str] | None = None,
        cache: Cache | str | PathLike[str] | None = None,
        progress: bool | Callable[[Progress], object] = False,
        verify: Verify = "stat",
        retry_failed: bool | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> AsyncBatch:
        """Turn many *audios* into text; see `ASRClient.transcribe_many`. Async iterables are taken, too."""
        self._check_open()
        from ._batch.asynchronous import AsyncBatch

        order = self._order(
            audios, options, allow_async=True, max_concurrency=max_concurrency, ordered=ordered, journal=journal,
            cache=cache, progress=progress, verify=verify, retry_failed=retry_failed,
        )  # fmt: skip
        return AsyncBatch(order)

    async def wait_until_ready(self, *, timeout: float) -> None:  # the contract's name
        """Wait until the first route answers; see `ASRClient.wait_until_ready`."""
        self._check_open()
        await _wait_until_ready(self._io, self._config, self._shared, timeout)

    async def preload(self) -> None:
        """Load the local engines now; see `ASRClient.preload`."""
        self._check_open()
        await _preload(self._io, self._config, self._shared)

    async def aclose(self) -> None:
        """Close connections and engines. May be called twice."""
        self._closed = True
        if self._parent is None:
            try:
                await self._io.http.aclose()
            finally:
                await self._io.finish(self._shared.close)  # an engine may have a large model to free

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def _transcribe(
    io: BlockingIO | AsyncIO, config: Config, shared: Shared, audio: AudioInput, options: TranscribeOptions
) -> Transcript:
    from ._core.call import transcribe

    return await transcribe(io, config, shared, audio, options)


async def _wait_until_ready(
    io: BlockingIO | AsyncIO, config: Config, shared: Shared, timeout: float
) -> None:  # the contract's name
    from ._core.ready import wait_until_ready

    await wait_until_ready(io, config, shared, timeout)


async def _preload(io: BlockingIO | AsyncIO, config: Config, shared: Shared) -> None:
    from ._core.ready import preload

    await preload(io, config, shared)
