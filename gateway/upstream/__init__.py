"""The call to a service: services (where they are, what they are told, what their failures mean),
callers (who asks, as they see it). gRPC itself is `gateway.grpc_client`.
"""
