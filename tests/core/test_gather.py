"""Calls that come to one engine together: which share a run, and what each of them gets."""

from __future__ import annotations

import functools
import gc
import random
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import numpy.typing as npt
import pytest

from hfasr import (
    ASRClient,
    AsyncASRClient,
    Audio,
    BackendError,
    BackendLoadError,
    TranscribeOptions,
    Transcript,
)
from hfasr._core.gather import MAX_AUDIO_S, MAX_CLIPS, Gatherer, NobodyWaits, Seat
from hfasr.backends.transformers import Transformers
from hfasr.testing import FakeBackend
from tests.core.test_transport import wait_for
from tests.tones import tone_audio

BACKENDS = ["asyncio", "trio"]
Call: TypeAlias = tuple[Any, dict[str, Any]]  # samples, or how many silent ones, and options
BAD = 666  # samples of a clip that no engine can take


class Recorder:
    """
    An engine that notes what it gets, and says of each clip how many samples it has.

    It must never be run twice at once. Each of its first *n_held* runs begins only when `release` is called.
    """

    name = "recorder"
    sampling_rate = 16_000
    max_duration_s = None

    def __init__(self, n_held: int = 1, *, error: Callable[[], Exception] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.options: list[TranscribeOptions] = []
        self.n_checked_out = 0
        self._error = error
        self._gates = [threading.Event() for _ in range(n_held)]
        self._running = threading.Lock()

    def release(self, run: int) -> None:
        self._gates[run].set()

    def transcribe(
        self,
        batch: Sequence[Audio],
        options: TranscribeOptions,
        *,
        check: Callable[[], object] = lambda: None,
    ) -> list[Transcript]:
        assert self._running.acquire(blocking=False), "two runs at once"
        try:
            run, lengths = len(self.batches), [len(audio.waveform) for audio in batch]
            self.batches.append(lengths)
            self.options.append(options)
            if run < len(self._gates):
                assert self._gates[run].wait(20)
            try:
                check()
            except BackendError:
                self.n_checked_out += 1
                raise
            if self._error is not None:
                raise self._error()
            if BAD in lengths:
                raise RuntimeError("this clip cannot be")
            return [Transcript(str(n)) for n in lengths]
        finally:
            self._running.release()

    def close(self) -> None:
        return None


def noise(n_samples: int) -> Audio:
    """Return a clip that is known by its length; what is said of silence would be left out."""
    return Audio(np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32), 16_000)


def audio(clip: int | npt.NDArray[np.float32]) -> Audio:
    return noise(clip) if isinstance(clip, int) else Audio(clip, 16_000)


def n_in_line(who: ASRClient | AsyncASRClient | Gatherer[Any]) -> int:
    gatherer = who if isinstance(who, Gatherer) else who._shared.gatherer
    return sum(map(len, gatherer._lines.values()))


def has_in_line(who: ASRClient | AsyncASRClient | Gatherer[Any], n: int) -> Callable[[], bool]:
    return lambda: n_in_line(who) == n


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not true():  # noqa: ASYNC110  # what is waited for sets no event
            await anyio.sleep(0.005)


class Crowd:
    """Calls on one client, each begun when the one before is in line."""

    def __init__(self, colour: str, engine: Any, **settings: Any) -> None:
        self.engine = engine
        self.outcomes: dict[int, Transcript | Exception] = {}
        self._colour = colour
        self._settings = settings
        self.client: Any = None

    def run(self, calls: Sequence[Call], meanwhile: Callable[[], object]) -> list[Transcript | Exception]:
        """Make a call for each of *calls*; when all are in line, do *meanwhile*."""
        if self._colour == "sync":
            self._in_threads(calls, meanwhile)
        else:
            anyio.run(self._in_tasks, calls, meanwhile, backend=self._colour)
        wait_for(lambda: n_in_line(self.client) == 0)
        return [self.outcomes[i] for i in range(len(calls))]

    def _in_threads(self, calls: Sequence[Call], meanwhile: Callable[[], object]) -> None:
        def one(index: int, clip: Any, options: dict[str, Any]) -> None:
            try:
                self.outcomes[index] = self.client.transcribe(audio(clip), **options)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is the outcome
                self.outcomes[index] = error

        with ASRClient(backend=self.engine, **self._settings) as self.client:
            threads = []
            for index, call in enumerate(calls):
                threads.append(threading.Thread(target=one, args=(index, *call)))
                threads[-1].start()
                wait_for(has_in_line(self.client, len(threads)))
            meanwhile()
            for thread in threads:
                thread.join(20)

    async def _in_tasks(self, calls: Sequence[Call], meanwhile: Callable[[], object]) -> None:
        async def one(index: int, clip: Any, options: dict[str, Any]) -> None:
            try:
                self.outcomes[index] = await self.client.transcribe(audio(clip), **options)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is the outcome
                self.outcomes[index] = error

        async with (
            AsyncASRClient(backend=self.engine, **self._settings) as self.client,
            anyio.create_task_group() as tasks,
        ):
            for index, call in enumerate(calls):
                tasks.start_soon(one, index, *call)
                await until(has_in_line(self.client, index + 1))
            await anyio.to_thread.run_sync(meanwhile)


