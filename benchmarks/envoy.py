"""Envoy's configuration: its gRPC-JSON transcoder, with or without its JWT filter before it."""

from importlib import resources

DESCRIPTORS = resources.files("writer").joinpath("api.binpb")


def configuration(port, backend, log, jwt=None):
    """A listener with the transcoder before the backend; with `jwt`, tokens are verified first."""
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "access_log": [_access_log(log)],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "tasks"}}],
                }
            ]
        },
        "http_filters": [*([_jwt_filter(jwt)] if jwt else []), *_filters()],
    }
    listener = {
        "name": "in",
        "address": _address("127.0.0.1", port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(backend)]}}


def _filters():
    return [
        {
            "name": "envoy.filters.http.grpc_json_transcoder",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http."
                "grpc_json_transcoder.v3.GrpcJsonTranscoder",
                "proto_descriptor": str(DESCRIPTORS),
                "services": ["writer.tasks.v1.TaskService"],
                "convert_grpc_status": True,
                "print_options": {
                    "always_print_primitive_fields": True,
                    "preserve_proto_field_names": True,
                },
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
            },
        },
    ]


def _cluster(backend):
    host, _, port = backend.rpartition(":")
    return {
        "name": "tasks",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3."
                "HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "tasks",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(host, int(port))}}]}],
        },
    }


def _address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def _access_log(path):
    """A line of JSON a request, as ours writes."""
    fields = ("START_TIME", "REQ(:METHOD)", "REQ(:PATH)", "RESPONSE_CODE", "DURATION")
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": {name: f"%{name}%" for name in fields}},
        },
    }


def _jwt_filter(jwt):
    """Verifies the bearer token with a cache; issuer, audience and expiry are checked."""
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3."
            "JwtAuthentication",
            "providers": {
                "writer": {
                    "issuer": jwt["iss"],
                    "audiences": [jwt["aud"]],
                    "local_jwks": {"inline_string": jwt["jwks"]},
                    "forward_payload_header": "x-claims",
                    "jwt_cache_config": {"jwt_cache_size": 1000},
                }
            },
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "writer"}}],
        },
    }
