"""Where to train: the strategy, its workers, and what they tell each other."""

from keras_tnt.distribute.keras_distribution import (
    check_strategy,
    distribution_scope,
    on_accelerator,
)
from keras_tnt.distribute.strategy import (
    STRATEGIES,
    create_strategy,
    current_strategy,
    distribute_dataset,
    replica_count,
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
    "check_strategy",
    "create_strategy",
    "current_strategy",
    "distribute_dataset",
    "distribution_scope",
    "is_chief",
    "on_accelerator",
    "replica_count",
    "total",
    "worker_count",
    "worker_errors",
]