def texts(outcomes: Sequence[Transcript | Exception]) -> list[str]:
    """Return the transcripts' texts, and the errors' names."""
    return [o.text if isinstance(o, Transcript) else type(o).__name__ for o in outcomes]


# Which calls share a run


def test_alone(colour: str) -> None:
    """A call that finds the engine idle runs at once, alone; the sync one in its own thread."""
    engine = Recorder(0)
    seen: list[int] = []
    original = engine.transcribe

    def transcribe(batch: Sequence[Audio], options: TranscribeOptions) -> list[Transcript]:
        seen.append(threading.get_ident())
        return original(batch, options, check=lambda: None)

    engine.transcribe = transcribe  # type: ignore[method-assign, assignment]  # watched
    if colour == "sync":
        with ASRClient(backend=engine) as asr:
            assert asr.transcribe(noise(160)).text == "160"
        assert seen == [threading.get_ident()]
    else:

        async def main() -> None:
            async with AsyncASRClient(backend=engine) as asr:
                assert (await asr.transcribe(noise(160))).text == "160"

        anyio.run(main, backend=colour)
        assert seen != [threading.get_ident()]
    assert engine.batches == [[160]]


def test_those_who_wait_go_together(colour: str) -> None:
    """What comes while the engine runs goes into the next run, the longest clip first; each gets its own text."""
    engine = Recorder()
    lengths = [100, 300, 500, 200, 400]
    outcomes = Crowd(colour, engine).run([(n, {}) for n in lengths], lambda: engine.release(0))
    assert texts(outcomes) == [str(n) for n in lengths]
    assert engine.batches == [[100], [500, 400, 300, 200]]
    origins = [outcome.provenance for outcome in outcomes if isinstance(outcome, Transcript)]
    assert [len(origin.attempts) for origin in origins if origin is not None] == [1] * 5


def test_only_equal_options_go_together(colour: str) -> None:
    """Options are compared by value; calls that ask for other things wait for a run of theirs, the oldest first."""
    engine = Recorder()
    calls: list[Call] = [
        (100, {}),
        (201, {"language": "de"}),
        (301, {"generation_parameters": {"num_beams": 2}}),
        (202, {"language": "de"}),
        (302, {"generation_parameters": {"num_beams": 2}}),
        (401, {"generation_parameters": {"num_beams": True}}),
        (501, {"language": "de", "deadline": 60}),  # may not download, the others may
        (203, {"language": "de"}),
        (502, {"language": "de", "deadline": 50}),
    ]
    outcomes = Crowd(colour, engine).run(calls, lambda: engine.release(0))
    assert texts(outcomes) == [str(n) for n, _ in calls]
    assert engine.batches == [[100], [203, 202, 201], [302, 301], [401], [502, 501]]
    assert engine.options[2] == {"generation_parameters": {"num_beams": 2}}


