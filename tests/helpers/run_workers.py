"""Starts the workers of a training as processes of this machine, over real gRPC."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT

# A test that hangs is stopped; nothing that passes comes near it.
TIMEOUT = 300


@contextlib.contextmanager
def workers(module, *arguments, directory, count=2, cluster=None, environ=()):
    """Runs ``python -m module arguments`` on each of a number of workers.

    Args:
        module: name of the module.
        arguments: its arguments.
        directory: gets each worker's output.
        count: number of workers.
        cluster: addresses by job; free ports of this machine by default.
        environ: more environment variables.

    Yields:
        The processes, in order, each with `output()`. Those left are killed at the end.
    """
    cluster = cluster or {"worker": [f"localhost:{port}" for port in free_ports(count)]}
    tasks = [
        {"type": job, "index": i} for job in cluster for i in range(len(cluster[job]))
    ]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                Worker(
                    [sys.executable, "-m", module, *map(str, arguments)],
                    dict(
                        environ,
                        TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
                    ),
                    directory / f"{task['type']}_{task['index']}.log",
                )
            )
            for task in tasks
        ]


class Worker(subprocess.Popen):
    """A process that writes to a file and does not outlive its context."""

    def __init__(self, command, environ, log):
        self.log = log
        with log.open("w") as file:
            super().__init__(
                command,
                cwd=ROOT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def output(self):
        """What it has written so far."""
        return self.log.read_text()

    def end(self):
        """Waits for its end, within bounds; its exit code."""
        try:
            return self.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.log.stem} does not end:\n{self.output()}")

    def wait_for(self, text):
        """Waits until it has written a text."""
        end = time.monotonic() + TIMEOUT
        while text not in self.output():
            if self.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{self.log.stem} does not write {text!r}: {self.output()}")
            time.sleep(0.1)

    def __exit__(self, *error):
        self.kill()
        super().__exit__(*error)


def run(*arguments, **options):
    """Runs workers to their good end."""
    with workers(*arguments, **options) as processes:
        for process in processes:
            assert process.end() == 0, process.output()
        return [process.output() for process in processes]


def free_ports(count):
    """Ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
