"""Each command says in one sentence what is wrong with its database."""

import subprocess
import sys

import pytest
from sqlalchemy.engine import make_url

from chassis import letters
from chassis.connections import async_url
from gateway.identity import __main__ as identity
from services.billing import reconcile
from standalone import __main__ as launcher

COMMANDS = {
    "reconcile": (reconcile.main, []),
    "letters": (letters.main, ["list"]),
    "appoint": (identity.main, ["appoint", "ada@example.com"]),
    "migrate": (launcher.main, ["migrate", "billing"]),
}
DATABASES = {
    "oracle://nothing": "unsupported database: oracle",
    "postgresql://writer:secret@h:port/w": "this is not the URL of a database",
    "postgresql://writer:secret@h:99999/w": "there is no port 99999",
    "postgresql://writer:secret@h/w?sslrootcert=x": "unknown option: sslrootcert",
    "postgresql://writer:secret@127.0.0.1:1/writer": "Connect call failed",
    "{server}": 'database "nothing" does not exist',
    "sqlite:///{folder}/junk.db": "file is not a database",
}
ONLY_READ = {
    "": "WRITER_DATABASE_URL is not set",
    "sqlite:///{folder}/nothing.db": "there is no such file",
    "sqlite:///{folder}/empty.db": "no such table: ",
}
CASES = [(name, url) for name in COMMANDS for url in DATABASES] + [
    (name, url) for name in COMMANDS.keys() - {"migrate"} for url in ONLY_READ
]


@pytest.mark.parametrize(("name", "url"), sorted(CASES))
def test_a_command_says_what_is_wrong_with_its_database(
    name, url, tmp_path, monkeypatch, capsys, postgres
):
    (tmp_path / "empty.db").touch()
    (tmp_path / "junk.db").write_text("This is a text, and no database at all. " * 100)
    server = postgres.url("nothing")
    monkeypatch.setenv("WRITER_DATABASE_URL", url.format(folder=tmp_path, server=server))
    main, arguments = COMMANDS[name]
    with pytest.raises(SystemExit) as stop:
        sys.exit(main(arguments))
    assert stop.value.code not in (0, None)
    printed = capsys.readouterr()
    assert printed.out == ""
    # Python prints a sentence that it is given instead of a code, and exits with 1.
    said = printed.err or f"{stop.value.code}\n"
    assert (DATABASES | ONLY_READ)[url] in said
    assert "WRITER_DATABASE_URL" in said or "cannot be migrated" in said
    assert said.count("\n") == 1
    assert "secret" not in said
    assert not (tmp_path / "nothing.db").exists()


def test_that_is_all_it_says():
    url = "postgresql://writer:secret@127.0.0.1:1/writer"
    done = subprocess.run(
        [sys.executable, "-m", "chassis.letters", "list"],
        env={"PYTHONPATH": ":".join(sys.path), "WRITER_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert said.startswith("letters: WRITER_DATABASE_URL: ")


@pytest.mark.parametrize("name", ["ssl", "sslmode"])
def test_the_driver_is_told_how_to_encrypt(name):
    url = async_url(f"postgresql://writer@h/w?{name}=verify-full")
    assert url == make_url("postgresql+asyncpg://writer@h/w?ssl=verify-full")
