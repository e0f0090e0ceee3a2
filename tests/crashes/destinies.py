"""Briefs whose ends are known beforehand: written with pictures, or failed at one of the stages."""

from crashes import invariants

from chassis.ids import new_id

# Together they make every event of the pipeline happen.
DESTINIES = ("text:refuse", "prompts:refuse", "image:refuse", "")
ENDS = [("failed", "failed"), *(("succeeded", end) for end in ("failed", "failed", "succeeded"))]


def title(fault=""):
    """A title that nobody else has, with a marker for the offline model."""
    return f"{new_id()} {f'[[offline:{fault}]]' if fault else ''}".strip()


def all_ended_as_destined(writer, customer, run):
    """The four tasks of DESTINIES have come to their ends, each once."""
    run = customer.run(run["id"])
    assert run["state"] == "partly_failed"
    ends = [(each["state"], each["images"]["state"]) for each in run["generations"]]
    assert ends == ENDS
    invariants.check(writer)
    invariants.account_adds_up(customer)
