"""The workers of a training on several machines, from TF_CONFIG or Slurm."""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

from keras_tnt.utils.lazy import tensorflow as tf

EXAMPLE = (
    '{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


class Cluster(NamedTuple):
    """The workers that train together, and the role of this process.

    Attributes:
        jobs: addresses ``host:port`` by job, ``"worker"`` and perhaps ``"chief"``.
        job: the job of this process.
        index: index of this process in that job.
    """

    jobs: dict
    job: str
    index: int  # type: ignore[assignment]

    @property
    def addresses(self) -> list[str]:
        """The addresses of all workers, the chief first."""
        return [*self.jobs.get("chief", ()), *self.jobs.get("worker", ())]

    @property
    def address(self) -> str:
        """The address of this worker."""
        return self.jobs[self.job][self.index]

    def resolver(self) -> tf.distribute.cluster_resolver.ClusterResolver:
        """Return a `tf.distribute.cluster_resolver.ClusterResolver`.

        A worker trains on all GPUs that it sees, or on its CPU.
        """
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(self.jobs),
            task_type=self.job,
            task_id=self.index,
            num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
            rpc_layer="grpc",
        )


def find_cluster() -> Cluster | None:
    """Return the cluster of ``TF_CONFIG`` or of Slurm; ``None`` if there is none.

    Raises:
        ValueError: if the variables do not define the workers or this process's role.
    """
    if os.environ.get("TF_CONFIG"):
        return _from_tf_config(os.environ["TF_CONFIG"])
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _from_slurm(os.environ)
    return None


def _from_tf_config(text):
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"TF_CONFIG is not valid JSON ({error}). Expected, for example, {EXAMPLE}."
        ) from error
    if not isinstance(config, dict) or not config.get("cluster"):
        return None  # some platforms set it to {} on a single machine
    jobs, task = config["cluster"], config.get("task") or {}
    if set(jobs) - {"chief", "worker"} or not all(
        isinstance(addresses, list) for addresses in jobs.values()
    ):
        raise ValueError(
            "The cluster of TF_CONFIG must have lists of addresses for the job "
            f"'worker' and optionally 'chief', got {jobs}. Other jobs (evaluator, ps) "
            "are not supported."
        )
    job, index = task.get("type"), task.get("index")
    if job not in jobs or str(index) not in map(str, range(len(jobs[job]))):
        raise ValueError(
            f"The task of TF_CONFIG, {task}, is not in its cluster {jobs}. Expected "
            f"something like {EXAMPLE}, with another index for each process."
        )
    return Cluster(jobs, job, int(index))


def _from_slurm(environ):
    """The tasks of a Slurm step, in the order of its nodes.

    TensorFlow's own resolver sorts the nodes as text (node10 before node2), unlike
    Slurm, and needs GPUs.
    """
    try:
        hosts = _expand_hosts(environ["SLURM_STEP_NODELIST"])
        tasks = _expand_tasks(environ["SLURM_STEP_TASKS_PER_NODE"])
        rank = int(environ["SLURM_PROCID"])
        # Jobs on the same node get different ports, below the ephemeral ones.
        port = 20_000 + int(environ["SLURM_JOB_ID"]) % 10_000
        places = [
            (host, place)
            for host, count in zip(hosts, tasks, strict=True)
            for place in range(count)
        ]
        expected = places[rank][0]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"The variables of this Slurm step are incomplete or invalid ({error!r}). "
            "Start the workers with srun, or set TF_CONFIG."
        ) from error
    host = environ.get("SLURMD_NODENAME", expected)
    if host != expected:
        raise ValueError(
            f"Slurm runs task {rank} on {host}, expected {expected}. Start the workers "
            "with srun --distribution=block."
        )
    addresses = [f"{host}:{port + place}" for host, place in places]
    return Cluster({"worker": addresses}, "worker", rank)


def _expand_hosts(text):
    """``"gpu[08-10,12],login"`` as a list of names."""
    hosts = []
    for prefix, numbers, suffix in re.findall(
        r"([^,\[]+)(?:\[([^]]+)\]([^,]*))?", text
    ):
        if not numbers:
            hosts.append(prefix)
        for number in filter(None, numbers.split(",")):
            first, _, last = number.partition("-")
            hosts += [
                f"{prefix}{i:0{len(first)}}{suffix}"
                for i in range(int(first), int(last or first) + 1)
            ]
    return hosts


def _expand_tasks(text):
    """``"2(x3),1"`` as ``[2, 2, 2, 1]``."""
    counts = []
    for part in text.split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts
