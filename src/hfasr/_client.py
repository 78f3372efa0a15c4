"""The two clients: constructor, lifetime and one-line methods. What they do is in `_core`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ._client_base import BaseClient, with_options_shown
from ._core.config import DEFAULT_MODEL
from ._core.io import AsyncIO, BlockingIO, run_sync
from ._warm import import_ahead

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from os import PathLike
    from types import TracebackType
    from typing import Unpack

    from ._batch.asynchronous import AsyncBatch
    from ._batch.blocking import Batch
    from ._batch.settings import Verify
    from ._core.clock import Clock
    from ._core.config import Config
    from ._core.shared import Shared
    from ._long.stream import AsyncTranscriptStream, TranscriptStream
    from .batches import Progress
    from .cache import Cache
    from .live import LiveAudio
    from .types import AudioInput, TranscribeOptions, Transcript

__all__ = ["DEFAULT_MODEL", "ASRClient", "AsyncASRClient"]


class ASRClient(BaseClient):
    """
    Speech to text, from ordinary code.

    Works everywhere, also inside a running event loop (which it blocks: use `AsyncASRClient`
    there). Safe to use from many threads, which share connections and engines: of several first calls at
    once, one loads the engine and the others wait for it. After a fork it works on in the child, also while other
    threads of the parent's use it: each process opens connections of its own. (Load PyTorch's models in the child:
    their threads do not come along.) Making one is cheap: nothing is imported, opened or
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

        chunking: How audio is cut that is longer than a route takes at once.

        upload: What to send. ``"auto"``: the cheapest body that the server takes. ``"original"``: the
            input's own bytes. ``"flac"``, ``"wav"``, ``"opus"``: 16 kHz mono, encoded so.

        channels: ``"mix"``; the number of one channel, from 0; or ``"split"``: each channel is transcribed
            alone, and its segments have its number.

        allow_private_urls: Whether an audio URL may point into a private network or at a file.

        allow_paths: ``False``: a string or path is never opened as a file. For servers.

        revision: Branch, tag or commit of *model*, or of a call's own, for engines here. A fallback that
            names its model chooses for itself; so does a server, which the result then says.

        local_only: ``True``: no socket is opened. Servers are left out of the routes, engines load what is
            on this machine, no token is looked up, and audio by URL is refused.

        on_attempt: A plain function that is called with each `Attempt` (a request, a run of an engine, a route
            that was skipped), once and in order, when it is known how it ended; of chunks that are in work at
            once, in order within each. It is called in the thread or task of the call, so it must be quick and
            not block. What it raises is logged once and never breaks a call. It stays behind when a client is
            pickled.

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

    @with_options_shown
    def transcribe(self, audio: AudioInput, /, **options: Unpack[TranscribeOptions]) -> Transcript:
        """
        Turn *audio* into text.

        Args:
            audio: A path, URL, bytes, binary file, iterable of byte chunks, or `Audio`; see `AudioInput`. Of any
                length: what a route does not take at once is cut, sent in parallel, and joined (*chunking*).

            **options: All of them by keyword, and none needed:

                - ``model``: Hub id or folder, instead of the client's.
                - ``language``: what is spoken, ISO 639-1, else 639-3; ``None``: the model finds out.
                - ``task``: ``"transcribe"``, or ``"translate"`` into English.
                - ``prompt``: names and spellings to expect.
                - ``return_timestamps``: ``False``, ``True`` (segments) or ``"word"`` (words as well).
                - ``deadline``: seconds for the whole call, instead of the client's.
                - ``on_chunk_error``: ``"raise"``, or ``"gap"``: a chunk of long audio that no route could
                  transcribe leaves a `Segment` with an `error`, and a warning.
                - ``generation_parameters``, ``extra_parameters``: see `TranscribeOptions`.

        Returns:
            The transcript, with its provenance, and warnings for what could not be honoured and what was
            repaired. All times are those of the whole audio.

        Raises:
            AudioError: The audio cannot be used.
            APIError: The hosted side failed, and no fallback is configured.
            AllRoutesFailedError: Every route failed.
            DeadlineExceededError: Time ran out inside an operation.
            BackendError: A local engine failed.
            InvalidOptionError: A local engine cannot take an option's value.

        Example:
            >>> from hfasr import Audio, Chunking
            >>> from hfasr.testing import FakeBackend, ToneSpeech
            >>> speech = ToneSpeech().say_at([(0.5, "red"), (4.0, "boat")], duration=5.0)
            >>> with ASRClient(backend=FakeBackend(None), chunking=Chunking(chunk_length_s=3)) as asr:
            ...     transcript = asr.transcribe(Audio(speech, 16_000))
            >>> transcript.text, transcript.provenance.chunks
            ('red boat', 2)
        """
        self._check_open()
        return run_sync(_transcribe(self._io, self._config, self._shared, audio, options))

    @with_options_shown
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

    @with_options_shown
    def transcribe_stream(
        self, audio: AudioInput | LiveAudio, /, **options: Unpack[TranscribeOptions]
    ) -> TranscriptStream:
        """
        Turn *audio* into text, segment by segment, each as soon as it is done.

        Nothing begins before the first segment is asked for. Use it in a ``with`` block, so that it is left cleanly
        at any time: what is under way is cut off then, and a microphone stops.

        Args:
            audio: What `transcribe` takes, cut into chunks of 30 s (`Chunking.chunk_length_s`); or a `LiveAudio` or
                `Microphone`, which is cut at pauses, and each phrase sent as it ends. Up to
                `Chunking.max_concurrency` chunks or phrases are in work at once.

            **options: Those of `transcribe`, all by keyword:

                - ``model``, ``language``, ``task``, ``prompt``, ``generation_parameters``,
                  ``extra_parameters``: as there, for each chunk.
                - ``return_timestamps``: ``False``: one segment a chunk or phrase, with its bounds as times.
                  ``True``: segments as the model tells them; ``"word"``: with words as well.
                - ``deadline``: seconds for all of the audio; of live audio, for each phrase.
                - ``on_chunk_error``: ``"raise"`` ends the stream where a chunk fails, after the segments
                  before it. ``"gap"`` goes on after a segment with an `error` and no text.

        Returns:
            An iterator of `Segment`, in order, with times in the whole audio, or from the first block of live
            audio. It has

            - ``duration``: seconds of audio that have been dealt with so far;
            - ``warnings``: what could not be done, and what was repaired, so far;
            - ``transcript``: after the end all of it, as `transcribe` returns it; not of live audio;
            - ``delay`` and ``max_delay``: of live audio, seconds from the end of a phrase until its text was
              there, of the last one and the largest;
            - ``close()``: stop, as the end of the ``with`` block does.

        Raises:
            TypeError: An option is of the wrong type, or blocks are awaited, which needs `AsyncASRClient`.
            ValueError: An option is out of range, or the client splits channels.
            HfasrError: While iterating: as `transcribe` raises, after the segments before.

        Example:
            >>> from hfasr import Audio, Chunking
            >>> from hfasr.testing import FakeBackend, ToneSpeech
            >>> speech = ToneSpeech().say_at([(0.5, "red"), (4.0, "boat")], duration=5.0)
            >>> asr = ASRClient(backend=FakeBackend(None), chunking=Chunking(chunk_length_s=3))
            >>> with asr, asr.transcribe_stream(Audio(speech, 16_000)) as stream:
            ...     for segment in stream:
            ...         print(segment.text)
            red
            boat
        """
        self._check_open()
        from ._long.stream import TranscriptStream

        return TranscriptStream(self._stream_ask(audio, options))

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


