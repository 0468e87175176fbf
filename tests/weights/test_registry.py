import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_tnt.weights import registry
from tests.helpers.hub_server import HubServer

REPO = registry.PUBLISHED["tnt_small"].repo_id
OWN_FILE = "by other means, pass its path as `weights=`"

# huggingface_hub reads its environment at import, so each client is a process. It loads
# registry.py alone: neither Keras nor TensorFlow is needed, and they take seconds.
CLIENT = """
import dataclasses, hashlib, importlib.util, json, pathlib, sys, time, types

time.sleep = lambda seconds: None  # huggingface_hub waits up to 8 s between attempts
package = sys.modules["keras_tnt"] = types.ModuleType("keras_tnt")
package.__path__ = [str(pathlib.Path(sys.argv[1]).parents[1])]
spec = importlib.util.spec_from_file_location("registry", sys.argv[1])
registry = sys.modules["registry"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(registry)
for name, pin in json.loads(sys.argv[2]).items():
    registry.PUBLISHED[name] = dataclasses.replace(registry.PUBLISHED[name], **pin)
for source in sys.argv[3:]:
    try:
        path = registry.fetch(source)
    except Exception as error:
        cause = type(error.__cause__).__name__
        answer = dict(error=type(error).__name__, message=str(error), cause=cause)
    else:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        answer = dict(path=str(path), sha256=sha256)
    print(json.dumps(answer))
"""


