"""The plumbing that every process is bolted to.

Knows no business noun. Nothing enters before two processes need it, and nothing here
imports a service, the gateway or the launcher. Its shelves:

- a process: process (starting), commands, settings, keys, telemetry (log_line), clock, ids, memory,
  health, housekeeping, waiting
- calls: server (native), client, interceptors, caller, access, fields, masks, errors, status, times
- data: database (sqlite, postgres, connections), columns, statements, tenancy, pages, replies,
  etags, migrate, plumbing
- events: events, outbox, inbox, bus, consumers (pull), feed, dead_letters, letters
- outside parties: retry, model, model_effort, model_errors
"""
