"""The published weights: their files, accuracy and license, and the download."""

import dataclasses
import json
import os
import pathlib
import re

from keras_tnt.utils.files import sha256
from keras_tnt.utils.typing import PathLike

WEIGHTS_FILE = "model.safetensors"

_HUB_ID = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^@\s]+))?", re.ASCII)
_HUB_ID_FORM = "hf://owner/name or hf://owner/name@revision"
_OWN_FILE = "pass its path as `weights=` or to `keras_tnt.load_weights`"


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """One published weight file.

    Attributes:
        repo_id: The repository on the Hugging Face Hub, `"owner/name"`.
        image_size: Height and width in pixels that the weights were trained at.
        top1: ImageNet-1k validation accuracy in percent, as its publisher measured it.
        license: SPDX identifier of the weights' license.
        provenance: Who trained the weights and who converted them.
        filename: The file in the repository.
        revision: Commit of the repository; `None` for the main branch.
        sha256: SHA-256 of the file in hexadecimal. Another file is refused. `None` if
            it is not known yet; then every file is accepted.

    Example:
        >>> PUBLISHED["tnt_base"].top1
        82.864
    """

    repo_id: str
    image_size: int
    top1: float
    license: str
    provenance: str
    filename: str = WEIGHTS_FILE
    revision: str | None = None
    sha256: str | None = None


# Written by scripts/pin_weights.py: revision and SHA-256 of the files, by variant.
PINS_FILE = pathlib.Path(__file__).with_name("published_files.json")
_PINS = json.loads(PINS_FILE.read_text(encoding="utf-8"))

_HUAWEI_BY_TIMM = "trained by Huawei Noah's Ark Lab, converted and measured by timm"

PUBLISHED = {
    "tnt_small": PublishedWeights(
        repo_id="timm/tnt_s_patch16_224.in1k",
        image_size=224,
        top1=81.506,
        license="apache-2.0",
        provenance=_HUAWEI_BY_TIMM,
        **_PINS["tnt_small"],
    ),
    "tnt_base": PublishedWeights(
        repo_id="timm/tnt_b_patch16_224.in1k",
        image_size=224,
        top1=82.864,
        license="apache-2.0",
        provenance=_HUAWEI_BY_TIMM,
        **_PINS["tnt_base"],
    ),
}

# On a file-sharing site with a password, so programs cannot download them.
MANUAL_DOWNLOAD = {
    "pyramid_tnt_tiny": ("https://pan.baidu.com/s/1xm3DSGcAJbvFQm4jmDAlnQ", "0r5t"),
    "pyramid_tnt_small": ("https://pan.baidu.com/s/1xha8x3DTlPq9-KeC6EPPow", "v5w5"),
    "pyramid_tnt_medium": ("https://pan.baidu.com/s/1B9zkWkrUAETuiyr08ClY-w", "jqm3"),
    "pyramid_tnt_base": ("https://pan.baidu.com/s/1tT0mxRrZQx6facYsdPBt0g", "ns4t"),
}


def published(variant: str) -> PublishedWeights:
    """Return the published weights of a variant.

    Args:
        variant: Name of the variant, a key of `PUBLISHED`.

    Returns:
        The `PublishedWeights` of the variant.

    Raises:
        ValueError: If the variant has no published weights, or they must be downloaded
            manually; the error says where.

    Example:
        >>> published("tnt_small").repo_id
        'timm/tnt_s_patch16_224.in1k'
    """
    if variant in MANUAL_DOWNLOAD:
        url, password = MANUAL_DOWNLOAD[variant]
        raise ValueError(
            f"The weights of {variant!r} are only on a file-sharing site, which needs "
            f"a browser. Download the .pth.tar file from {url} (password {password}) "
            f"and {_OWN_FILE}; or build the model with `weights=None`."
        )
    if variant not in PUBLISHED:
        raise ValueError(
            f"{variant!r} has no published weights (only {', '.join(PUBLISHED)} have). "
            f"Build it with `weights=None`, or if you have a weight file, {_OWN_FILE}."
        )
    return PUBLISHED[variant]


def fetch(source: PathLike) -> pathlib.Path:
    """Return the path of a weight file, after downloading it from the Hub if needed.

    Args:
        source: Path of a local file, or `"hf://owner/name"` or
            `"hf://owner/name@revision"` for `model.safetensors` of a repository on
            the Hugging Face Hub. A revision is a branch, a tag or a commit. Without
            one, a repository in `PUBLISHED` gives the revision there, and the file's
            SHA-256 is checked; the file of a revision that you name is not checked.

    Returns:
        `pathlib.Path` of the local file.

    Raises:
        ValueError: If `source` starts like a Hub id but is not valid, or the SHA-256
            of a published file is not the one in `PUBLISHED`.
        OSError: If there is no such local file, or the download fails as described
            at `download`.

    Example:
        >>> path = fetch("hf://timm/tnt_s_patch16_224.in1k")  # doctest: +SKIP
    """
    text = os.fspath(source)
    # Also "hf:/owner/name", which is what pathlib makes of a Hub id.
    if text.lower().startswith("hf:"):
        match = _HUB_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"Expected {_HUB_ID_FORM} as a string; got {source!r}.")
        weights = find_published(text)
        return (
            download_published(weights)
            if weights
            else download(match[1], revision=match[2])
        )
    path = pathlib.Path(text)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no weight file {text!r}. Check the path, or for a repository on "
            f"the Hugging Face Hub write {_HUB_ID_FORM}."
        )
    return path


