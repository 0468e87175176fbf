"""What the workers and vs_timm.py tell each other, on standard input and output."""

import json
import os
import resource
import sys
import time

import numpy as np

# What a worker prints goes to its log; this is for vs_timm.py alone.
CHANNEL = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def images(batch, size):
    """The same images everywhere, scaled to ±1, ``(batch, 3, size, size)``."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (batch, 3, size, size)).astype("float32")


def say(**facts):
    """Tells vs_timm.py something."""
    print(json.dumps(facts), file=CHANNEL, flush=True)


def serve(run, batches=1):
    """Warms up, then times as many calls as each line asks for.

    The seconds that it tells are a batch's; a call is of one batch or some.
    """
    for _ in range(2):
        answer = run()
    sample = np.ravel(answer)[:1000].astype(float).tolist()
    say(ready=True, sample=sample)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            run()
        seconds = (time.perf_counter() - started) / int(line) / batches
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(seconds=seconds, peak_mib=peak)