def queue(gatherer: Gatherer[int], durations: Sequence[float]) -> list[list[float]]:
    """Let one seat hold the engine while one of each of *durations* (seconds) gets in line; return the runs."""
    runs: list[list[float]] = []
    gate, began = threading.Event(), threading.Event()

    def work(clips: Sequence[Audio], check: Callable[[], None]) -> list[int]:
        if not began.is_set():
            began.set()
            assert gate.wait(20)
        else:
            runs.append([len(clip.waveform) / 10 for clip in clips])
        return [len(clip.waveform) for clip in clips]

    def one(duration: float) -> None:
        seat: Seat[int] = Seat(Audio(np.zeros(round(duration * 10), np.float32), 10), 0, lambda: float("inf"))
        assert gatherer.run(gatherer, seat, work) == round(duration * 10)

    threads = [threading.Thread(target=one, args=(duration,)) for duration in (1.0, *durations)]
    for n, thread in enumerate(threads, 1):
        thread.start()
        wait_for(has_in_line(gatherer, n))
        assert began.wait(20)
    gate.set()
    for thread in threads:
        thread.join(20)
    assert gatherer._lines == {}
    return runs


def test_runs_are_bounded() -> None:
    """A run has so many clips at most, and so much audio once all are as long as the longest."""
    runs = queue(Gatherer(), [2.0] * (MAX_CLIPS + 5))
    assert [len(run) for run in runs] == [MAX_CLIPS, 5]
    runs = queue(Gatherer(), [MAX_AUDIO_S / 4] * 6)
    assert [len(run) for run in runs] == [4, 2]
    runs = queue(Gatherer(), [MAX_AUDIO_S * 2, MAX_AUDIO_S * 2, 1.0])
    assert [len(run) for run in runs] == [1, 1, 1]


def test_clips_of_like_length_go_together() -> None:
    """The oldest is never passed over; with it go those nearest to it in length, so that little is padded."""
    long, short = MAX_AUDIO_S / 3, 1.0
    runs = queue(Gatherer(), [short, long, short, long, short, long, long])
    assert runs == [[short] * 3, [long] * 3, [long]]
    assert queue(Gatherer(), [2.0, *[9.0] * (MAX_CLIPS - 1), 3.0]) == [[*[9.0] * (MAX_CLIPS - 2), 3.0, 2.0], [9.0]]


# Failures


def test_a_bad_clip_costs_the_others_nothing(colour: str) -> None:
    """Where a run fails, each of its clips is run alone: the bad one gets its own typed error, the others their text."""
    engine = Recorder()
    outcomes = Crowd(colour, engine).run([(n, {}) for n in (100, 300, BAD, 200, BAD)], lambda: engine.release(0))
    assert texts(outcomes) == ["100", "300", "BackendError", "200", "BackendError"]
    assert engine.batches == [[100], [BAD, BAD, 300, 200], [300], [BAD], [200], [BAD]]
    first, second = outcomes[2], outcomes[4]
    for error in (first, second):
        assert isinstance(error, BackendError)
        assert "RuntimeError: this clip cannot be" in str(error)
        assert isinstance(error.__cause__, RuntimeError)
        assert len(error.attempts) == 1
    assert first is not second


def test_model_that_cannot_be_loaded_fails_all(colour: str) -> None:
    """Where the model cannot be loaded, each call of the run gets that error, its own, and nothing is run again."""
    engine = Recorder(error=lambda: BackendLoadError("org/x is damaged"))
    outcomes = Crowd(colour, engine).run([(n, {}) for n in (100, 200, 300, 400)], lambda: engine.release(0))
    assert texts(outcomes) == ["BackendLoadError"] * 4
    assert [str(outcome) for outcome in outcomes] == ["org/x is damaged"] * 4
    assert engine.batches == [[100], [400, 300, 200]]
    assert len(set(map(id, outcomes))) == 4
    assert all(isinstance(outcome, BackendLoadError) and len(outcome.attempts) == 1 for outcome in outcomes)


def test_engine_that_takes_one_clip_only(colour: str) -> None:
    """An engine that returns one transcript for any batch still answers every call."""
    engine = Recorder()
    original = engine.transcribe

    def transcribe(
        batch: Sequence[Audio], options: TranscribeOptions, *, check: Callable[[], object]
    ) -> list[Transcript]:
        return original(batch, options, check=check)[:1]

    engine.transcribe = transcribe  # type: ignore[method-assign, assignment]  # broken on purpose
    outcomes = Crowd(colour, engine).run([(n, {}) for n in (100, 200, 300)], lambda: engine.release(0))
    assert texts(outcomes) == ["100", "200", "300"]


