"""The REST gateway: authenticates, transcodes JSON to gRPC and back, and decides nothing else.

Its rooms; each lists its modules. `docs/gateway.md` tells the story of a request, and
import-linter (pyproject.toml) says which room may know which.

- app: where a request goes, and how all is put together; configuration: the variables
- contracts: every route and method, read from the descriptors
- http: the socket, bounds, ids, common headers, errors and the envelope, conditions, routes
- admission: credentials, origins of pages, throttles, roles, acting on another account
- transcoding: JSON to a message, the call, a message to JSON
- upstream: the services behind the gateway, and what they are told
- grpc_client: gRPC itself, in the event loop
- beside: health, public keys, files of images
- streams: server-sent events
- openapi: the reference
- identity: accounts and users, shaped like a service
"""
