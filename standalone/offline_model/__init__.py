"""The offline model: a local server that speaks the OpenAI wire format and writes without a model.

It is an outside party: it imports nothing of the Writer, and only the launcher imports it.
"""