class AsyncASRClient(BaseClient):
    """
    Speech to text, from asyncio and trio; arguments and methods are those of `ASRClient`.

    File reads, decoding and look-ups never block the event loop; what has to be imported first
    neither, where it is made by ``async with``. One client belongs to one event loop at a time; in a forked child
    that is one of the child's.

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

    @with_options_shown
    async def transcribe(self, audio: AudioInput, /, **options: Unpack[TranscribeOptions]) -> Transcript:
        """Turn *audio* into text; see `ASRClient.transcribe`. Async files and iterables are taken, too."""
        self._check_open()
        await import_ahead()
        return await _transcribe(self._io, self._config, self._shared, audio, options)

    @with_options_shown
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

    @with_options_shown
    def transcribe_stream(
        self, audio: AudioInput | LiveAudio, /, **options: Unpack[TranscribeOptions]
    ) -> AsyncTranscriptStream:
        """
        Turn *audio* into text, segment by segment; see `ASRClient.transcribe_stream`.

        It gives an async iterator, which is an async context manager and has ``aclose()``. Blocks of live audio may
        come from an async iterable, too.
        """
        self._check_open()
        from ._long.stream import AsyncTranscriptStream

        return AsyncTranscriptStream(self._stream_ask(audio, options))

    async def wait_until_ready(self, *, timeout: float) -> None:  # the contract's name
        """Wait until the first route answers; see `ASRClient.wait_until_ready`."""
        self._check_open()
        await import_ahead()
        await _wait_until_ready(self._io, self._config, self._shared, timeout)

    async def preload(self) -> None:
        """Load the local engines now; see `ASRClient.preload`."""
        self._check_open()
        await import_ahead()
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
        await import_ahead()
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def _transcribe(
    io: BlockingIO | AsyncIO, config: Config, shared: Shared, audio: AudioInput, options: TranscribeOptions
) -> Transcript:
    from ._long.call import transcribe

    return await transcribe(io, config, shared, audio, options)


async def _wait_until_ready(
    io: BlockingIO | AsyncIO, config: Config, shared: Shared, timeout: float
) -> None:  # the contract's name
    from ._core.ready import wait_until_ready

    await wait_until_ready(io, config, shared, timeout)


async def _preload(io: BlockingIO | AsyncIO, config: Config, shared: Shared) -> None:
    from ._core.ready import preload

    await preload(io, config, shared)
