"""What a change of many tasks reads: those tasks, however many others there are."""

from contextlib import suppress

import pytest
from support.plans import explained

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.ids import new_id
from services.tasks.domain import TaskStatus
from services.tasks.store.tasks import TaskStore


@pytest.mark.parametrize("chosen", [{}, {"site_id": "s"}, {"site_id": "s", "sector_id": "t"}])
def test_the_status_of_many_tasks_is_set_by_their_ids(tmp_path, chosen):
    caller = Caller(issuer="gateway", principal="user:1", account_id="a", role="editor", **chosen)
    with explained(tmp_path, "services.tasks") as (connection, plans):
        with suppress(NotFound):
            TaskStore(connection, caller).set_status([new_id() for _ in "ab"], TaskStatus.QUEUED)
        # The change, and then what of it is missing.
        assert len(plans) == 2
        for (step,) in plans:
            assert step.startswith("SEARCH tasks USING")
            assert "(account_id=? AND id=?)" in step
