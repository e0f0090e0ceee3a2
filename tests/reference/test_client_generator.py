"""A client generator that knows nothing of us makes a client with names one would choose."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

WITHIN_S = 110
TRIAL = """
import json, sys
from writer_client import AuthenticatedClient
from writer_client.api.task import create_task, list_tasks
from writer_client.models import ContentStructureInput, ContentTypeInput, CreateTaskRequest

said = json.loads(sys.argv[1])
client = AuthenticatedClient(base_url=said["url"], token=said["api_key"], prefix="ApiKey")
body = CreateTaskRequest(
    title="How to choose a teapot",
    cluster_id=said["cluster_id"],
    content_type=ContentTypeInput.POST,
    content_structure=ContentStructureInput.GUIDE,
)
made = create_task.sync(
    client=client, body=body, x_site_id=said["site_id"], x_sector_id=said["sector_id"]
)
found = list_tasks.sync(client=client, search="teapot", page_size=5)
print(made.data.title, found.count, found.results[0].id == made.data.id, found.results[0].status)
"""


@pytest.mark.slow
def test_a_generated_client_has_sensible_names_and_works(stack, demo, tmp_path):
    document = tmp_path / "openapi.json"
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "standalone", "openapi"],
        capture_output=True,
        timeout=WITHIN_S,
        check=True,
    )
    document.write_bytes(printed.stdout)
    config = tmp_path / "config.yml"
    # The formatter's own hooks are about style; they would need a ruff beside the generator.
    config.write_text("package_name_override: writer_client\npost_hooks: []\n")
    program = Path(sysconfig.get_path("scripts")) / "openapi-python-client"
    client = tmp_path / "client"
    options = ["--path", document, "--config", config, "--output-path", client]
    made = subprocess.run(
        [program, "generate", "--fail-on-warning", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    operations = {
        operation["operationId"]
        for item in json.loads(printed.stdout)["paths"].values()
        for operation in item.values()
    }
    assert {path.stem for path in (client / "writer_client/api").rglob("*.py")} >= operations
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, json.dumps({"url": stack.url, **demo})],
        capture_output=True,
        text=True,
        cwd=client,
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "How to choose a teapot 1 True queued\n"
