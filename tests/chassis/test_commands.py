"""Each command says in one sentence what is wrong with its database."""

import subprocess
import sys

import pytest

COMMANDS = {
    "reconcile": (["services.billing.reconcile"], 2),
    "letters": (["chassis.letters", "list"], 1),
    "appoint": (["gateway.identity", "appoint", "ada@example.com"], 1),
}
DATABASES = {
    "": "WRITER_DATABASE_URL is not set",
    "oracle://nothing": "WRITER_DATABASE_URL: unsupported database: oracle",
    "postgresql://writer:secret@h:port/w": "WRITER_DATABASE_URL: this is not the URL of a database",
    "sqlite:///{folder}/nothing.db": "WRITER_DATABASE_URL: there is no such file",
    "sqlite:///{folder}/empty.db": "WRITER_DATABASE_URL: no such table: ",
    "postgresql://writer:secret@127.0.0.1:1/writer": "The database does not answer.",
}


@pytest.mark.parametrize("url", DATABASES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_is_wrong_with_its_database(name, url, tmp_path):
    (tmp_path / "empty.db").touch()
    arguments, code = COMMANDS[name]
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={"PYTHONPATH": ":".join(sys.path), "WRITER_DATABASE_URL": url.format(folder=tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    *_, said = done.stderr.splitlines()
    assert DATABASES[url] in said
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert not (tmp_path / "nothing.db").exists()
