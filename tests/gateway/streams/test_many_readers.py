"""A thousand readers on one gateway process, and what they cost."""

import pytest

from benchmarks import streams
from standalone.stack import Stack

READERS = 1_000
READER_KB_MAX = 60
"""Measured: 18 KB."""
GROWTH_MB_MAX = 20
"""While thousands of events go through; measured: 2 MB."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_readers_are_held_in_bounded_memory_and_miss_nothing(tmp_path, capsys):
    streams.allow_files(3 * READERS)
    with Stack(tmp_path, environment=streams.environment(READERS)) as stack:
        result = await streams.measure(stack, readers=READERS, accounts=10, rounds=30, pause_s=0.3)
    with capsys.disabled():
        print("\n" + "\n".join(result.lines()))  # noqa: T201  the figures are wanted
    assert result.incomplete == 0
    assert result.rss_connected - result.rss_before < READERS * READER_KB_MAX / 1024
    assert result.rss_busy - result.rss_connected < GROWTH_MB_MAX
