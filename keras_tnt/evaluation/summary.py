"""A report in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_tnt.evaluation.report import Report


def summarize(report: Report, settings: Mapping[str, Any]) -> Iterator[str]:
    """Describe a report, a sentence a line.

    Args:
        report: a `Report`.
        settings: what else `report.json` has: `published` accuracies, and the means of
            ImageNet-C.

    Yields:
        The lines.
    """
    yield (
        f"Top-1 {report.top_1:.2%}, top-5 {report.top_5:.2%} of {report.images} "
        f"images; {report.corrupt} could not be decoded."
    )
    if "corruptions" in settings:
        yield (
            f"Mean corruption error {settings['mean_corruption_error']:.2%}, relative "
            "to AlexNet's published errors; mean error, not relative to them, "
            f"{settings['mean_error']:.2%}."
        )
    if settings.get("published"):
        published = settings["published"].items()
        expected = ", ".join(f"{name} {top_1:.2%}" for name, top_1 in published)
        yield (
            f"To expect: {expected} top-1, measured by timm on the whole split with "
            "one view of 224x224 and a crop fraction of 0.9."
        )
    yield report.restriction
    if report.confusion is None:
        yield (
            "An answer is right if it is in the image's list of labels; "
            f"{report.unlabeled} images without labels were left out."
        )
    if report.calibration:
        yield (
            f"Negative log-likelihood {report.negative_log_likelihood:.4f}, expected "
            f"calibration error {report.calibration_error:.2%}."
        )
    if report.seconds:
        yield f"{report.images_per_second:.1f} images/s, with reading and decoding."
    if report.confusion is not None:
        classes = zip(report.per_class, report.class_names, strict=True)
        worst = sorted((share, name) for share, name in classes if share == share)[:5]
        hardest = ", ".join(f"{name} {share:.1%}" for share, name in worst)
        yield f"The hardest classes: {hardest}."
