"""Where to train: the strategy, its workers, and what they tell each other."""

from keras_tnt.distribute.strategy import (
    STRATEGIES,
    create_strategy,
    distribute_dataset,
)
from keras_tnt.distribute.workers import (
    any_worker,
    barrier,
    check_agreement,
    is_chief,
    total,
    worker_count,
    worker_errors,
)

__all__ = [
    "STRATEGIES",
    "any_worker",
    "barrier",
    "check_agreement",
    "create_strategy",
    "distribute_dataset",
    "is_chief",
    "total",
    "worker_count",
    "worker_errors",
]
