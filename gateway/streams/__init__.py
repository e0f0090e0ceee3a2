"""Server-sent events: what happens in an account, told to who may know it.

From the stream of events to the browser: facts (what is shown), rights (to whom), hub (one
reading for all readers of this process), replay (what a returning reader missed), stories (what
belongs to a stream), session, channel and frames (one open stream, its answer, its bytes),
asking and endpoints (the requests). docs/events.md is the reader's side.
"""
