"""A quarter of an hour of steady work of all kinds: in its last ten minutes no answer leaves
something behind, and nothing surprises."""

from collections import Counter

import pytest

from benchmarks import soak
from standalone.stack import Stack

MINUTES, PACE_S = 15, 0.1
"""Tokens live for five minutes: until then what is remembered of them grows."""
LEFT_BY_AN_ANSWER_BYTES_MAX = 384
"""By the slope of the last two thirds, for each process. Not 0: accounts come all the time,
allocators settle, and pictures come and go, which looks like up to 270 bytes
(benchmarks/README.md). What only a rare act leaves behind is below this: for that run
`benchmarks/soak.py` for hours."""
GROWTH_FILES_MAX = 4
"""Over the whole time. Not 0: connections come and go between two samples."""


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 120)
async def test_in_ten_minutes_of_work_no_answer_leaves_something_behind(tmp_path, capsys):
    with Stack(tmp_path, environment=soak.ENVIRONMENT) as stack:
        result = await soak.measure(stack, minutes=MINUTES, pace_s=PACE_S)
        assert stack.ended() is None
    with capsys.disabled():
        print("\n" + "\n".join(result.lines()))  # noqa: T201  the figures are wanted
    assert result.surprises == []
    for name in result.processes:
        _, files_an_hour = result.growth(name)
        assert result.left_by_an_answer(name) < LEFT_BY_AN_ANSWER_BYTES_MAX, name
        assert files_an_hour * MINUTES / 60 < GROWTH_FILES_MAX, name


@pytest.mark.parametrize("samples", [12, 60, 90])
def test_growth_is_told_alike_however_often_it_is_sampled(monkeypatch, samples):
    monkeypatch.setattr(soak, "SAMPLES", samples)
    moments = soak.moments(100.0, 10)
    assert (len(moments), moments[0]) == (samples, 100.0)
    assert moments[-1] + 600 / samples == pytest.approx(700.0)
    # Six megabytes and three files an hour; what happens before it is warm does not count.
    hours = [(moment_s - 100.0) / 3600 for moment_s in moments]
    cold = [900.0] * (samples // soak.WARM)
    rss_mb = [*cold, *(50 + 6 * hour for hour in hours[len(cold) :])]
    process = soak.Process(1, rss_mb, [3 * hour for hour in hours])
    result = soak.Result(10, {"one": process}, Counter({200: 1024, 404: 1024}), [])
    assert result.growth("one") == pytest.approx((6.0, 3.0))
    assert result.left_by_an_answer("one") == pytest.approx(512.0)
