"""The page's server as a process of its own, watched."""

import contextlib
import re
import signal
import subprocess
import sys
import time

from tests.helpers.run_workers import free_ports

# Says on stdout when the model runs, and what the process connects to or looks up.
SCRIPT = """
import sys
from keras_tnt.app import page
from keras_tnt.cli import main

def watch(event, arguments):
    if event == "socket.connect":
        print("reaches", *arguments[1][:1], flush=True)
    elif event == "socket.getaddrinfo":
        print("reaches", arguments[0], flush=True)

def counted(*arguments, explain_prediction=page.explain_prediction):
    print("model runs", flush=True)
    return explain_prediction(*arguments)

page.explain_prediction = counted
sys.addaudithook(watch)
sys.exit(main(sys.argv[1:]))
"""


class Server:
    """A server that runs, and what it has printed so far."""

    def __init__(self, process, log):
        self.process, self.log = process, log

    @property
    def url(self):
        (found,) = re.findall(r"Open (\S+) in a browser", self.log.read_text())
        return found

    def images(self):
        """How many images the model was run on."""
        return self.log.read_text().count("model runs")

    def reached(self):
        """The hosts that the process connected to or looked up."""
        return set(re.findall("reaches (.*)", self.log.read_text()))


@contextlib.contextmanager
def serving(directory, *arguments):
    """Runs ``keras-tnt app`` on a free port until the block ends."""
    log = directory / "log.txt"
    (port,) = free_ports(1)
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SCRIPT,
                "app",
                "--port",
                str(port),
                *map(str, arguments),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while "Open" not in log.read_text():
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
        yield Server(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
