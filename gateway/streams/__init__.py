"""Server-sent events: what happens in an account, told to who may know it.

From the stream of events to the browser: facts (what is shown), rights (to whom), hub (one
reading for all readers of this process), replay (what a returning reader missed), session
(one open stream), endpoints (the routes). docs/events.md is the reader's side.
"""