# Callers that go


def test_out_of_time_in_line(colour: str) -> None:
    """A call whose time ends in line is told so then, in both colours, and its clip never reaches the engine."""
    engine = Recorder()
    crowd = Crowd(colour, engine)

    def meanwhile() -> None:
        wait_for(lambda: 1 in crowd.outcomes)
        engine.release(0)

    outcomes = crowd.run([(100, {}), (200, {"deadline": 0.4}), (300, {})], meanwhile)
    assert texts(outcomes) == ["100", "DeadlineExceededError", "300"]
    assert "the deadline of 0.4 s passed while recorder was at work" in str(outcomes[1])
    assert engine.batches == [[100], [300]]


class Scopes:
    """Async calls that can be cancelled one by one."""

    def __init__(self, engine: Recorder) -> None:
        self.engine = engine
        self.answers: dict[int, str] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}

    async def one(self, asr: AsyncASRClient, n_samples: int) -> None:
        with anyio.CancelScope() as self.scopes[n_samples]:
            self.answers[n_samples] = (await asr.transcribe(noise(n_samples))).text

    def run(self, backend: str, lengths: Sequence[int], meanwhile: Callable[[AsyncASRClient], Any]) -> None:
        async def main() -> None:
            async with AsyncASRClient(backend=self.engine) as asr, anyio.create_task_group() as tasks:
                for n, n_samples in enumerate(lengths, 1):
                    tasks.start_soon(self.one, asr, n_samples)
                    await until(has_in_line(asr, n))
                await meanwhile(asr)
            await until(lambda: n_in_line(asr) == 0)

        anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in the meantime"])
