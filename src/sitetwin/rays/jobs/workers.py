"""Distribute work over processes with Dask: a cluster on this machine, or the workers of a scheduler elsewhere.

Worker processes are spawned, never forked, so that no state of the ray caster is inherited. Work is handed out in a
window that is a little wider than the pool, so that neither memory here nor the scheduler's grows with the number of
pieces. Dask sends Python objects by pickle: whoever speaks to a scheduler can run code. A cluster on this machine
therefore takes only connections with a certificate that is made for it and never leaves the memory of its processes,
and of schedulers elsewhere only those should be used that one trusts.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from sitetwin.errors import SiteTwinError

Name = TypeVar("Name")

CONNECT_SECONDS = 10.0
"""How long a scheduler has to answer."""

PATIENCE_SECONDS = 60.0
"""How long a run waits for a first worker, or for one to come back when all are gone."""

_CLOSE_SECONDS = 20.0  # for workers to end when asked; then they are killed
_STARTS = 5  # attempts to start, and to reach every worker, while some die
_DEATHS = 3  # a piece of work whose worker died more often is given up
_POLL_SECONDS = 5.0
_WINDOW = 2  # pieces under way for each worker: one at work, one at hand
_ARGUMENT_BYTES = "1 GiB"  # a tile of users is no large graph; Dask's own threshold would warn

_ADDRESS = re.compile(r"\w+://\S*|[^\s/]+:\d+")
_states: dict[str, Any] = {}  # in a worker: what its pools work with, by the pools' names
_one_at_a_time = threading.Lock()  # workers may have several threads; the ray caster uses all cores itself
_numbers = itertools.count()


def check_workers(workers: int) -> None:
    """Check that a number of workers is possible.

    Raises:
        SiteTwinError: The number is not positive.
    """
    if workers < 1:
        raise SiteTwinError(f"{workers} workers cannot work; ask for 1 (this process) or more")


class WorkerPool:
    """Processes that share an object and apply functions to it; a context manager.

    Args:
        state: Any object that can be pickled; each worker makes its own copy, once.
        workers: Number of processes of a cluster on this machine.
        scheduler: Address of a scheduler whose workers are used instead.

    Raises:
        SiteTwinError: On entering: the scheduler does not answer, or its workers cannot load this package.
    """

    def __init__(self, state: object, workers: int, scheduler: str | None = None) -> None:
        self._state, self._workers, self._scheduler = state, workers, scheduler
        self._name = f"sitetwin-{os.getpid()}-{next(_numbers)}"
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> WorkerPool:
        import dask
        import distributed  # noqa: F401 - its defaults must stand before ours, or they would go when ours do

        settings = {
            "distributed.worker.multiprocessing-method": "spawn",
            "distributed.scheduler.allowed-failures": _DEATHS,
            "distributed.admin.large-graph-warning-threshold": _ARGUMENT_BYTES,
        }
        if self._scheduler is None:  # the servers of Dask's web pages cannot be left out, but what they serve can
            settings |= {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
        with self._stack:
            self._stack.enter_context(dask.config.set(settings))
            self._stack.enter_context(_quiet())
            with _interrupts_held():
                self._client = self._connect()
            self._hand_over()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with _interrupts_held():  # a second Ctrl-C must not leave processes behind
            self._stack.close()

    def _connect(self) -> Any:
        if self._scheduler is None:
            cluster = self._start_cluster()
            self._stack.callback(_close, cluster)
            return self._stack.enter_context(_client(cluster))
        if not _ADDRESS.fullmatch(self._scheduler):  # Dask would complain of its own when it goes
            raise SiteTwinError(
                f"no Dask scheduler answers at {self._scheduler!r}, which is no address; write it as tcp://host:port"
            )
        try:
            return self._stack.enter_context(_client(self._scheduler, timeout=CONNECT_SECONDS))
        except (OSError, ValueError, TypeError) as error:
            raise SiteTwinError(
                f"no Dask scheduler answers at {self._scheduler!r} within {CONNECT_SECONDS:g} s; check the address "
                "(tcp://host:port, as `dask scheduler` prints it), or leave it out to work on this machine"
            ) from error

    def _start_cluster(self) -> Any:
        from distributed import LocalCluster
        from distributed.security import Security

        for left in reversed(range(_STARTS)):
            try:
                return LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    protocol="tls://",
                    security=Security.temporary(),
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            except (RuntimeError, OSError, AssertionError) as error:  # a worker died, or no event loop came up in time
                if not left:
                    raise SiteTwinError(
                        f"{self._workers} workers cannot be started ({error}); ask for fewer, or see whether memory "
                        "or processes are limited"
                    ) from error
        raise AssertionError  # the last attempt returns or raises

    def _hand_over(self) -> None:
        """Give every worker, also those that come later in the place of dead ones, the state."""
        from distributed import WorkerPlugin

        threads = max(1, (os.cpu_count() or 1) // self._workers) if self._scheduler is None else None

        class HandOver(WorkerPlugin):  # type: ignore[misc]
            """Travels by value: the scheduler's own process need not have this package."""

            def __init__(self, name: str, state: object, threads: int | None) -> None:
                self.name, self.state, self.threads = name, state, threads

            def setup(self, worker: Any) -> None:
                from sitetwin.rays.jobs.workers import begin

                begin(self.name, self.state, self.threads)

            def teardown(self, worker: Any) -> None:
                from sitetwin.rays.jobs.workers import end

                end(self.name)

        plugin = HandOver(self._name, self._state, threads)
        for left in reversed(range(_STARTS)):
            try:
                self._client.register_plugin(plugin, name=self._name)
                break
            except ImportError as error:
                raise SiteTwinError(
                    f"the workers of {self._scheduler} cannot load sitetwin ({error}); install it there too"
                ) from error
            except OSError as error:  # a worker died while it was told
                if not left:
                    raise SiteTwinError(f"workers die as soon as they are spoken to ({error})") from error
        self._stack.callback(self._take_back)

    def _take_back(self) -> None:
        if self._scheduler is not None:  # a cluster of our own ends with us
            try:
                self._client.unregister_worker_plugin(self._name)
            except OSError:
                return  # the scheduler is gone, and with it what it held

    def run(
        self, function: Callable[..., Any], pieces: Iterator[tuple[Name, tuple[Any, ...]]]
    ) -> Iterator[tuple[Name, Any]]:
        """Yield the results of ``function(state, *arguments)`` as they are ready, in any order.

        Args:
            function: A function that can be imported by its name.
            pieces: Name and arguments of each piece of work; they are drawn when a worker is about to be free.

        Raises:
            SiteTwinError: The function raised it, a piece lost its worker repeatedly, or there are no workers.
        """
        from distributed import KilledWorker, wait
        from distributed.comm import CommClosedError

        waiting: dict[Any, Name] = {}
        lonely = 0.0
        try:
            while True:
                count = len(self._client.nthreads())
                for name, arguments in itertools.islice(pieces, max(0, _WINDOW * max(count, 1) - len(waiting))):
                    future = self._client.submit(apply, self._name, function, *arguments, pure=False)
                    waiting[future] = name
                if not waiting:
                    return
                try:
                    with self._client.as_current():
                        done = wait(list(waiting), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    lonely = 0.0 if count else lonely + _POLL_SECONDS
                    if lonely >= PATIENCE_SECONDS:
                        raise SiteTwinError(
                            f"there has been no worker for {PATIENCE_SECONDS:g} s; start workers "
                            f"(`dask worker {self._scheduler}`) and resume"
                        ) from None
                    continue
                for future in done:
                    yield waiting.pop(future), future.result()
        except KilledWorker as error:
            raise SiteTwinError(
                f"a tile was given up: {_DEATHS + 1} workers died over it, often for want of memory; "
                "resume with fewer workers, or begin anew with fewer users in a tile"
            ) from error
        except (CommClosedError, OSError) as error:
            raise SiteTwinError(f"the Dask scheduler is gone ({error}); start one and resume") from error
        finally:
            for future in waiting:
                future.cancel()


def begin(name: str, state: object, threads: int | None) -> None:
    """Keep a pool's state in a worker; on this machine, share the cores between the workers."""
    from sitetwin.backend import mitsuba

    mitsuba()
    if threads is not None:
        import drjit as dr

        dr.set_thread_count(threads)
    _states[name] = state


def end(name: str) -> None:
    """Delete a pool's state in a worker."""
    _states.pop(name, None)


def apply(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Do one piece of work in a worker."""
    with _one_at_a_time:
        return function(_states[name], *arguments)


def _client(address: Any, **options: Any) -> Any:
    """A Dask client; tried again where its event loop does not come up in Dask's ten seconds (an assertion of its)."""
    from distributed import Client

    for left in reversed(range(_STARTS)):
        try:
            return Client(address, set_as_default=False, **options)
        except AssertionError as error:
            if not left:
                raise SiteTwinError(
                    "Dask's event loop does not start; the machine is overloaded, try again when it is not"
                ) from error
    raise AssertionError  # the last attempt returns or raises


def _close(cluster: Any) -> None:
    """End a cluster of our own and its processes."""
    nannies = list(cluster.workers.values())
    try:
        cluster.close(timeout=_CLOSE_SECONDS)
    except (OSError, TimeoutError, AssertionError):  # Dask asserts that no worker is still starting
        cluster.shutdown_on_close = False  # or Dask would try again when Python ends, and complain
        for nanny in nannies:
            nanny.auto_restart = False
            process = nanny.process and nanny.process.pid
            if process:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back; threads and processes made meanwhile never see it: ending them is their maker's business."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started now: whichever thread starts it lets Ctrl-C through again afterwards.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask logs of workers that come and go is no news: deaths that matter are raised as errors."""
    names = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
