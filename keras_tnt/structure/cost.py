"""Records of what a model costs: parameters and multiply-adds."""

import dataclasses
from typing import NamedTuple


class Cost(NamedTuple):
    """What a part of a model costs.

    Attributes:
        parameters: its weights, without the moving statistics of batch norms.
        multiply_adds: those of its matrix products and convolutions, for one image.
    """

    parameters: int
    multiply_adds: int


NOTHING = Cost(0, 0)


@dataclasses.dataclass(frozen=True)
class Complexity:
    """Parameters and multiply-adds of a model; `str` returns them as a table.

    Attributes:
        name: name of the model.
        image_shape: ``(height, width, channels)`` of the image that is counted.
        embedding: pixel and patch embedding; in a PyramidTNT the stem.
        inner: inner transformers.
        projection: pixel projections.
        outer: outer transformers, with squeeze-and-excitation and position biases.
        merging: pixel and patch merging of a PyramidTNT; zero in a TNT.
        head: final norm, classification head, and all layers that are not the TNT's.

    Example:
        ```python
        found = keras_tnt.complexity(model)
        found.outer.multiply_adds / found.multiply_adds
        ```
    """

    name: str
    image_shape: tuple[int, ...]
    embedding: Cost = NOTHING
    inner: Cost = NOTHING
    projection: Cost = NOTHING
    outer: Cost = NOTHING
    merging: Cost = NOTHING
    head: Cost = NOTHING

    @property
    def parts(self) -> dict[str, Cost]:
        """The costs by the name of the part."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: cost for name, cost in values.items() if isinstance(cost, Cost)}

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return sum(cost.parameters for cost in self.parts.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the model for one image."""
        return sum(cost.multiply_adds for cost in self.parts.values())

    def __str__(self):
        parts = {name: cost for name, cost in self.parts.items() if any(cost)}
        parts["total"] = Cost(self.parameters, self.multiply_adds)
        size = "x".join(map(str, self.image_shape))
        rows = [f"{self.name}, one image of {size}"]
        rows.append(f"{'part':<10} {'parameters':>14} {'multiply-adds':>18}  share")
        for name, cost in parts.items():
            share = cost.multiply_adds / self.multiply_adds
            rows.append(
                f"{name:<10} {cost.parameters:>14,} {cost.multiply_adds:>18,} "
                f"{share:>6.1%}"
            )
        return "\n".join(rows)
