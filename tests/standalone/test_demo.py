"""What the demo says at its end, before an API whose charges arrive late."""

import re
import shlex

import pytest

from standalone import demo
from standalone.__main__ import main
from standalone.place import USUAL, Place
from standalone.seed import FIELDS

CHARGES = {"text": -12, "prompts": -6, "pictures": -9}
ANSWERS = {
    "writer/clusters": {"id": "c"},
    "writer/tasks": {"id": "t"},
    "writer/content/a": {"id": "a", "title": "Tea", "status": "review", "word_count": 400},
}


class LateCharges:
    """An account whose run has ended; it hears of its charges look by look."""

    def __init__(self, *heard, charges=CHARGES, reserved=0):
        self._heard = list(heard)
        self._charges = charges
        self._reserved = reserved

    def __call__(self, path, _body):
        path = path.partition("?")[0]
        if path == "billing/credits/balance":
            available = 100 + sum(self._charges.values())
            return 200, {"data": {"available": available, "reserved": self._reserved}}
        if path == "billing/credits/transactions":
            rows = [{"run_id": "r", "amount": amount} for amount in self._charges.values()]
            return 200, {"results": [*rows, {"run_id": "", "amount": 100}]}
        if path in ("writer/tasks/auto_generate_content", "writer/runs/r"):
            return 200, {"data": self._run()}
        if path == "writer/images":
            return 200, {"results": []}
        return 200, {"data": ANSWERS[path]}

    def _run(self):
        heard = self._heard.pop(0) if len(self._heard) > 1 else self._heard[0]
        images = {"total": 3, "generated": 3}
        generation = {"task_title": "Tea", "state": "succeeded", "content_id": "a"}
        return {
            "id": "r",
            "state": "succeeded",
            "credits_charged": heard,
            "generations": [generation | {"images": images}],
        }


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    monkeypatch.setattr(demo, "POLL_S", 0.01)
    monkeypatch.setattr(demo, "SETTLE_S", 0.1)


def shown(api, answer):
    api.answer = answer
    target = ("--api-key", "k", "--site-id", "s", "--sector-id", "t")
    return main(["demo", "--url", api.url, *target])


def test_a_charge_that_reaches_the_run_late_is_waited_for(api, monkeypatch, capsys):
    monkeypatch.setattr(demo, "SETTLE_S", 10)
    assert shown(api, LateCharges(0, 25, 25, 25, 27)) == 0
    assert "27 charged for this run." in capsys.readouterr().out


def test_a_run_that_never_agrees_with_its_account_is_a_failure(api, capsys):
    assert shown(api, LateCharges(25)) == 1
    said = capsys.readouterr()
    assert "charged for this run" not in said.out
    assert re.search("cost 25 credits, and the account was charged 27 for it", said.err)


def test_credits_that_are_held_for_other_runs_do_not_fail_the_demo(api, capsys):
    assert shown(api, LateCharges(27, reserved=5)) == 0
    assert "27 charged for this run." in capsys.readouterr().out


def test_a_command_to_repeat_names_the_data_folder_unless_it_is_the_usual_one(tmp_path):
    place = Place(tmp_path / "a folder")
    assert shlex.split(f"./writer up{place.option}") == [
        "./writer", "up", "--data", str(tmp_path / "a folder")
    ]  # fmt: skip
    assert Place(USUAL).option == ""
    said = {"url": "http://127.0.0.1:1", "model": "offline"} | dict.fromkeys(FIELDS, "x")
    assert f"--new-account{place.option}" in demo._of_stack(said, place, fresh=False).fresh
