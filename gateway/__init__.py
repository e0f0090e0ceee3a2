"""The REST gateway: authenticates, transcodes JSON to gRPC and back, and decides nothing else.

Its rooms, in the order in which a request meets them; `docs/gateway.md` tells the story:

- put together: app, configuration (the variables)
- the socket: server, protocol, bounds
- around every request: edge, exchange, security, metrics, pages (health)
- may it come in: entrance, authentication, acting (on another account), cors,
  throttles (counters, addresses)
- where to: routes, contracts
- from JSON to a message: bodies, parameters, binding, masks, fields, faults
- the call: transcoding, upstream, channel (gRPC itself), hangups
- and back: conversion, answers, conditions, links, errors
- files of images: files, ranges
- the description of it all: openapi
- server-sent events: streams
- accounts and users, shaped like a service: identity
"""
