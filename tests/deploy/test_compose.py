"""docker-compose.yml says what the code understands, and lets nobody in by accident."""

import importlib.util
import json
import re
from importlib import resources

import jsonschema
import pytest
import yaml

from chassis.postgres import CONNECTIONS_MAX
from chassis.settings import PEERS, Settings
from standalone.__main__ import parser
from standalone.health import PROBES
from standalone.prepare import ISSUERS

SECRET = re.compile(r"password|secret|key|token", re.IGNORECASE)
# Read by libraries: the object store's client takes these from the environment by itself.
READ_BY_LIBRARIES = {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
SERVICES = ("tasks", "content", "images", "billing")
POSTGRES_CONNECTIONS = 100 - 3
"""Its default `max_connections`, without those that it keeps for superusers."""
GATEWAYS_MORE = 2
"""Beside the one in the file, as docs/gateway.md promises."""


def environment(part):
    return {name: str(value) for name, value in part.get("environment", {}).items()}


def source(root, *folders):
    return "\n".join(
        path.read_text() for folder in folders for path in (root / folder).rglob("*.py")
    )


def package(name):
    return "gateway" if name == "gateway" else f"services/{name}"


def is_job(part):
    return part.get("restart") == "no"


def test_the_file_follows_the_compose_specification(compose_text):
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    document = yaml.safe_load(compose_text)
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["services"]["tasks"]["helthcheck"] = {}
    assert not validator.is_valid(document), "the schema would not notice anything"


def test_every_process_of_ours_is_a_module_that_exists(ours):
    for name, part in ours.items():
        command = [*part["command"]]
        assert command[:2] == ["python", "-m"], name
        assert importlib.util.find_spec(command[2]), command
        if command[2] == "standalone":
            parser().parse_args(command[3:])
        else:
            assert importlib.util.find_spec(f"{command[2]}.__main__")


def test_all_processes_are_there(ours):
    assert {name for name, part in ours.items() if not is_job(part)} == {*SERVICES, "gateway"}
    migrated = {p["command"][-1] for n, p in ours.items() if n.startswith("migrate-")}
    assert migrated == {*SERVICES, "identity"}


def test_the_database_has_connections_for_all_and_for_more_gateways(ours, services):
    assert "command" not in services["postgres"], "its max_connections may be another one"
    holding = [part for part in ours.values() if "WRITER_DATABASE_URL" in environment(part)]
    processes = sum(not is_job(part) for part in holding)
    assert processes == len(SERVICES) + 1
    assert (processes + GATEWAYS_MORE) * CONNECTIONS_MAX <= POSTGRES_CONNECTIONS


def test_every_setting_is_understood_by_the_process_that_gets_it(ours, root):
    common = source(root, "chassis", "standalone")
    for name, part in ours.items():
        read = common if is_job(part) else common + source(root, package(name))
        for variable in environment(part):
            known = (
                f'"{variable}"' in read
                or variable in READ_BY_LIBRARIES
                or variable.removeprefix("WRITER_PEER_").lower() in PEERS
            )
            assert known, f"nobody reads {variable} of {name}"


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_every_process_finds_the_settings_that_it_needs(ours, root, name):
    settings = Settings.from_env(name, environment(ours[name]))
    code = source(root, package(name))
    wanted = set(re.findall(r'host\.peer\("(\w+)"\)', code))
    wanted |= set(SERVICES) if name == "gateway" else set()
    assert set(settings.peers) == wanted
    for peer, address in settings.peers.items():
        assert address == f"{peer}:50051"
        assert environment(ours[peer])["WRITER_LISTEN"] == "0.0.0.0:50051"
    assert settings.signing_key == f"/keys/{name}/{name}.pem"
    model = {"OPENAI_API_KEY", "OPENAI_BASE_URL"}
    assert model <= set(environment(ours[name])) or "Model.from_settings" not in code


def test_every_container_that_stays_has_a_health_check(services):
    for name, part in services.items():
        assert is_job(part) != ("healthcheck" in part), name


def test_the_health_checks_of_ours_ask_where_the_process_listens(ours):
    for name, part in ours.items():
        if is_job(part):
            continue
        program, flag, module, probe, address = part["healthcheck"]["test"][1:]
        assert (program, flag, module) == ("python", "-m", "standalone.health")
        assert probe in PROBES
        assert probe == ("http" if name == "gateway" else "grpc")
        port = environment(part)["WRITER_LISTEN"].rpartition(":")[2]
        assert address == f"127.0.0.1:{port}"


def test_containers_wait_for_what_they_need_in_the_way_that_it_ends(services):
    for name, part in services.items():
        for needed, how in part.get("depends_on", {}).items():
            condition = "completed_successfully" if is_job(services[needed]) else "healthy"
            assert how == {"condition": f"service_{condition}"}, (name, needed)
    for name in (*SERVICES, "gateway"):
        database = "identity" if name == "gateway" else name
        assert {"nats", "keys", f"migrate-{database}"} <= set(services[name]["depends_on"])


def test_every_database_is_used_by_its_owner_alone(ours):
    users = {}
    for name, part in ours.items():
        if url := environment(part).get("WRITER_DATABASE_URL"):
            user, host, database = re.fullmatch(
                r"postgresql://(\w+):secret@(\w+)/(\w+)", url
            ).groups()
            assert user == database
            assert host == "postgres"
            users.setdefault(database, set()).add(name)
    assert users == {
        **{name: {name, f"migrate-{name}"} for name in SERVICES},
        "identity": {"gateway", "migrate-identity"},
    }


def test_every_process_mounts_its_own_key_and_no_other(ours):
    for name, part in ours.items():
        mounted = {tuple(volume.split(":", 1)) for volume in part.get("volumes", ())}
        if name == "keys":
            everyone = {(f"key-{issuer}", f"/keys/{issuer}") for issuer in ISSUERS}
            assert mounted == everyone | {("trusted", "/keys/trusted")}
        elif name in ISSUERS:
            assert mounted == {
                (f"key-{name}", f"/keys/{name}:ro"),
                ("trusted", "/keys/trusted:ro"),
            }
        else:
            assert not mounted, name


def test_only_the_gateway_is_published_and_only_on_the_loopback_interface(services):
    published = {name: part["ports"] for name, part in services.items() if "ports" in part}
    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])
    assert not any(part.get("network_mode") == "host" for part in services.values())


