"""The project's checks: `nox` runs tests, lint, types and docs; `nox -l` lists all."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.default_venv_backend = "virtualenv"

PYPROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = ",".join(PYPROJECT["project"]["optional-dependencies"])
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
    session.install(f".[{EXTRAS}]", *group("docs"))
    session.run("python", ".ci/docs/build.py", "build/docs")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist, check both, install the wheel without extras, and run the sdist's tests against it."""
    session.install(*group("build"))
    target = Path(session.create_tmp()).resolve()
    for old in target.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    session.run("python", "-m", "build", "--outdir", str(target), silent=True)
    wheel, sdist = max(target.glob("*.whl")), max(target.glob("*.tar.gz"))
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    if "cc_async/py.typed" not in ZipFile(wheel).namelist():
        session.error("The wheel has no cc_async/py.typed, so type checkers ignore its types.")
    without_extras(session, wheel, target / "without-extras")
    shutil.unpack_archive(sdist, target, filter="data")
    session.install(f"{wheel}[cli]", *group("tests"))
    session.chdir(target / sdist.name.removesuffix(".tar.gz"))
    session.run("pytest", *session.posargs, env=STRICT)


def without_extras(session: nox.Session, wheel: Path, venv: Path) -> None:
    """Check in a fresh environment that the package works without extras, and names the one that something needs."""
    session.run("python", "-m", "venv", str(venv))
    python = str(venv / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    session.run(python, ".ci/extras.py", external=True)
    session.run(python, "-m", "pip", "install", "--quiet", f"{wheel}[redis]", external=True)
    session.run(python, ".ci/extras.py", "encryption", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, print their table and write benchmarks/results.json and the charts."""
    session.install(".[cli]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def recordings(session: nox.Session) -> None:
    """Record the commands that the README shows, and write their pictures to benchmarks/."""
    session.install(".[cli]")
    session.run("python", "-m", "benchmarks.recordings", *session.posargs)
