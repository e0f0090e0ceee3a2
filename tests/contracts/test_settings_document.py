"""docs/settings.md names every variable that some process reads, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"\b(?:WRITER|OPENAI)_[A-Z][A-Z_]*[A-Z]\b")


def test_the_settings_document_is_complete_and_true():
    read = set()
    for folder in ("chassis", "services", "gateway"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= set(re.findall(r'"((?:WRITER|OPENAI)_[A-Z_]*[A-Z])"', path.read_text()))
    documented = set(NAME.findall((ROOT / "docs" / "settings.md").read_text()))
    peers = {name for name in documented if name.startswith("WRITER_PEER_")}
    assert read == documented - peers
