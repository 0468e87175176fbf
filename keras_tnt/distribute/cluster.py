"""The workers of a training on several machines, as the surroundings name them."""

import json
import os
import re
from typing import NamedTuple

import tensorflow as tf

EXAMPLE = (
    '{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


class Cluster(NamedTuple):
    """Who trains together.

    Attributes:
        jobs: addresses ``host:port`` by job, ``"worker"`` and perhaps ``"chief"``.
        job: the job of this process.
        index: its place in that job.
    """

    jobs: dict
    job: str
    index: int  # type: ignore[assignment]

    @property
    def addresses(self) -> list[str]:
        """All workers, the chief first."""
        return [*self.jobs.get("chief", ()), *self.jobs.get("worker", ())]

    @property
    def address(self) -> str:
        """This worker."""
        return self.jobs[self.job][self.index]

    def resolver(self) -> tf.distribute.cluster_resolver.ClusterResolver:
        """Returns a `tf.distribute.cluster_resolver.ClusterResolver`.

        A worker trains on all GPUs that it sees, or else on its CPU.
        """
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(self.jobs),
            task_type=self.job,
            task_id=self.index,
            num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
            rpc_layer="grpc",
        )


def find_cluster() -> Cluster | None:
    """Returns the cluster of ``TF_CONFIG`` or of Slurm; ``None`` if there is none.

    Raises:
        ValueError: if the variables do not say who takes part, or who this process is.
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
            f"TF_CONFIG is no JSON ({error}). It must look like {EXAMPLE}."
        ) from error
    if not isinstance(config, dict) or not config.get("cluster"):
        return None  # some platforms set it to {} where there is one machine
    jobs, task = config["cluster"], config.get("task") or {}
    if set(jobs) - {"chief", "worker"} or not all(
        isinstance(addresses, list) for addresses in jobs.values()
    ):
        raise ValueError(
            "The cluster of TF_CONFIG must have lists of addresses for the jobs "
            f"'worker' and, if you like, 'chief'; got {jobs}. Evaluation and variables "
            "have no machines of their own here."
        )
    job, index = task.get("type"), task.get("index")
    if job not in jobs or str(index) not in map(str, range(len(jobs[job]))):
        raise ValueError(
            f"TF_CONFIG does not say which worker this is: its task is {task}, and the "
            f"cluster is {jobs}. It must look like {EXAMPLE}, with another index for "
            "each process."
        )
    return Cluster(jobs, job, int(index))


def _from_slurm(environ):
    """The tasks of a Slurm step, in the order of its nodes.

    TensorFlow's own resolver sorts the nodes as text (node10 before node2), unlike
    Slurm, and cannot do without GPUs.
    """
    try:
        hosts = _expand_hosts(environ["SLURM_STEP_NODELIST"])
        tasks = _expand_tasks(environ["SLURM_STEP_TASKS_PER_NODE"])
        rank = int(environ["SLURM_PROCID"])
        # Another port for another job on the same node, below those the system gives.
        port = 20_000 + int(environ["SLURM_JOB_ID"]) % 10_000
        places = [
            (host, place)
            for host, count in zip(hosts, tasks, strict=True)
            for place in range(count)
        ]
        expected = places[rank][0]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"This looks like a Slurm step, but its variables are not ({error!r}). "
            "Start the workers with srun, or set TF_CONFIG."
        ) from error
    host = environ.get("SLURMD_NODENAME", expected)
    if host != expected:
        raise ValueError(
            f"Slurm's task {rank} runs on {host} and not on {expected}. Start the "
            "workers with srun --distribution=block."
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
