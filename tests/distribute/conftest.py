import pytest

from tests.helpers import run_workers, worker_train


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A directory with a run directory for each of two workers, ``0`` and ``1``."""
    directory = tmp_path_factory.mktemp("together")
    run_workers.run(worker_train.MODULE, directory / "{}", directory=directory)
    return directory
