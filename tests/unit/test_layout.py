"""The tree keeps what docs/architecture.md says of it."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("jobs", "adapters", "web", "workers", "deploy", "bench")
JOBS = sorted((ROOT / "jobs").glob("*.py"))
# I/O, clocks and chance come to jobs/ as arguments.
NOT_FOR_JOBS = {
    "asyncio",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
CLOCK_READERS = {"now", "today", "utcnow"}
LONGEST_MODULE = 320  # lines; a longer one is a question for review


def imported_names(module: Path) -> set[str]:
    """The top-level modules that a module imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else (node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", OURS)
def test_each_package_is_ours_and_no_namesake(package: str) -> None:
    module = importlib.import_module(package)

    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == ROOT / package / "__init__.py"
    providers = importlib.metadata.packages_distributions().get(package, ["longhaul"])
    assert set(providers) == {"longhaul"}


def test_jobs_has_modules() -> None:
    assert len(JOBS) > 10


@pytest.mark.parametrize("module", JOBS, ids=lambda module: module.name)
def test_jobs_imports_the_standard_library_and_itself_only(module: Path) -> None:
    foreign = imported_names(module) - set(sys.stdlib_module_names) - {"jobs"}

    assert foreign == set()


@pytest.mark.parametrize("module", JOBS, ids=lambda module: module.name)
def test_jobs_does_no_io_and_knows_neither_clock_nor_chance(module: Path) -> None:
    assert imported_names(module) & NOT_FOR_JOBS == set()
    read_directly = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date", "time"}
        and node.attr in CLOCK_READERS
    }
    assert read_directly == set()


@pytest.mark.parametrize("module", JOBS, ids=lambda module: module.name)
def test_a_module_of_jobs_can_be_read_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE


LINES_LOGGED = {"debug", "info", "warning", "error", "critical", "exception"}
# A worker's lines in the midst of a run have its trace from the run's context.
HAVE_IT_FROM_THEIR_CONTEXT = {"answer_unreadable"}


@pytest.mark.parametrize("package", ["jobs", "adapters", "web", "workers"])
def test_what_logs_a_job_names_its_trace(package: str) -> None:
    without = [
        f"{module.name}:{node.lineno}"
        for module in (ROOT / package).glob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LINES_LOGGED
        and not {ast.unparse(one).strip("'") for one in node.args} & HAVE_IT_FROM_THEIR_CONTEXT
        and "job_id" in (names := {one.arg for one in node.keywords})
        and "trace_id" not in names
    ]

    assert without == []


def files_of_the_repository() -> list[Path]:
    """What is committed, and what would be by `git add .`."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(  # noqa: S603 - our own arguments
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


CITED = re.compile(
    r"(?<![\w./-])((?:adapters|bench|clients|deploy|docs|jobs|tests|web|workers)/[\w./-]*\w)"
)


MADE_BY_ITS_READER = {"deploy/settings.env"}


def test_what_documents_and_manifests_cite_is_there() -> None:
    cited = {
        f"{file.relative_to(ROOT)}: {path}"
        for file in files_of_the_repository()
        if file.parts[len(ROOT.parts)] in {"deploy", "docs", "README.md"}
        for path in CITED.findall(file.read_text(errors="replace"))
        if "." in Path(path).name and not (ROOT / path).exists()
        if path not in MADE_BY_ITS_READER
    }

    assert cited == set()


# Put together here, so that this file does not hold what it looks for.
REGISTRY_ADDRESS = re.compile(
    "|".join(
        [
            r"(extra-)?index-" + r"url[ =]+\S*https?:",
            r"https?://[^\s/]*(python" + "hosted|npm" + "js|arti" + "factory|nex" + r"us)\b",
            r"https?://[^\s\"']*/simp" + r"le/?(\s|$|[\"'])",
            r"https?://[^\s/:@\"']+:[^\s/@{}$<\"']+@[^\s/]*(py" + "pi|npm|regis" + "try)",
        ]
    )
)
MACHINES_OWN_PATH = re.compile(
    "|".join([re.escape(str(ROOT)), "/wo" + r"rk/(main|shared)\b", "/Us" + "ers/[a-z]"])
)


@pytest.mark.parametrize("pattern", [REGISTRY_ADDRESS, MACHINES_OWN_PATH], ids=["registry", "path"])
def test_no_file_tells_of_the_machine_it_was_written_on(pattern: re.Pattern[str]) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files_of_the_repository()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRY_ADDRESS, "--index-" + "url https://mirror.example/py"),
        (REGISTRY_ADDRESS, "https:" + "//files.python" + "hosted.org/packages/x.whl"),
        (REGISTRY_ADDRESS, '"resol' + 'ved": "https:' + "//example.npm" + 'js.org/x.tgz"'),
        (REGISTRY_ADDRESS, "PIP=https://mirror.example/simp" + "le/"),
        (MACHINES_OWN_PATH, f'File "{ROOT}/jobs/run.py"'),
    ],
)
def test_the_search_finds_what_it_looks_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
