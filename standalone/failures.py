"""What can go wrong on one machine, said in one sentence for whoever typed the command."""

from __future__ import annotations


class Failure(Exception):
    """The command cannot go on; the message is the sentence to print."""


class Interrupted(Exception):
    """Somebody asked to stop while something was being waited for."""
