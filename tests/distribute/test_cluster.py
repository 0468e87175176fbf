"""Who trains together, from TF_CONFIG and from Slurm."""

import json

import pytest

from keras_tnt.distribute.cluster import Cluster, find_cluster

WORKERS = {"worker": ["a:1", "b:2"]}


@pytest.fixture
def surroundings(monkeypatch):
    """Sets the environment variables of a cluster, and no others of the kind."""

    def set_all(**variables):
        for name in (
            "TF_CONFIG",
            "TPU_NAME",
            "SLURM_STEP_NUM_TASKS",
            "SLURMD_NODENAME",
        ):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_all()
    return set_all


def tf_config(jobs, **task):
    return json.dumps({"cluster": jobs, "task": task})


def slurm(**changes):
    return {
        "SLURM_JOB_ID": "1000345",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "gpu[2,10-11]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)",
        "SLURM_PROCID": "2",
        "SLURMD_NODENAME": "gpu10",
    } | changes


def test_find_cluster__none(surroundings):
    assert find_cluster() is None
    surroundings(TF_CONFIG="{}")  # as some platforms have it for one machine
    assert find_cluster() is None
    surroundings(**slurm(SLURM_STEP_NUM_TASKS="1"))
    assert find_cluster() is None


def test_find_cluster__tf_config(surroundings):
    surroundings(TF_CONFIG=tf_config(WORKERS, type="worker", index=1))
    cluster = find_cluster()
    assert cluster == Cluster(WORKERS, "worker", 1)
    assert cluster.address == "b:2"
    surroundings(
        TF_CONFIG=tf_config({"chief": ["c:3"], **WORKERS}, type="worker", index="0")
    )
    cluster = find_cluster()
    assert cluster.index == 0
    assert cluster.addresses == ["c:3", "a:1", "b:2"]
    resolver = cluster.resolver()
    assert resolver.cluster_spec().as_dict() == cluster.jobs
    assert (resolver.task_type, resolver.task_id) == ("worker", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cluster'", "TF_CONFIG is not valid JSON .* for example, .*host-a:12345"),
        (tf_config({"ps": ["a:1"], **WORKERS}, type="worker", index=0), "got .*'ps'"),
        (tf_config({"worker": "a:1"}, type="worker", index=0), "lists of addresses"),
        (tf_config(WORKERS), "task of TF_CONFIG, {}, is not in"),
        (tf_config(WORKERS, type="chief", index=0), "'chief', 'index': 0}, is not in"),
        (tf_config(WORKERS, type="worker", index=2), "'index': 2}, is not in its"),
        (tf_config(WORKERS, type="worker", index=-1), "'index': -1}, is not in"),
    ],
)
def test_find_cluster__invalid_tf_config(text, message, surroundings):
    surroundings(TF_CONFIG=text)
    with pytest.raises(ValueError, match=message):
        find_cluster()


def test_find_cluster__slurm_order(surroundings):
    surroundings(**slurm())
    cluster = find_cluster()
    addresses = ["gpu2:20345", "gpu2:20346", "gpu10:20345", "gpu11:20345"]
    assert cluster == Cluster({"worker": addresses}, "worker", 2)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("one", ["one"]),
        ("one,two", ["one", "two"]),
        ("n[08-10]", ["n08", "n09", "n10"]),
        ("n[1,3-4],login,m[2]-ib", ["n1", "n3", "n4", "login", "m2-ib"]),
        ("rack-a.site,rack-b.site", ["rack-a.site", "rack-b.site"]),
    ],
)
def test_find_cluster__slurm_node_lists(nodes, expected, surroundings):
    surroundings(
        **slurm(
            SLURM_STEP_NODELIST=nodes,
            SLURM_STEP_TASKS_PER_NODE=f"1(x{len(expected)})",
            SLURM_PROCID="0",
            SLURMD_NODENAME=expected[0],
        )
    )
    hosts = [address.split(":")[0] for address in find_cluster().addresses]
    assert hosts == expected


def test_find_cluster__slurm_misplaced_tasks(surroundings):
    surroundings(**slurm(SLURM_PROCID="1"))
    with pytest.raises(ValueError, match=r"task 1 on gpu10, expected gpu2.*block"):
        find_cluster()


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_STEP_NODELIST": "gpu[2"},
        {"SLURM_STEP_TASKS_PER_NODE": "many"},
        {"SLURM_STEP_TASKS_PER_NODE": "4"},
        {"SLURM_PROCID": "4"},
    ],
)
def test_find_cluster__slurm_inconsistent_variables(changes, surroundings):
    surroundings(**slurm(**changes))
    with pytest.raises(ValueError, match=r"variables of this Slurm step.*srun"):
        find_cluster()
