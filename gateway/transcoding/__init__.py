"""From JSON to a message and back; endpoint is the story of one call.

In: bodies (bounds), parameters (the query), binding (all of it), conversion, masks (of a PATCH),
fields (what one accepts), faults (which are wrong). Out: conversion again, links (to pages).
"""
