"""The environment of a process: its variables, and the `.env` files, which win over them.

Dagster copies the `.env` of its working directory over its environment when it starts, and its code servers and runs
inherit the result. The same order here gives every process one value, whichever command started it:
environment, `.env` of the working directory, `.env` of `RAG_HOME`.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rag_assets.aws.secrets import PARAMETER_SUFFIX, SECRET_SUFFIX, AwsSecret
from rag_assets.errors import ConfigurationError
from rag_assets.secret_values import remember, remember_variables

HOME = "RAG_HOME"
SHELL = "environment"


@dataclass(frozen=True)
class Layer:
    """The variables of one place.

    Attributes:
        origin: `SHELL`, or the path of a `.env` file.
    """

    origin: str
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """A variable with two values, from `loser` and `winner`."""

    name: str
    loser: str
    lost: str
    winner: str
    won: str


@dataclass(frozen=True)
class Environment:
    """All variables in effect.

    Attributes:
        home: folder of relative paths, absolute.
        layers: lowest first. A variable of a later one wins, also if it is empty, as in Dagster.
    """

    home: Path
    layers: tuple[Layer, ...]

    @cached_property
    def variables(self) -> dict[str, str]:
        """Name -> value in effect. An empty value counts as unset."""
        return _merged(self.layers)

    def origin(self, name: str) -> str:
        """Return the origin of the value in effect. The variable must be set."""
        return next(layer.origin for layer in reversed(self.layers) if name in layer.variables)

    def path(self, name: str) -> Path:
        """Return the path in a variable that is set."""
        return self.home / _expanded(self.variables[name])

    def differences(self) -> Iterator[Difference]:
        """Yield each variable of a `.env` file with another value below it. An empty value below is none."""
        for number, layer in enumerate(self.layers[1:], start=1):
            below = Environment(self.home, self.layers[:number])
            for name, won in layer.variables.items():
                lost = below.variables.get(name)
                if lost and lost != won:
                    yield Difference(name, below.origin(name), lost, layer.origin, won)

    @contextmanager
    def exported(self) -> Generator[None]:
        """Export for the length of a block."""
        names = {name for layer in self.layers[1:] for name in layer.variables}
        before = {name: os.environ.get(name) for name in names}
        self.export()
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def export(self) -> None:
        """Copy the values in effect to the variables of this process, as Dagster does, for libraries that read them."""
        for layer in self.layers[1:]:
            os.environ.update(layer.variables)


def read_environment() -> Environment:
    """Read the variables of this process and the `.env` files.

    Raises:
        ConfigurationError: a file cannot be read, or RAG_HOME is not the absolute path of a folder.
    """
    working_folder = Path.cwd()
    layers = [Layer(SHELL, dict(os.environ)), *_env_file(working_folder)]
    given = _merged(layers).get(HOME)
    home = _checked_home(given) if given else working_folder
    if given and not home.samefile(working_folder):
        above = _env_file(home)
        layers += above
        moved = _merged(above).get(HOME)
        if moved and not _checked_home(moved).samefile(home):
            raise ConfigurationError(
                f"{HOME}: {home / '.env'} names another folder, {moved}. The file is read because {HOME} is {home}: remove "
                "that line"
            )
    for layer in layers:
        remember_variables(layer.variables)
    return Environment(home, tuple(layers))


def file_variable(name: str) -> str:
    """Return the variable for the file of a secret."""
    return f"{name}_FILE"


def secret_variables(name: str) -> tuple[str, ...]:
    """Return the variables for a secret: its own, that for its file, and those for its place in AWS."""
    return name, file_variable(name), f"{name}{SECRET_SUFFIX}", f"{name}{PARAMETER_SUFFIX}"


def variable_of_secret(name: str, variables: Mapping[str, str]) -> str | None:
    """Return the one variable with a value, or None.

    Raises:
        ConfigurationError: several have one.
    """
    found = [variable for variable in secret_variables(name) if variables.get(variable)]
    if len(found) > 1:
        raise ConfigurationError(
            f"{' and '.join(found)} are both set: keep one. An empty line for the other in `.env` unsets it"
        )
    return found[0] if found else None


def secret(name: str, variables: Mapping[str, str], home: Path) -> str | None:
    """Return a secret: the value of its variable, the content of `<variable>_FILE`, as containers hand over secrets, or from AWS.

    Args:
        home: folder of a relative path.

    Raises:
        ConfigurationError: two of them are set, the file has no content to read, or AWS refuses it.
        SecretUnavailable: AWS does not answer.
    """
    variable = variable_of_secret(name, variables)
    if variable is None or variable == name:
        return variables.get(name)
    if variable != file_variable(name):
        return AwsSecret(variable, variables[variable]).fetch()
    path = home / _expanded(variables[variable])
    try:
        # Not `read_text`, which would replace a carriage return within the secret.
        content = path.read_bytes().decode()
    except OSError as error:
        raise ConfigurationError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}: {path} is no text in UTF-8") from None
    content = content.removesuffix("\n").removesuffix("\r")
    if not content:
        raise ConfigurationError(f"{variable}: {path} is empty")
    remember(content)
    return content


def colors_wanted() -> bool:
    """Whether the environment allows colors on a terminal. See https://no-color.org."""
    return not os.environ.get("NO_COLOR")


def moves_cursor() -> bool:
    """Whether a terminal, if there is one, can move its cursor."""
    return os.environ.get("TERM", "") not in ("", "dumb")


def dagster_home() -> Path:
    """Return the folder of Dagster's own data: `DAGSTER_HOME`, else the working folder."""
    return _expanded(os.environ.get("DAGSTER_HOME") or ".").absolute()


def worker_environment() -> dict[str, str]:
    """Return the environment of a process for parsing documents: this package, and no secret."""
    kept = (
        *("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "TESSDATA_PREFIX"),
        *("PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    )
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_THREAD_LIMIT": "1",
        # openpyxl imports numpy. Its OpenBLAS takes address space per processor, and a parser has little of it.
        "OPENBLAS_NUM_THREADS": "1",
    }


def _merged(layers: "list[Layer] | tuple[Layer, ...]") -> dict[str, str]:
    return {name: value for layer in layers for name, value in layer.variables.items()}


def _env_file(folder: Path) -> list[Layer]:
    path = folder / ".env"
    if not path.exists():
        return []
    from dotenv import dotenv_values

    try:
        values = {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the file {path} ({type(error).__name__})") from None
    return [Layer(str(path), values)]


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises if there is no such home


def _checked_home(text: str) -> Path:
    home = _expanded(text)
    if not home.is_absolute():
        raise ConfigurationError(
            f"{HOME}: expected an absolute path, found `{text}`: processes in other folders would take it for another one"
        )
    if not home.is_dir():
        raise ConfigurationError(f"{HOME}: {home} is not a folder")
    return home