@dataclasses.dataclass
class Client:
    """Runs `registry.fetch` in processes of their own, which share one HF_HOME."""

    home: pathlib.Path
    endpoint: str
    stderr: str = ""
    pins: dict = dataclasses.field(default_factory=dict)

    def fetch(self, *sources, **environment):
        """Returns for each source a dict: path and sha256, or error, message, cause."""
        command = [sys.executable, "-c", CLIENT, registry.__file__]
        command += [json.dumps(self.pins), *sources]
        process = subprocess.run(
            command,
            env=self.environment() | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        self.stderr = process.stderr
        return [json.loads(line) for line in process.stdout.splitlines()]

    def environment(self):
        foreign = re.compile(r"HF_|HUGGING|TRANSFORMERS_|.*_PROXY$", re.IGNORECASE)
        own = {k: v for k, v in os.environ.items() if not foreign.match(k)}
        # The proxy, a closed port, keeps requests to any other host on this machine.
        nowhere = "http://127.0.0.1:9"
        return own | {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def finished_files(self):
        """Returns the files in the cache that can be taken for downloaded ones."""
        found = self.home.glob("hub/models--*/*/**/*")
        return [p for p in found if p.is_file() and p.suffix != ".incomplete"]


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture
def client(hub, tmp_path):
    return Client(tmp_path / "home", hub.url)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_fetch__cached(hub, client):
    hub.publish(REPO, b"weights")
    (first,) = client.fetch(f"hf://{REPO}")
    assert first["sha256"] == sha256(b"weights")
    assert pathlib.Path(first["path"]).is_relative_to(client.home)
    # The hub was asked where the file is, then the CDN for the file itself.
    resolve = f"/{REPO}/resolve/main/model.safetensors"
    blob = f"/blob/{first['sha256']}"
    asked = [(r.method, r.target) for r in hub.requests if "/api/" not in r.target]
    assert asked == [("HEAD", resolve), ("GET", blob)]

    assert client.fetch(f"hf://{REPO}") == [first]
    assert len(hub.downloads()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("disable", ["0", "1"])
def test_fetch__progress_bar(hub, client, disable):
    hub.publish(REPO, b"weights")
    # tqdm is silent where there is no terminal, unless its position says otherwise.
    shown = {"TQDM_POSITION": "-1", "HF_HUB_DISABLE_PROGRESS_BARS": disable}
    client.fetch(f"hf://{REPO}", **shown)
    assert ("model.safetensors: 100%" in client.stderr) == (disable == "0")


@pytest.mark.slow
def test_fetch__new_commit(hub, client):
    hub.publish(REPO, b"old")
    (old,) = client.fetch(f"hf://{REPO}")
    commit = hub.publish(REPO, b"new")
    (new,) = client.fetch(f"hf://{REPO}")
    assert new["sha256"] == sha256(b"new")
    assert commit in new["path"]
    assert pathlib.Path(old["path"]).read_bytes() == b"old"


@pytest.mark.slow
def test_fetch__revision(hub, client):
    commit = hub.publish(REPO, b"main")
    hub.publish(REPO, b"proposed", branch="refs/pr/1")
    hub.publish(REPO, b"new main")
    fetched = client.fetch(f"hf://{REPO}@refs/pr/1", f"hf://{REPO}@{commit}")
    assert [f["sha256"] for f in fetched] == [sha256(b"proposed"), sha256(b"main")]


def test_fetch__pinned_file(hub, client):
    commit = hub.publish(REPO, b"checked")
    hub.publish(REPO, b"newer")
    client.pins = {"tnt_small": {"revision": commit, "sha256": sha256(b"checked")}}
    pinned, newer = client.fetch(f"hf://{REPO}", f"hf://{REPO}@main")
    assert pinned["sha256"] == sha256(b"checked")
    assert newer["sha256"] == sha256(b"newer")


@pytest.mark.slow
def test_fetch__another_file_than_pinned(hub, client):
    commit = hub.publish(REPO, b"tampered")
    client.pins = {"tnt_small": {"revision": commit, "sha256": sha256(b"checked")}}
    refused, named = client.fetch(f"hf://{REPO}", f"hf://{REPO}@{commit}")
    assert refused["error"] == "ValueError"
    for text in (sha256(b"tampered"), sha256(b"checked"), "model.safetensors is not"):
        assert text in refused["message"]
    assert f"hf://{REPO}@revision" in refused["message"]
    assert named["sha256"] == sha256(b"tampered")
    # A damaged file in the cache is refused as well.
    client.pins["tnt_small"]["sha256"] = sha256(b"tampered")
    pathlib.Path(named["path"]).write_bytes(b"damaged!")
    (damaged,) = client.fetch(f"hf://{REPO}", HF_HUB_OFFLINE="1")
    assert sha256(b"damaged!") in damaged["message"]


def test_fetch__resumed(hub, client):
    content = random.Random(0).randbytes(12 << 20)
    hub.publish(REPO, content)
    hub.cut(at=11 << 20, times=1)
    # Before 1.0, huggingface_hub resumed only when it was called again.
    *_, last = client.fetch(f"hf://{REPO}", f"hf://{REPO}")
    assert last["sha256"] == sha256(content)
    # huggingface_hub writes chunks of 10 MiB; what it has of the next one is lost.
    assert [r.range for r in hub.downloads()] == [None, f"bytes={10 << 20}-"]


@pytest.mark.slow
def test_fetch__always_cut(hub, client):
    hub.publish(REPO, b"weights")
    hub.cut(at=3, times=1000)
    (failed,) = client.fetch(f"hf://{REPO}")
    assert failed["error"] == "ConnectionError"
    assert failed["cause"] in ("RemoteProtocolError", "ChunkedEncodingError")
    assert "try again" in failed["message"]
    assert OWN_FILE in failed["message"]
    assert not any(p.name == "model.safetensors" for p in client.finished_files())
    (offline,) = client.fetch(f"hf://{REPO}", HF_HUB_OFFLINE="1")
    assert offline["error"] == "FileNotFoundError"

    hub.cut(at=0, times=0)
    (healed,) = client.fetch(f"hf://{REPO}")
    assert healed["sha256"] == sha256(b"weights")


def test_fetch__refused(hub, client):
    hub.publish(REPO, b"weights")
    hub.publish("owner/onnx", b"weights", filename="model.onnx")
    hub.publish("owner/gated", b"weights")
    hub.gated.add("owner/gated")
    expected = {
        "hf://owner/nothing": (
            "FileNotFoundError",
            "RepositoryNotFoundError",
            "no such repository, or it is private. Check the name",
        ),
        f"hf://{REPO}@v9": (
            "FileNotFoundError",
            "RevisionNotFoundError",
            "no such revision. Check the branch, tag or commit",
        ),
        "hf://owner/onnx": (
            "FileNotFoundError",
            r"(Remote)?EntryNotFoundError",
            "no file of that name. Check the name of the repository",
        ),
        "hf://owner/gated": (
            "PermissionError",
            "GatedRepoError",
            "gated. Ask for access on its page and set HF_TOKEN",
        ),
    }
    for source, answer in zip(expected, client.fetch(*expected), strict=True):
        error, cause, message = expected[source]
        repo, _, revision = source.removeprefix("hf://").partition("@")
        url = f"{hub.url}/{repo}/resolve/{revision or 'main'}/model.safetensors"
        assert answer["error"] == error
        assert re.fullmatch(cause, answer["cause"])
        assert message in answer["message"]
        assert f"model.safetensors of {repo} from {url}" in answer["message"]
        assert OWN_FILE in answer["message"]


@pytest.mark.slow
def test_fetch__token(hub, client):
    hub.publish("owner/gated", b"weights")
    hub.gated.add("owner/gated")
    (opened,) = client.fetch("hf://owner/gated", HF_TOKEN=hub.TOKEN)
    assert opened["sha256"] == sha256(b"weights")


@pytest.mark.slow
def test_fetch__wrong_token(hub, client):
    hub.publish(REPO, b"weights")
    (failed,) = client.fetch(f"hf://{REPO}", HF_TOKEN="hf_expired")
    assert failed["error"] == "PermissionError"
    assert failed["cause"] == "HfHubHTTPError"
    assert "Renew HF_TOKEN" in failed["message"]


@pytest.mark.slow
def test_fetch__no_hub(tmp_path):
    with HubServer() as hub:
        client = Client(tmp_path / "home", hub.url)
        hub.publish(REPO, b"weights")
        (cached,) = client.fetch(f"hf://{REPO}")
    cached_and_not = f"hf://{REPO}", "hf://owner/name"

    found, missing = client.fetch(*cached_and_not, HF_HUB_OFFLINE="1")
    assert found == cached
    assert missing["error"] == "FileNotFoundError"
    assert missing["cause"] == "LocalEntryNotFoundError"
    assert "Unset HF_HUB_OFFLINE" in missing["message"]
    assert str(client.home) in missing["message"]
    assert OWN_FILE in missing["message"]

    found, missing = client.fetch(*cached_and_not)
    assert found == cached
    assert missing["error"] == "ConnectionError"
    assert "refused" in missing["message"]
    assert "HF_ENDPOINT" in missing["message"]
    assert OWN_FILE in missing["message"]


@pytest.mark.slow
def test_fetch__proxy(hub, client):
    hub.publish(REPO, b"weights")
    # A name that no resolver knows: only the proxy, played by the hub, can answer.
    client.endpoint = "http://hub.invalid"
    (fetched,) = client.fetch(f"hf://{REPO}", HTTP_PROXY=hub.url)
    assert fetched["sha256"] == sha256(b"weights")
    targets = [r.target for r in hub.requests]
    assert f"http://hub.invalid/{REPO}/resolve/main/model.safetensors" in targets


@pytest.mark.slow
def test_fetch__proxy_down(client):
    client.endpoint = "http://hub.invalid"
    (failed,) = client.fetch(f"hf://{REPO}")
    assert failed["error"] == "ConnectionError"
    assert "refused" in failed["message"]
    assert "HTTPS_PROXY" in failed["message"]


@pytest.mark.slow
def test_fetch__read_only_cache(hub, client):
    hub.publish(REPO, b"weights")
    client.home.write_text("a file where a directory is expected")
    (failed,) = client.fetch(f"hf://{REPO}")
    assert failed["error"] == "OSError"
    assert failed["cause"] in ("NotADirectoryError", "FileExistsError")
    assert "Set HF_HOME" in failed["message"]


def test_fetch__invalid_name(client):
    (failed,) = client.fetch("hf://owner/a--b")
    assert failed["error"] == "ValueError"
    assert failed["cause"] == "HFValidationError"
    assert "'owner/a--b'" in failed["message"]


WORD = st.text("abcXYZ019_.-", min_size=1)
NO_WORD = st.one_of(st.just(""), st.text(" \t\n@:?#%é漢", min_size=1))
MALFORMED = st.one_of(
    st.builds("hf://{}".format, WORD),
    st.builds("hf://{}/{}".format, WORD, NO_WORD),
    st.builds("hf://{}/{}".format, NO_WORD, WORD),
    st.builds("hf://{}/{}/{}".format, WORD, WORD, WORD),
    st.builds(
        "hf://{}/{}@{}".format, WORD, WORD, st.sampled_from(["", " ", "a b", "@"])
    ),
    st.builds("hf:/{}/{}".format, WORD, WORD),
    st.builds("hf:{}/{}".format, WORD, WORD),
    st.builds("HF://{}/{}".format, WORD, WORD),
    st.builds("hf://{}/{}\n".format, WORD, WORD),
    st.builds("hf://{}/{}".format, WORD, WORD).map(pathlib.PurePosixPath),
)


@given(source=MALFORMED)
def test_fetch__malformed_id(source):
    with pytest.MonkeyPatch.context() as patch:
        # An id that got through would be asked of the real Hub.
        patch.setattr(registry, "download", lambda *_, **__: pytest.fail("let through"))
        with pytest.raises(ValueError, match="hf://owner/name or hf://owner/name@rev"):
            registry.fetch(source)


def test_fetch__local_file(tmp_path):
    path = tmp_path / "tnt.safetensors"
    path.write_bytes(b"weights")
    assert registry.fetch(path) == path
    assert registry.fetch(str(path)) == path


@pytest.mark.parametrize("name", [REPO, ".", ""])
def test_fetch__missing_local_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="write hf://owner/name"):
        registry.fetch(name)


def test_published__variants():
    assert registry.published("tnt_small").repo_id == "timm/tnt_s_patch16_224.in1k"
    assert registry.published("tnt_base").repo_id == "timm/tnt_b_patch16_224.in1k"


@pytest.mark.parametrize("variant", ["tnt_tiny", "tnt_small_se", "vit"])
def test_published__unpublished_variant(variant):
    with pytest.raises(ValueError, match=f"'{variant}'.*tnt_small, tnt_base") as raised:
        registry.published(variant)
    assert "weights=None" in str(raised.value)
    assert "keras_tnt.load_weights" in str(raised.value)
