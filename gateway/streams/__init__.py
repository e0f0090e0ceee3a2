"""Server-sent events: what happens in an account, told to who may know it (docs/events.md).

From the stream to the browser: facts (what is shown), rights (to whom), hub (one reading for all
readers), replay (what one has missed), stories (what belongs to a stream), session, outlet,
event_format (one open stream, its answer, its bytes); asking, endpoints (the requests)."""