def test_only_who_must_call_outside_can(compose, services):
    assert compose["networks"]["inside"] == {"internal": True}
    outside = {name for name, part in services.items() if "outside" in part.get("networks", ())}
    assert outside == {"content", "images", "gateway"}


def test_secrets_have_no_defaults_and_are_never_written_down(compose_text, variables, root):
    for name, kinds in variables.items():
        if SECRET.search(name):
            assert kinds == {"?"}, f"{name} has a default"
    for line in compose_text.splitlines():
        key, _, value = line.strip().partition(": ")
        if SECRET.search(key) and value and not value.startswith(("/keys/", "*")):
            assert "${" in value, line
    example = dict(
        line.split("=", 1)
        for line in (root / "deploy" / "env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    required = {name for name, kinds in variables.items() if "?" in kinds}
    assert {name for name, value in example.items() if not value} == required
    assert set(example) <= set(variables)


def test_processes_of_ours_can_change_nothing_but_their_volumes(ours):
    for name, part in ours.items():
        assert part["read_only"] is True, name
        assert part["cap_drop"] == ["ALL"], name
        assert "user" not in part, "the image's own user is nobody in particular"


def test_containers_have_limits_and_come_back(services):
    for name, part in services.items():
        if not is_job(part):
            assert part["restart"] == "unless-stopped", name
            assert set(part["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert part["logging"]["options"]["max-size"], name


def test_the_image_of_ours_is_built_once_and_never_pulled(services, ours):
    assert len({part["image"] for part in ours.values()}) == 1
    assert [name for name, part in services.items() if "build" in part] == ["keys"]
    policies = {name: part["pull_policy"] for name, part in ours.items()}
    assert policies.pop("keys") == "build"
    assert set(policies.values()) == {"never"}


def test_images_of_others_are_pinned(services):
    for name, part in services.items():
        if not part["image"].startswith("writer:"):
            assert re.search(r":v?\d+\.\d+(\.\d+)?", part["image"]), name


def test_what_is_mounted_from_the_checkout_exists(services, root):
    for part in services.values():
        for volume in part.get("volumes", ()):
            if volume.startswith("./"):
                assert (root / volume.split(":")[0]).exists(), volume


def test_every_volume_and_network_is_declared_and_used(compose, services):
    used = {
        volume.split(":")[0]
        for part in services.values()
        for volume in part.get("volumes", ())
        if not volume.startswith("./")
    }
    assert used == set(compose["volumes"])
    networks = {network for part in services.values() for network in part.get("networks", ())}
    assert networks == set(compose["networks"])
