"""How asking a model is set up, and what holds when nobody sets anything."""

from typing import get_args

import pytest
from openai.types.shared import ReasoningEffort

from chassis.model import policy_from
from chassis.model_effort import EFFORTS, effort_from, effort_of
from chassis.retry import next_delay_s
from chassis.settings import Settings, SettingsError

NEEDED = {
    "WRITER_LISTEN": "127.0.0.1:0",
    "WRITER_DATABASE_URL": "sqlite:///unused.db",
    "WRITER_NATS_URL": "nats://unused",
    "WRITER_SIGNING_KEY": "unused.pem",
    "WRITER_TRUSTED_KEYS": "unused.json",
}


def policy(**variables):
    return policy_from(Settings.from_env("content", {**NEEDED, **variables}))


def test_without_settings_a_model_is_asked_four_times_for_two_minutes_each():
    usual = policy()
    assert (usual.attempts_max, usual.attempt_s, usual.total_s) == (4, 120.0, 600.0)


def test_without_settings_a_busy_provider_is_given_a_minute_at_least_and_two_at_most():
    usual = policy()
    waits = [next_delay_s(usual, attempt) for attempt in range(1, usual.busy_attempts_max)]
    assert waits[0] >= 1
    assert 60 <= sum(waits) <= 120


def test_attempts_time_and_waits_can_be_set():
    hasty = policy(
        WRITER_MODEL_ATTEMPTS="2",
        WRITER_MODEL_BUSY_ATTEMPTS="3",
        WRITER_MODEL_TIMEOUT_S="1.5",
        WRITER_MODEL_FIRST_DELAY_S="0",
    )
    assert (hasty.attempts_max, hasty.busy_attempts_max) == (2, 3)
    assert (hasty.attempt_s, hasty.first_delay_s) == (1.5, 0.0)


@pytest.mark.parametrize(
    "variable",
    [
        "WRITER_MODEL_ATTEMPTS",
        "WRITER_MODEL_BUSY_ATTEMPTS",
        "WRITER_MODEL_TIMEOUT_S",
        "WRITER_MODEL_FIRST_DELAY_S",
    ],
)
@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf"])
def test_what_is_no_bound_is_refused_by_the_name_of_the_variable(variable, value):
    with pytest.raises(SettingsError, match=variable):
        policy(**{variable: value})


def setting(**variables):
    return effort_from(Settings.from_env("content", {**NEEDED, **variables}))


@pytest.mark.parametrize(
    "model", ["gpt-5-mini", "gpt-5", "gpt-5.1", "gpt-5-nano-2025-08-07", "o4-mini", "openai/o3"]
)
def test_without_a_setting_models_that_think_are_told_to_think_little(model):
    assert effort_of(model, setting()) == "low"


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-chat-latest", "gpt-5-pro", "llama-3", ""])
def test_without_a_setting_other_models_are_told_nothing(model):
    assert effort_of(model, setting()) == ""


def test_an_effort_that_is_set_is_sent_to_any_model_and_default_to_none():
    assert effort_of("a-model", setting(WRITER_REASONING_EFFORT="High")) == "high"
    assert effort_of("gpt-5-mini", setting(WRITER_REASONING_EFFORT="default")) == ""


def test_efforts_are_those_of_the_client():
    [known] = [each for each in get_args(ReasoningEffort) if get_args(each)]
    assert get_args(known) == EFFORTS


def test_an_unknown_effort_is_refused_by_the_name_of_the_variable():
    with pytest.raises(SettingsError, match="WRITER_REASONING_EFFORT must be one of default, none"):
        setting(WRITER_REASONING_EFFORT="much")
