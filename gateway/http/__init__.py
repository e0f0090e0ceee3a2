"""HTTP itself and what is around every request; knows nothing of contracts or accounts.

From the socket inwards: server, protocol (with arriving, outgoing, endings), early (refusals),
bounds; edge, exchange, origins, security (headers), metrics; routes, served (what they lead
to); errors, answers (with their envelope); conditions, ranges (RFC 9110); hangups.
"""
