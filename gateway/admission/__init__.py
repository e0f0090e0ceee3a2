"""May it come in: entrance asks in order for principals (who), cors (from which page), throttles
(how often, by counters and addresses), the role, and acting_headers (on whose account). What
identity has to look up for that is bounded in lookups.
"""
