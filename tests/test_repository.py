"""The files beside the package: workflows, forms, containers and manifests."""

import importlib.util
import json
import re
import shutil
import subprocess
import sysconfig
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.helpers import ROOT

FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-issue-forms": [
        ROOT / ".github" / "ISSUE_TEMPLATE" / name
        for name in ("bug.yml", "feature.yml")
    ],
    "vendor.github-issue-config": [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.dependabot": [ROOT / ".github" / "dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
    "vendor.compose-spec": [ROOT / "compose.yaml"],
    "custom.github-workflows-require-timeout": WORKFLOWS,
}


def run(*command):
    """Run a command of the environment's directory of scripts."""
    directory = sysconfig.get_path("scripts")
    program = shutil.which(command[0], path=directory) or shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    process = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("schema", SCHEMAS)
def test_file__follows_schema(schema):
    run("check-jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow__targets_exist(path):
    """After `make`, or in a matrix."""
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"run: make ([\w-]+)|\b(test-[\w-]+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    assert targets
    for target in {first or second for first, second in targets}:
        assert target in phony.split()


def test_dockerfile__lints():
    run("hadolint", "--no-color", "Dockerfile")


def test_dockerfile__copies_what_docker_sees():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    seen = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for sources in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert f"!{source}" in seen


def test_compose__mounts_files_of_repository():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    mounted = re.findall(r"- \./(\S+?):", text)
    assert len(mounted) == 3
    for path in mounted:
        assert (ROOT / path).is_file()


@pytest.mark.parametrize("name", ["serving", "training"])
def test_manifest__follows_schema(name):
    run("kubernetes-validate", "--strict", f"deploy/kubernetes/{name}.yaml")


def test_slurm_script__parses():
    run("bash", "-n", "deploy/train.slurm")


def test_monitoring_config__path_is_scraped():
    config = (ROOT / "deploy" / "monitoring.config").read_text(encoding="utf-8")
    (path,) = re.findall(r'^  path: "(.*)"$', config, re.MULTILINE)
    scraped = (ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8")
    assert f"metrics_path: {path}\n" in scraped


class Server(BaseHTTPRequestHandler):
    """Answers as TensorFlow Serving does; every second image is corrupt."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/models/pets:predict"
        images = json.loads(body)["instances"]
        rows = [
            {"classes": ["cat" if good else ""], "scores": [0.75 * good], "ok": good}
            for good, _ in zip((True, False), images, strict=True)
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"predictions": rows}).encode())

    def log_message(self, *arguments):
        pass


def test_client__prints_best_class(monkeypatch, tmp_path, capsys):
    path = ROOT / "deploy" / "client.py"
    spec = importlib.util.spec_from_file_location("client", path)
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    paths = [str(tmp_path / name) for name in ("good.png", "bad.png")]
    for image in paths:
        (tmp_path / image).write_bytes(b"image")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/models/pets"
        monkeypatch.setenv("MODEL_URL", url)
        status = client.main(paths)
        server.shutdown()
    assert status == 1
    assert capsys.readouterr().out == f"{paths[0]}: cat 0.750\n{paths[1]}: corrupt\n"


@pytest.mark.parametrize("name", ["ruff", "lint-imports", "mypy"])
def test_pre_commit__runs_what_lint_runs(name):
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"entry: .venv/bin/{name}" in hooks
    assert f"$(VENV)/bin/{name}" in makefile
