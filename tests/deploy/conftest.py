"""The compose file as an engine reads it, with values for its variables."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def compose_text():
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="session")
def variables(compose_text):
    """How the file uses each variable: `?` required, `-` with a default."""
    found = {}
    for name, kind, _ in _VARIABLE.findall(compose_text):
        found.setdefault(name, set()).add(kind)
    return found


@pytest.fixture(scope="session")
def compose(compose_text):
    """The file with defaults filled in, and `secret` for what is required."""

    def value(match):
        return match[3] if match[2] == "-" else "secret"

    return yaml.safe_load(_VARIABLE.sub(value, compose_text))


@pytest.fixture(scope="session")
def services(compose):
    return compose["services"]


@pytest.fixture(scope="session")
def ours(services):
    """The containers of our own image."""
    return {name: part for name, part in services.items() if part["image"].startswith("writer:")}
