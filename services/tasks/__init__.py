"""Tasks: what is to be written, for whom, and how far it has got.

Owns Task, Run and Generation. Never writes a text, never moves a credit: it asks content
whether a cluster exists, asks billing to hold credits, and hears what became of its work.
"""
