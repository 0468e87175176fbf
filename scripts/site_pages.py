"""Hooks of mkdocs: the pages of the site are the repository's Markdown files.

Every file keeps its path, so a link that works in the repository works on the site, and
`mkdocs build --strict` refuses one that does not. `docs/api.md` lists the public names;
here each of its modules gets a page with the docstrings, and each name a link to it.
"""

import ast
import importlib
import inspect
import json
import re
from pathlib import Path

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
API = "docs/api.md"
COMPOSED = ("common_arguments", "variant_docstring")
SECTIONS = {
    "Example:": "Examples:",
    "Call arguments:": "Other Parameters: Call arguments",
}
# What pages are or link to.
PATTERNS = (
    "*.md",
    "Dockerfile",
    "LICENSE",
    "NOTICE",
    "benchmarks/*.md",
    "benchmarks/results/*",
    "compose.yaml",
    "deploy/**/*",
    "docs/**/*",
    "examples/*",
    "projects/*/*.md",
    "projects/*/*.jsonl",
    "projects/*/images/*",
    "tests/assets/*.png",
)


def api_names():
    """Return the names of each module in the tables of `docs/api.md`."""
    page = (ROOT / API).read_text(encoding="utf-8")
    return {
        section.partition("\n")[0]: re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        for section in page.split("\n## ")[1:]
    }


def definition(module, name):
    """Return the path of what a module defines or imports as a name."""
    path = ROOT / module.replace(".", "/")
    if (path / name / "__init__.py").exists():
        return f"{module}.{name}"
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}:
            return definition(node.module, name)
    return f"{module}.{name}"


def directive(path, **options):
    """Return the instruction to show the docstring of a path."""
    return f"::: {path}\n    options: {json.dumps(options)}\n"


def module_pages():
    """Return the page of each module; what several modules export is on the first."""
    modules = api_names()
    shown = set(modules)
    pages = {}
    for module, names in modules.items():
        parts = [directive(module, heading_level=1, heading=module, members=False)]
        for name in names:
            path = definition(module, name)
            if path not in shown:
                parts.append(directive(path, heading=name, toc_label=name))
                shown.add(path)
        pages[module] = "\n".join(parts)
    return pages


def on_config(config):
    """Put the pages of the modules into the navigation, under `docs/api.md`."""
    pages = [{module: f"docs/api/{module}.md"} for module in api_names()]
    for entry in config.nav:
        if entry.get("API") == API:
            entry["API"] = [API, *pages]
    return config


def on_files(files, config):
    """Replace the files of `docs` by those of the repository, under their paths."""
    for file in list(files):
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(ROOT / "docs"):
            files.remove(file)
    for path in sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)}):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for module, content in module_pages().items():
        files.append(File.generated(config, f"docs/api/{module}.md", content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Link the names in the tables of `docs/api.md` to their docstrings."""
    if page.file.src_uri != API:
        return markdown
    head, *sections = markdown.split("\n## ")
    for index, section in enumerate(sections):
        module, _, rows = section.partition("\n")
        rows = re.sub(
            r"^\| `(\w+)` \|",
            lambda row: f"| [`{row[1]}`][{definition(module, row[1])}] |",  # noqa: B023
            rows,
            flags=re.MULTILINE,
        )
        sections[index] = f"[{module}](api/{module}.md)\n{rows}"
    return "\n## ".join([head, *sections])


class Docstrings(griffe.Extension):
    """Lets Griffe understand the package's docstrings."""

    def on_function(self, *, func, **kwargs):
        """Take a docstring that a decorator composes from the imported function."""
        decorators = {decorator.callable_path for decorator in func.decorators}
        if any(path.endswith(COMPOSED) for path in decorators):
            function = getattr(importlib.import_module(func.module.path), func.name)
            text = inspect.getdoc(function)
            func.docstring = griffe.Docstring(text, lineno=func.lineno, parent=func)

    def on_object(self, *, obj, **kwargs):
        """Rename sections that Griffe does not know."""
        if obj.docstring:
            for ours, theirs in SECTIONS.items():
                text = obj.docstring.value.replace(f"\n{ours}\n", f"\n{theirs}\n")
                obj.docstring.value = text
