"""Each command says in one sentence what is wrong with its database."""

import sys

import pytest

from chassis import letters
from gateway.identity import __main__ as identity
from services.billing import reconcile

COMMANDS = {
    "reconcile": (reconcile.main, []),
    "letters": (letters.main, ["list"]),
    "appoint": (identity.main, ["appoint", "ada@example.com"]),
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
def test_a_command_says_what_is_wrong_with_its_database(name, url, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty.db").touch()
    monkeypatch.setenv("WRITER_DATABASE_URL", url.format(folder=tmp_path))
    main, arguments = COMMANDS[name]
    with pytest.raises(SystemExit) as stop:
        sys.exit(main(arguments))
    assert stop.value.code not in (0, None)
    printed = capsys.readouterr()
    assert printed.out == ""
    # Python prints a sentence that it is given instead of a code, and exits with 1.
    said = printed.err or f"{stop.value.code}\n"
    assert DATABASES[url] in said
    assert said.count("\n") == 1
    assert "secret" not in said
    assert not (tmp_path / "nothing.db").exists()
