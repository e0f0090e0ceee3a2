"""What must hold once all work has ended, however often anything has died on the way.

Read from the services' own databases where the API does not show it: rows that no caller
may see would be the first sign of work done twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from math import ceil

from crashes.writer import DATABASES

WORDS_A_CREDIT = 100
ENDED = {"succeeded", "partly_failed", "failed", "cancelled", "budget_reached"}


def check(writer) -> None:
    """Everything below."""
    nothing_is_left_to_do(writer)
    for name in DATABASES:
        assert writer.rows(name, "SELECT consumer, reason FROM dead_letters") == []
    contents_are_unique(writer)
    pictures_are_unique(writer)
    charges_are_unique(writer)
    ledger_is_sound(writer)


def nothing_is_left_to_do(writer) -> None:
    """Every run and generation has ended, no credits are held, no event is unsent."""
    assert writer.unfinished() == {}
    states = writer.rows("tasks", "SELECT state FROM runs UNION SELECT state FROM generations")
    assert {state for (state,) in states} <= ENDED
    pending = "SELECT id FROM generations WHERE pictures_state = 'pending' AND state = 'succeeded'"
    assert writer.rows("tasks", pending) == []


def contents_are_unique(writer) -> None:
    """One content for each generation that succeeded, none for others; tasks know theirs."""
    written = writer.rows("tasks", "SELECT id, content_id FROM generations WHERE content_id <> ''")
    stored = writer.rows("content", "SELECT generation_id, id FROM contents")
    assert sorted(stored) == sorted(written)
    revisions = writer.rows("content", "SELECT content_id, number FROM content_revisions")
    assert sorted(revisions) == sorted((content, 1) for _, content in stored)
    tasks = writer.rows(
        "tasks",
        "SELECT t.status, t.content_id, g.state, g.content_id"
        " FROM tasks t JOIN generations g ON g.id = t.generation_id",
    )
    for status, task_content, state, content in tasks:
        assert (status == "completed") == (state == "succeeded")
        assert task_content == content
    doubled = Counter(writer.rows("content", "SELECT content_id, taxonomy_id FROM content_terms"))
    assert set(doubled.values()) <= {1}


def pictures_are_unique(writer) -> None:
    """One row a slot, one file a picture that is the file the row promises, and no other file."""
    rows = writer.rows(
        "images",
        "SELECT image_set_id, content_id, image_type, position, status, storage_key, sha256, bytes"
        " FROM images",
    )
    slots = Counter(row[1:4] for row in rows)
    assert set(slots.values()) <= {1}, slots
    files = writer.stack.place.files
    promised = set()
    by_set = defaultdict(Counter)
    for set_id, _content, _kind, _position, status, key, sha256, size in rows:
        by_set[set_id][status] += 1
        if status == "generated":
            data = (files / key).read_bytes()
            assert hashlib.sha256(data).hexdigest() == sha256
            assert len(data) == size
            promised.add(files / key)
    assert {path for path in files.rglob("*") if path.is_file()} == promised
    sets = writer.rows("images", "SELECT id, state, total, generated, failed FROM image_sets")
    for set_id, state, total, generated, failed in sets:
        counted = by_set[set_id]
        assert state == "completed"
        assert (total, generated, failed) == (
            counted.total(),
            counted["generated"],
            counted["failed"],
        )
    flags = writer.rows(
        "content",
        "SELECT id, images_pending, images_generated, images_failed, status, has_featured"
        " FROM contents WHERE image_set_version > 0",
    )
    of_content = defaultdict(Counter)
    for row in rows:
        of_content[row[1]][row[4]] += 1
    for content, pending, generated, failed, status, has_featured in flags:
        counted = of_content[content]
        assert (pending, generated, failed) == (0, counted["generated"], counted["failed"])
        complete = generated > 0 and failed == 0
        assert (status == "review") == complete
        assert not complete or has_featured


def charges_are_unique(writer) -> None:
    """What was made is paid for once by its size; what was not made costs nothing."""
    found = writer.rows(
        "billing",
        "SELECT key, state, credits_reserved, credits_charged, run_id FROM reservations",
    )
    reservations = {key: rest for key, *rest in found}
    assert len(reservations) == len(found)
    generations = writer.rows(
        "tasks", "SELECT reservation_key, state, words_written, credits FROM generations"
    )
    for key, state, words, known in generations:
        settled, reserved, charged, _run = reservations.pop(key)
        assert settled == ("committed" if state == "succeeded" else "voided")
        due = min(ceil(words / WORDS_A_CREDIT), reserved) if state == "succeeded" else 0
        assert charged == known == due
    sets = writer.rows("images", "SELECT id, total, reason FROM image_sets")
    for set_id, total, _reason in sets:
        prompts = reservations.pop(f"prompts/{set_id}", None)
        assert prompts is None or (prompts[0] == "committed") == (total > 0)
    pictures = writer.rows("images", "SELECT id, attempt, status FROM images")
    for image, attempt, status in pictures:
        picture = reservations.pop(f"image/{image}/{attempt}", None)
        if picture is not None:
            assert (picture[0] == "committed") == (status == "generated")
        else:
            assert status == "pending"
    assert reservations == {}, "credits were held for things that do not exist"
    charged_by_run = Counter()
    for _key, _state, _reserved, charged, run in found:
        charged_by_run[run] += charged
    for run, charged in writer.rows("tasks", "SELECT id, credits_charged FROM runs"):
        assert charged == charged_by_run[run]


def ledger_is_sound(writer) -> None:
    """Every posting sums to zero, every balance is the sum of its postings, nothing twice."""
    unbalanced = (
        "SELECT transaction_id FROM ledger_entries GROUP BY transaction_id HAVING SUM(amount) <> 0"
    )
    assert writer.rows("billing", unbalanced) == []
    sums = writer.rows(
        "billing",
        "SELECT account_id, ledger_account, SUM(amount) FROM ledger_entries GROUP BY 1, 2",
    )
    posted = defaultdict(dict)
    for account, ledger_account, amount in sums:
        posted[account][ledger_account] = amount
    balances = writer.rows(
        "billing", "SELECT account_id, available, reserved, spent FROM account_balances"
    )
    for account, available, reserved, spent in balances:
        entries = posted.pop(account, {})
        assert (available, reserved, spent) == (
            entries.get("available", 0),
            entries.get("reserved", 0),
            entries.get("spent", 0),
        )
        assert reserved == 0
    assert not posted
    settled_twice = (
        "SELECT reservation_id FROM ledger_transactions WHERE kind IN ('commit', 'void', 'expire')"
        " GROUP BY reservation_id HAVING COUNT(*) > 1"
    )
    assert writer.rows("billing", settled_twice) == []
    granted = "SELECT account_id FROM grants GROUP BY account_id HAVING COUNT(*) > 1"
    assert writer.rows("billing", granted) == []
    usage = writer.rows(
        "billing",
        "SELECT r.credits_charged, u.credits, r.state FROM reservations r"
        " LEFT JOIN usage_records u ON u.reservation_id = r.id",
    )
    for charged, used, state in usage:
        assert charged == (used or 0)
        assert used is not None or state != "committed"


def account_adds_up(customer) -> None:
    """What the API shows of an account agrees with itself."""
    balance = customer.balance()
    assert balance["reserved"] == 0
    listed = customer.rest().get("billing/credits/transactions", page_size=100)
    assert listed["count"] <= 100
    assert sum(row["amount"] for row in listed["results"]) == balance["available"]
    assert balance["granted"] == balance["available"] + balance["spent"]
