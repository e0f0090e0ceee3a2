"""Settings of a process, read from WRITER_* variables once at its start.

Every default works on one machine, except what must differ between processes (addresses,
database, keys), which is required and named when it is missing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

LOG_LEVELS = ("INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")
"""The first is the default, as below."""
GRPC_ENGINES = ("GRPCIO", "NATIVE")
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
PORT_MAX = 65_535
_BAD_FILE_OR_URL = (OSError, ValueError, LookupError)
PEERS = ("tasks", "content", "images", "billing", "identity")


class SettingsError(Exception):
    """A setting is missing or cannot be understood; the message names the variable."""


@contextmanager
def told_as(
    variable: str, errors: tuple[type[Exception], ...] = _BAD_FILE_OR_URL
) -> Iterator[None]:
    """These errors inside are the variable's fault. Raises SettingsError instead."""
    try:
        yield
    except errors as error:
        raise SettingsError(f"{variable}: {error}") from error


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process needs to know about its surroundings."""

    name: str
    """The process: tasks, content, images, billing or gateway."""
    listen: str
    """host:port of the gRPC server (of the HTTP server for the gateway)."""
    database_url: str = field(repr=False)
    nats_url: str = field(repr=False)
    signing_key: str
    """Path of this process's private key (PEM)."""
    trusted_keys: str
    """Path of the public keys of all processes (JWKS)."""
    peers: Mapping[str, str]
    """Address of each other service, host:port."""
    ack_wait_s: float
    """Silence after which a delivery counts as lost and is sent again."""
    deliveries_max: int
    """Deliveries of one event before it becomes a dead letter."""
    migrate: bool
    """Whether the process migrates its own database when it starts."""
    reuse_port: bool
    """Whether several processes may share the listening port."""
    grpc_engine: str
    """What serves gRPC: grpcio, or native (chassis.server)."""
    log_level: str
    variables: Mapping[str, str] = field(repr=False)
    """All variables, for what only one room needs; keys and passwords are among them."""

    @classmethod
    def from_env(cls, name: str, variables: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings of process `name`. Raises SettingsError."""
        env = dict(os.environ if variables is None else variables)
        return cls(
            name=name,
            listen=_required(env, "WRITER_LISTEN"),
            database_url=_required(env, "WRITER_DATABASE_URL"),
            nats_url=_required(env, "WRITER_NATS_URL"),
            signing_key=_required(env, "WRITER_SIGNING_KEY"),
            trusted_keys=_required(env, "WRITER_TRUSTED_KEYS"),
            peers={
                peer: _address(env, f"WRITER_PEER_{peer.upper()}")
                for peer in PEERS
                if env.get(f"WRITER_PEER_{peer.upper()}")
            },
            ack_wait_s=_number(env, "WRITER_ACK_WAIT_S", 30.0, minimum=0.5),
            deliveries_max=_whole_number(env, "WRITER_MAX_DELIVERIES", 6, minimum=1),
            migrate=_switch(env, "WRITER_MIGRATE"),
            reuse_port=_switch(env, "WRITER_REUSE_PORT"),
            grpc_engine=_one_of(env, "WRITER_GRPC_ENGINE", GRPC_ENGINES).lower(),
            log_level=_one_of(env, "WRITER_LOG_LEVEL", LOG_LEVELS),
            variables=env,
        )

    def extra(self, variable: str, default: str = "") -> str:
        """A variable that only one room reads; `default` when absent or empty."""
        return self.variables.get(variable) or default

    def number(self, variable: str, default: float, *, minimum: float) -> float:
        """A number that only one room reads. Raises SettingsError."""
        return _number(self.variables, variable, default, minimum=minimum)

    def whole_number(self, variable: str, default: int, *, minimum: int) -> int:
        """The same without a fraction. Raises SettingsError."""
        return _whole_number(self.variables, variable, default, minimum=minimum)


def _required(env: Mapping[str, str], variable: str) -> str:
    value = env.get(variable)
    if not value:
        raise SettingsError(f"{variable} is not set")
    return value


def _address(env: Mapping[str, str], variable: str) -> str:
    address = _HOST_PORT.fullmatch(env[variable])
    if address is None or not 0 < int(address[2]) <= PORT_MAX:
        raise SettingsError(f"{variable} is not host:port: {env[variable]!r}")
    return env[variable]


def _number(env: Mapping[str, str], variable: str, default: float, *, minimum: float) -> float:
    text = env.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise SettingsError(f"{variable} is not a number: {text!r}") from error
    if not minimum <= value < math.inf:
        raise SettingsError(f"{variable} must be a number of at least {minimum:g}")
    return value


def _whole_number(env: Mapping[str, str], variable: str, default: int, *, minimum: int) -> int:
    value = float(_number(env, variable, default, minimum=minimum))
    if not value.is_integer():
        raise SettingsError(f"{variable} must be a whole number")
    return int(value)


def _switch(env: Mapping[str, str], variable: str) -> bool:
    return _one_of(env, variable, ("0", "1")) == "1"


def _one_of(env: Mapping[str, str], variable: str, allowed: tuple[str, ...]) -> str:
    text = (env.get(variable) or allowed[0]).upper()
    if text not in allowed:
        raise SettingsError(f"{variable} must be one of {', '.join(allowed)}")
    return text