def test_cancelled_in_line(backend: str, at_once: bool) -> None:
    """A call that is cancelled in line takes no part in the next run, however soon that begins."""
    engine = Recorder()
    calls = Scopes(engine)

    async def meanwhile(asr: AsyncASRClient) -> None:
        calls.scopes[200].cancel()
        calls.scopes[300].cancel()
        await anyio.lowlevel.checkpoint()
        if not at_once:
            await until(has_in_line(asr, 2))  # their threads end without the engine's doing
        engine.release(0)

    calls.run(backend, [100, 200, 300, 400], meanwhile)
    assert calls.answers == {100: "100", 400: "400"}
    assert engine.batches == [[100], [400]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("gone", [[200], [300], [200, 300]], ids=["leader", "follower", "both"])
def test_cancelled_in_a_run(backend: str, gone: list[int]) -> None:
    """A run goes on for whoever still waits, also where the call that leads it is cancelled."""
    engine = Recorder(2)
    calls = Scopes(engine)

    async def meanwhile(asr: AsyncASRClient) -> None:
        engine.release(0)
        await until(lambda: len(engine.batches) == 2)
        for n_samples in gone:
            calls.scopes[n_samples].cancel()
        await anyio.sleep(0.05)
        engine.release(1)

    calls.run(backend, [100, 200, 300, 400], meanwhile)
    assert engine.batches == [[100], [400, 300, 200]]
    assert engine.n_checked_out == 0
    assert calls.answers == {n: str(n) for n in (100, 200, 300, 400) if n not in gone}


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_that_nobody_waits_for(backend: str) -> None:
    """Once all calls of a run are gone its check raises, and who came later is served."""
    engine = Recorder(2)
    calls = Scopes(engine)

    async def meanwhile(asr: AsyncASRClient) -> None:
        engine.release(0)
        await until(lambda: len(engine.batches) == 2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.one, asr, 400)
            await until(lambda: n_in_line(asr) == 3)
            calls.scopes[200].cancel()
            calls.scopes[300].cancel()
            await anyio.sleep(0.05)
            engine.release(1)

    calls.run(backend, [100, 200, 300], meanwhile)
    assert engine.batches == [[100], [300, 200], [400]]
    assert engine.n_checked_out == 1
    assert calls.answers == {100: "100", 400: "400"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_failed_run_of_a_leader_that_is_gone(backend: str) -> None:
    """Where the run of a cancelled leader fails, the others are run alone, and its own clip is not."""
    engine = Recorder(2)
    calls = Scopes(engine)
    failed: list[BaseException] = []
    original = calls.one

    async def one(asr: AsyncASRClient, n_samples: int) -> None:
        try:
            await original(asr, n_samples)
        except BackendError as error:
            failed.append(error)

    calls.one = one  # type: ignore[method-assign]  # an error is part of the test

    async def meanwhile(asr: AsyncASRClient) -> None:
        engine.release(0)
        await until(lambda: len(engine.batches) == 2)
        calls.scopes[200].cancel()
        await anyio.sleep(0.05)
        engine.release(1)

    calls.run(backend, [100, 200, BAD, 300], meanwhile)
    assert engine.batches == [[100], [BAD, 300, 200], [BAD], [300]]
    assert calls.answers == {100: "100", 300: "300"}
    assert len(failed) == 1


@pytest.mark.parametrize("leads", [True, False], ids=["leading", "in line"])
def test_keyboard_interrupt(leads: bool) -> None:
    """Ctrl-C ends the call that it hits; others of the same run get their text, and the client still works."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot send Ctrl-C to a thread")
    engine = Recorder(2 if leads else 1)
    main, answers = threading.get_ident(), {}

    with ASRClient(backend=engine) as asr:

        def one(n_samples: int) -> None:
            answers[n_samples] = asr.transcribe(noise(n_samples)).text

        first = threading.Thread(target=one, args=(100,))
        first.start()
        wait_for(lambda: engine.batches == [[100]])

        def others() -> None:
            wait_for(lambda: n_in_line(asr) == 2)  # the main thread is behind the first
            last = threading.Thread(target=one, args=(300,))
            last.start()
            wait_for(lambda: n_in_line(asr) == 3)
            if leads:
                engine.release(0)
                wait_for(lambda: engine.batches == [[100], [300, 200]])
            signal.pthread_kill(main, signal.SIGINT)
            wait_for(interrupted.is_set)
            engine.release(0)
            last.join(20)

        interrupted = threading.Event()
        helper = threading.Thread(target=others)
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            asr.transcribe(noise(200))
        interrupted.set()
        helper.join(20)
        first.join(20)
        assert answers == {100: "100", 300: "300"}
        assert engine.batches == [[100], *([[300, 200]] if leads else []), [300]]
        assert asr.transcribe(noise(400)).text == "400"
        assert n_in_line(asr) == 0


def test_stopped_in_line() -> None:
    """What a seat's own check raises while it waits ends its wait, and nobody else's."""
    gatherer: Gatherer[str] = Gatherer()
    gate, stop = threading.Event(), threading.Event()
    outcomes: dict[str, object] = {}

    class StopError(BaseException):
        pass

    def check() -> None:
        if stop.is_set():
            raise StopError

    def work(clips: Sequence[Audio], check: Callable[[], None]) -> list[str]:
        assert gate.wait(20)
        return [f"{len(clips)}"] * len(clips)

    def one(name: str) -> None:
        seat: Seat[str] = Seat(noise(1), name, lambda: float("inf"), check if name == "b" else lambda: None)
        try:
            outcomes[name] = gatherer.run(gatherer, seat, work)
        except StopError as error:
            outcomes[name] = error

    threads = [threading.Thread(target=one, args=(name,)) for name in "abc"]
    for n, thread in enumerate(threads, 1):
        thread.start()
        wait_for(has_in_line(gatherer, n))
    stop.set()
    wait_for(lambda: "b" in outcomes)
    gate.set()
    for thread in threads:
        thread.join(20)
    assert isinstance(outcomes["b"], StopError)
    assert (outcomes["a"], outcomes["c"]) == ("1", "1")
    assert gatherer._lines == {}


def test_no_time_left() -> None:
    """A seat whose time is up before its turn is not run, even where the engine is idle."""
    gatherer: Gatherer[str] = Gatherer()
    with pytest.raises(NobodyWaits):
        gatherer.run(gatherer, Seat(noise(1), 0, lambda: 0.0), lambda clips, check: pytest.fail("was run"))
    assert gatherer._lines == {}


# Many


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_takes_no_threads_of_others(backend: str) -> None:
    """However many calls wait for an engine, other work finds a thread, and all are answered in the end."""
    engine = Recorder()
    answers: list[str] = []

    async def one(asr: AsyncASRClient, n_samples: int) -> None:
        answers.append((await asr.transcribe(noise(n_samples))).text)

    async def main() -> None:
        async with AsyncASRClient(backend=engine) as asr, anyio.create_task_group() as tasks:
            for n_samples in range(1000, 1150):
                tasks.start_soon(one, asr, n_samples)
            await until(lambda: n_in_line(asr) > 100)
            with anyio.fail_after(10):
                assert await anyio.to_thread.run_sync(lambda: "free") == "free"
            engine.release(0)

    anyio.run(main, backend=backend)
    assert sorted(answers) == [str(n) for n in range(1000, 1150)]
    assert sorted(n for batch in engine.batches for n in batch) == list(range(1000, 1150))
    assert max(map(len, engine.batches)) == MAX_CLIPS


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_that_come_and_go(backend: str) -> None:
    """Of many calls with bad clips, deadlines and cancellations among them, each ends as it must, and the line is empty."""
    engine = Recorder(0)
    chance = random.Random(0)
    wrong: list[object] = []
    n_done = 0

    async def one(asr: AsyncASRClient, n_samples: int, language: str, patience: float) -> None:
        nonlocal n_done
        await anyio.sleep(chance.random() * 0.5)
        with anyio.move_on_after(patience):
            try:
                text = (await asr.transcribe(noise(n_samples), language=language)).text
            except BackendError as error:
                text = "666" if "cannot be" in str(error) else str(error)
            if text != str(n_samples):
                wrong.append((n_samples, text))
        n_done += 1

    async def main() -> None:
        async with AsyncASRClient(backend=engine) as asr:
            async with anyio.create_task_group() as tasks:
                for _ in range(200):
                    n_samples = BAD if chance.random() < 0.1 else chance.randrange(700, 5000)
                    patience = chance.random() * 0.2 if chance.random() < 0.2 else 60
                    tasks.start_soon(one, asr, n_samples, chance.choice(["de", "en"]), patience)
            await until(lambda: n_in_line(asr) == 0)

    anyio.run(main, backend=backend)
    assert wrong == []
    assert n_done == 200


def test_a_real_engine(colour: str, tone_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of different lengths that go through a real model together come out as what was said in each."""
    gate, sizes = threading.Event(), []
    original = Transformers.transcribe

    @functools.wraps(original)
    def transcribe(
        self: Transformers, batch: Sequence[Audio], options: TranscribeOptions, **how: Any
    ) -> list[Transcript]:
        sizes.append(len(batch))
        assert gate.wait(20)
        return original(self, batch, options, **how)

    monkeypatch.setattr(Transformers, "transcribe", transcribe)
    said = ["bad", "a cab", "fed", "bad cab fed", "face", "dad had a bag"]
    engine = Transformers(str(tone_model), device="cpu", batch_size=4)
    calls: list[Call] = [(tone_audio(text, seed=i), {}) for i, text in enumerate(said)]
    assert texts(Crowd(colour, engine).run(calls, gate.set)) == said
    assert sizes == [1, 5]


def test_two_engines_do_not_wait_for_each_other() -> None:
    """Each engine has a line of its own, also where one client has both."""
    slow, quick = Recorder(), FakeBackend("quick")
    with ASRClient(backend=slow) as asr:
        other = asr.with_options(backend=quick)
        held = threading.Thread(target=asr.transcribe, args=(noise(100),))
        held.start()
        wait_for(lambda: slow.batches == [[100]])
        assert other.transcribe(noise(100)).text == "quick"
        slow.release(0)
        held.join(20)


def test_engines_are_not_kept_alive() -> None:
    """An engine that no call uses is not held by the line that it had."""
    with ASRClient(backend=FakeBackend("x")) as asr:
        engine = FakeBackend("y")
        asr.with_options(backend=engine).transcribe(noise(100))
        alive = weakref.ref(engine)
        del engine
        gc.collect()
        assert alive() is None
