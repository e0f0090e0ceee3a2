"""Which processes make a Writer, in the order of their start, and what each is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from standalone import model
from standalone.place import Place
from standalone.ports import address_of, hold_port, listen
from standalone.processes import Program

SERVICES = ("billing", "content", "images", "tasks")
PRELOAD = (
    *(f"services.{name}.__main__" for name in SERVICES),
    "gateway.__main__",
    "chassis.sqlite",
    "standalone.offline_model.server",
)
"""Imported once, before anything is forked; the model's client stays lazy (0.9 s, 45 MB)."""
LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process and how to find out that it is ready."""

    program: Program
    address: str = ""
    probe: str = ""
    """A key of health.PROBES; empty when being alive is all there is to know."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The processes of one stack; `held` are sockets that must stay open as long as it lives."""

    parts: Sequence[Part]
    addresses: Mapping[str, str] = field(default_factory=dict)
    held: Sequence[socket.socket] = ()


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a plan is made for."""

    place: Place
    nats_url: str
    http: socket.socket
    environment: Mapping[str, str]


Planner = Callable[[Ground], Plan]


def whole(ground: Ground) -> Plan:
    """The offline model when it is needed, the four services, the gateway."""
    held = {name: hold_port() for name in (*SERVICES, "identity")}
    addresses = {name: address_of(sock) for name, sock in held.items()}
    addresses["gateway"] = address_of(ground.http)
    parts = []
    offline_address = ""
    if model.is_offline(ground.environment):
        sock = held["model"] = listen(0)
        offline_address = addresses["model"] = address_of(sock)
        env = dict(ground.environment)
        program = Program(name="model", module="standalone.model", env=env, inherits=sock)
        parts.append(Part(program=program, address=offline_address))
    common = _common(ground, addresses) | model.settings_for(ground.environment, offline_address)
    for name in SERVICES:
        program = Program(
            name=name,
            module=f"services.{name}.__main__",
            env=common | _own(ground.place, name, name) | {"WRITER_LISTEN": addresses[name]},
        )
        parts.append(Part(program=program, address=addresses[name], probe="grpc"))
    parts.append(_gateway(ground, common, addresses))
    return Plan(parts=parts, addresses=addresses, held=list(held.values()))


def _common(ground: Ground, addresses: Mapping[str, str]) -> dict[str, str]:
    """What all processes are told; the user's own settings stay unless they would not fit."""
    env = dict(ground.environment)
    # A proxy that the user has for the world outside has no business between our processes.
    excepted = ",".join(filter(None, (env.get("NO_PROXY") or env.get("no_proxy"), LOOPBACK)))
    return env | {
        "NO_PROXY": excepted,
        "no_proxy": excepted,
        "WRITER_NATS_URL": ground.nats_url,
        "WRITER_TRUSTED_KEYS": str(ground.place.keys / "trusted.json"),
        "WRITER_FILES_URL": ground.place.files.as_uri(),
        "WRITER_REUSE_PORT": "1",
        **{
            f"WRITER_PEER_{name.upper()}": address
            for name, address in addresses.items()
            if name in (*SERVICES, "identity")
        },
    }


def _own(place: Place, issuer: str, database: str) -> dict[str, str]:
    return {
        "WRITER_SIGNING_KEY": str(place.keys / f"{issuer}.pem"),
        "WRITER_DATABASE_URL": place.database_url(database),
    }


def _gateway(ground: Ground, common: Mapping[str, str], addresses: Mapping[str, str]) -> Part:
    program = Program(
        name="gateway",
        module="gateway.__main__",
        env={
            **common,
            **_own(ground.place, "gateway", "identity"),
            "WRITER_LISTEN": addresses["gateway"],
            "WRITER_IDENTITY_LISTEN": addresses["identity"],
            "WRITER_ACCESS_KEYS": str(ground.place.keys / "access"),
        },
        inherits=ground.http,
    )
    return Part(program=program, address=addresses["gateway"], probe="http")


def user_environment() -> dict[str, str]:
    """The user's environment without what only a parent of ours may set."""
    ours = ("WRITER_LISTEN_FD", "WRITER_MIGRATE")
    return {name: value for name, value in os.environ.items() if name not in ours}
