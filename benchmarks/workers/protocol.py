"""Messages between workers and vs_timm.py or dense_speed.py, by standard streams."""

import json
import os
import resource
import sys
import time

import numpy as np

# Only for messages; other output goes to stderr.
CHANNEL = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def images(batch, size):
    """Return the same images in every process, -1 to 1, `(batch, 3, size, size)`."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (batch, 3, size, size)).astype("float32")


def say(**facts):
    """Send a message to the script that started this worker."""
    print(json.dumps(facts), file=CHANNEL, flush=True)


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def peak_mib():
    """Return the peak of this process's memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def page_faults():
    """Return the page faults of this process so far, without reads from the disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def serve(run, batches=1):
    """Warm up, then time the number of calls in each line of the input.

    The seconds are per batch; a call runs `batches` batches. Page faults are per call.
    """
    for _ in range(2):
        answer = run()
    sample = np.ravel(answer)[:1000].astype(float).tolist()
    say(ready=True, sample=sample)
    for line in sys.stdin:
        calls, faults = int(line), page_faults()
        started = time.perf_counter()
        for _ in range(calls):
            run()
        seconds = (time.perf_counter() - started) / calls / batches
        faults = (page_faults() - faults) / calls
        say(seconds=seconds, peak_mib=peak_mib(), page_faults=faults)
