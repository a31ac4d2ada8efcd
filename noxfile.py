"""The project's checks: `nox` runs tests, lint, types and docs; `nox -l` lists all."""

import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.default_venv_backend = "virtualenv"

PYPROJECT = nox.project.load_toml("pyproject.toml")
STRICT = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}


def installed(*versions: str) -> list[str]:
    """Those versions of Python that start: a command of that name may exist and still lead nowhere."""

    def starts(version: str) -> bool:
        command = shutil.which(f"python{version}")
        if command is None:
            return False
        probe = subprocess.run([command, "-c", ""], capture_output=True, check=False)  # noqa: S603  # what `which` found
        return probe.returncode == 0

    return [version for version in versions if starts(version)]


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session(python=installed("3.11", "3.12", "3.13") or None)
def tests(session: nox.Session) -> None:
    """Run the tests against the installed package, each warning an error and asyncio in debug mode."""
    session.install(".[cli]", *group("tests"))
    session.run("pytest", *session.posargs, env=STRICT)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and hold them to the floor of branch coverage."""
    session.install(".[cli]", *group("tests"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=STRICT)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's form."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of package and tests as strictly as can be."""
    session.install(".[cli]", *group("tests"), *group("types"))
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs; a warning or a missing public name is an error."""
    session.install(".", *group("docs"))
    session.run("python", ".ci/docs/build.py", "build/docs")


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions and run the tests against the wheel."""
    session.install("build", *group("tests"))
    target = Path(session.create_tmp())
    session.run("python", "-m", "build", "--outdir", str(target), silent=True)
    wheel = max(target.glob("*.whl"))
    session.install(f"{wheel}[cli]")
    session.run("pytest", *session.posargs, env=STRICT)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, print their table and write benchmarks/results.json and the charts."""
    session.install(".[cli]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
