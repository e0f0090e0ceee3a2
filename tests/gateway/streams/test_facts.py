"""What is shown of the events: derived from the contracts, and named in the document."""

import re
from pathlib import Path

from writer.events.v1 import generation_pb2

from chassis.access import LEVELS
from chassis.feed import Stored
from gateway.contracts import load_contracts
from gateway.streams.facts import Catalogue

ROOT = Path(__file__).resolve().parents[3]
SHOWN = Catalogue(load_contracts())
SUBJECT = "writer.acme.s.run.ended"
ENDED = generation_pb2.RunEnded(account_id="acme", site_id="s").SerializeToString()


def test_the_document_names_every_event_that_is_shown():
    document = (ROOT / "docs" / "events.md").read_text()
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", document)) == SHOWN.types


def test_every_event_that_is_shown_is_shown_to_somebody():
    assert all(SHOWN.level(name) in LEVELS["owner"] for name in SHOWN.types)
    viewers = {name for name in SHOWN.types if SHOWN.level(name) in LEVELS["viewer"]}
    assert {name for name in viewers if name.startswith("credits")} == {"credits.low"}


def test_what_cannot_be_read_is_not_shown():
    assert SHOWN.told(Stored(1, SUBJECT, {}, ENDED)) is not None
    assert SHOWN.told(Stored(1, SUBJECT, {}, b"\xff\xff")) is None
    assert SHOWN.told(Stored(1, SUBJECT, {"ce-type": "writer.events.v1.Other"}, ENDED)) is None
    assert SHOWN.told(Stored(1, "writer.acme.s.run.exploded", {}, ENDED)) is None
    assert SHOWN.told(Stored(1, "writer.acme.run.ended", {}, ENDED)) is None
    assert SHOWN.told(Stored(1, SUBJECT.replace("acme", "other"), {}, ENDED)) is None
