"""Processes that compile programs in parallel and time them one by one."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SCRIPT = Path(__file__).parent / "workers" / "gpu_worker.py"


class WorkerError(Exception):
    """A worker that failed or did not answer."""


class Worker:
    """A process that says JSON objects, line by line.

    Args:
        spec: what it is asked to do, the argument of gpu_worker.py.
        environment: environment variables.
        command: the command, before the specification.
    """

    def __init__(self, spec, environment, command=(sys.executable, str(SCRIPT))):
        self.spec, self.facts, self.error = spec, {}, None
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the worker)
        self.process = subprocess.Popen(
            [*command, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
            start_new_session=True,  # compilers are processes of their own
        )
        self.answers = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with self.process.stdout, self.log:
            for line in self.process.stdout:
                self.answers.put(json.loads(line))
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or ["no message"]
        self.answers.put({"error": f"the process ended: {lines[-1].strip()[:300]}"})

    def answer(self, seconds):
        """Return the next answer.

        Raises:
            WorkerError: if there is none in time, or it is an error. The process is
                then at its end.
        """
        try:
            found = self.answers.get(timeout=max(0, seconds))
        except queue.Empty:
            found = {"error": f"no answer in {seconds:.0f} s"}
        if "error" in found:
            self.end()
            self.error = found["error"]
            raise WorkerError(self.error)
        self.facts |= found
        return found

    def time(self, calls, seconds):
        """Return the seconds of one call, averaged; wait for them this long at most."""
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            print(calls, file=self.process.stdin, flush=True)
        return self.answer(seconds)["seconds"]

    def end(self):
        """Stop the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(5)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


def prepare(makers, jobs, until):
    """Start workers and wait until each is ready or has failed.

    Args:
        makers: functions that start a worker, in order.
        jobs: number of workers that prepare at the same time.
        until: time, by `time.monotonic`, at which workers that are not ready are
            stopped.

    Returns:
        The workers in the order of their makers; `error` says why one failed. The list
        is shorter if there was no time to start all of them.
    """
    started, busy = [], []
    while time.monotonic() < until and (busy or len(started) < len(makers)):
        while len(started) < len(makers) and len(busy) < jobs:
            started.append(makers[len(started)]())
            busy.append(started[-1])
        time.sleep(0.02)
        for worker in list(busy):
            if not worker.answers.empty():
                busy.remove(worker)
                _take(worker, 0)
    for worker in busy:
        _take(worker, until - time.monotonic())
        if worker.error and worker.error.startswith("no answer"):
            worker.error = "not compiled in time"
    return started


def _take(worker, seconds):
    with contextlib.suppress(WorkerError):  # `worker.error` has it
        worker.answer(seconds)
