"""The plumbing that every process is bolted to.

Knows no business noun. Nothing enters before two processes need it, and nothing here
imports a service, the gateway or the launcher.
"""