def find_published(source: PathLike) -> PublishedWeights | None:
    """Return the published weights that a Hub id without revision stands for.

    Example:
        >>> find_published("hf://timm/tnt_b_patch16_224.in1k").image_size
        224
    """
    ids = {f"hf://{weights.repo_id}": weights for weights in PUBLISHED.values()}
    return ids.get(os.fspath(source))


def download_published(weights: PublishedWeights) -> pathlib.Path:
    """Download a published file, or find it in the local cache, and check its SHA-256.

    Args:
        weights: A value of `PUBLISHED`.

    Returns:
        `pathlib.Path` of the file in the cache.

    Raises:
        ValueError: If the file's SHA-256 is another one than `weights.sha256`.
        OSError: As described at `download`.

    Example:
        >>> path = download_published(PUBLISHED["tnt_small"])  # doctest: +SKIP
    """
    path = download(weights.repo_id, weights.filename, weights.revision)
    if weights.sha256 is None:
        return path
    found = sha256(path)
    if found != weights.sha256:
        raise ValueError(
            f"{path} is not the published file of {weights.repo_id}: its SHA-256 is "
            f"{found}, expected {weights.sha256}. Delete the file and try again. To "
            f"load another version, name it: hf://{weights.repo_id}@revision."
        )
    return path


def download(
    repo_id: str, filename: str = WEIGHTS_FILE, revision: str | None = None
) -> pathlib.Path:
    """Download a file from the Hugging Face Hub, or find it in the local cache.

    It uses `huggingface_hub`, so its environment variables apply, among them
    `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN`, `HTTPS_PROXY` and
    `HF_HUB_DISABLE_PROGRESS_BARS`.

    Args:
        repo_id: The repository, `"owner/name"`.
        filename: The file in the repository.
        revision: Branch, tag or commit. Defaults to the main branch.

    Returns:
        `pathlib.Path` of the file in the cache.

    Raises:
        ValueError: If `repo_id` is not a valid name of a repository.
        FileNotFoundError: If the Hub has no such repository, revision or file, or in
            offline mode the cache does not hold the file.
        PermissionError: If the repository is gated or the Hub refuses the token.
        ConnectionError: If the Hub cannot be reached or the connection breaks.
        OSError: If the file cannot be written to the cache.

    Example:
        >>> path = download("timm/tnt_s_patch16_224.in1k")  # doctest: +SKIP
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    try:
        return pathlib.Path(hf_hub_download(repo_id, filename, revision=revision))
    except HFValidationError as error:
        raise ValueError(
            f"Expected the name of a repository, owner/name; got {repo_id!r}. {error}"
        ) from error
    # The error of a failed transfer depends on the version of huggingface_hub: it comes
    # from requests, httpx or hf_xet, and is mostly not an OSError.
    except Exception as error:
        raise _explained(error, repo_id, filename, revision) from error


def _explained(error, repo_id, filename, revision):
    """Return an OSError that states the request, the error and what to do."""
    from huggingface_hub import hf_hub_url

    kind, diagnosis = _diagnosis(error)
    url = hf_hub_url(repo_id, filename, revision=revision)
    return kind(
        f"Could not get {filename} of {repo_id} from {url}: {diagnosis}. If you "
        f"can get the file by other means, {_OWN_FILE}."
    )


def _diagnosis(error):
    """Return the type of the exception, with a text of the error and what to do."""
    from huggingface_hub import constants, errors

    # It wraps the error of the request if the cache is empty.
    if isinstance(error, errors.LocalEntryNotFoundError):
        error = error.__cause__ or error
    answers = [
        (
            errors.OfflineModeIsEnabled,
            FileNotFoundError,
            f"HF_HUB_OFFLINE is set and {constants.HF_HUB_CACHE} does not hold the "
            "file. Unset HF_HUB_OFFLINE, or set HF_HOME to the directory that holds it",
        ),
        (
            errors.GatedRepoError,
            PermissionError,
            "the repository is gated. Ask for access on its page and set HF_TOKEN",
        ),
        (
            errors.RepositoryNotFoundError,
            FileNotFoundError,
            "there is no such repository, or it is private. Check the name, or set "
            "HF_TOKEN",
        ),
        (
            errors.RevisionNotFoundError,
            FileNotFoundError,
            "the repository has no such revision. Check the branch, tag or commit",
        ),
        (
            errors.EntryNotFoundError,
            FileNotFoundError,
            "the repository has no file of that name. Check the name of the repository",
        ),
    ]
    for raised, kind, diagnosis in answers:
        if isinstance(error, raised):
            return kind, diagnosis
    came = f"{type(error).__name__}: {error}".rstrip(".")
    response = getattr(error, "response", None)
    if response is not None and response.status_code in (401, 403):
        return PermissionError, f"{came}. Renew HF_TOKEN or the saved login, or drop it"
    # Errors of the file system carry a number, those of a transfer do not.
    if isinstance(error, OSError) and error.errno is not None:
        return OSError, f"{came}. Set HF_HOME to a directory that can be written to"
    return ConnectionError, (
        f"{came}. Check the network and try again; for a proxy set HTTPS_PROXY, for a "
        "mirror of the Hub HF_ENDPOINT"
    )
