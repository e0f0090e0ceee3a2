"""Ten minutes of steady work of all kinds: nothing grows, nothing surprises."""

import pytest

from benchmarks import soak
from standalone.stack import Stack

MINUTES, PACE_S = 10, 0.1
GROWTH_MB_MAX = 8
"""Over the last two thirds of the time, for each process; measured: see benchmarks/README.md."""
GROWTH_FILES_MAX = 15


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 120)
async def test_ten_minutes_of_work_leave_no_process_larger(tmp_path, capsys):
    with Stack(tmp_path, environment=soak.ENVIRONMENT) as stack:
        result = await soak.measure(stack, minutes=MINUTES, pace_s=PACE_S)
        assert stack.ended() is None
    with capsys.disabled():
        print("\n" + "\n".join(result.lines()))  # noqa: T201  the figures are wanted
    assert result.surprises == []
    hours = MINUTES / 60 * (soak.WARM - 1) / soak.WARM
    for name in result.processes:
        megabytes, files = result.growth(name)
        assert megabytes * hours < GROWTH_MB_MAX, name
        assert files * hours < GROWTH_FILES_MAX, name
