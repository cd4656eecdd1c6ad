"""What Envoy is started with: its listeners, and where it reads clusters and routes."""

from pathlib import Path
from typing import Any

from extraction.route.resources import BODY_LIMIT_BYTES, EDGE, ORIGINAL_HOST, READS, TYPES, UNITS, matching

Configuration = dict[str, Any]

FORGEABLE = ("x-envoy-", "x-placement-", "x-unit", "x-edge-")
"""Prefixes of headers that only the edge and the units may set."""

CLUSTERS, CLUSTERS_FILE, ROUTES_FILE = "clusters", "clusters.json", "routes.json"
"""A directory for the clusters and one per route table: a rename makes Envoy read what the directory holds."""


CONNECTIONS = 10_000
"""Of customers at the same time; a further one is closed. Units are not counted: who holds all of these keeps no unit
from asking another."""
IDLE_CLIENT_TIMEOUT = "75s"
"""Without a request on it, a customer's connection is closed; Envoy's own hour would let few clients hold them all."""

WHOLE_REQUEST_TIMEOUT = "60s"
"""From a customer's first byte to the last: a body that drips, or a tunnel that is never one, ends with 408."""


def bootstrap(directory: Path, *, host: str, port: int, internal_port: int, admin_port: int) -> Configuration:
    """Listeners are fixed; clusters and routes are read from `directory` whenever a file is renamed into it."""
    return {
        "node": {"id": "edge", "cluster": "edge"},
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "dynamic_resources": {"cds_config": _files(directory / CLUSTERS, CLUSTERS_FILE)},
        "static_resources": {
            "listeners": [
                _listener(EDGE, host, port, _edge(directory)),
                _listener(UNITS, "127.0.0.1", internal_port, _units(directory)) | {"ignore_global_conn_limit": True},
            ]
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{TYPES}.extensions.resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        "max_active_downstream_connections": CONNECTIONS,
                    },
                }
            ]
        },
    }


def _listener(name: str, host: str, port: int, manager: Configuration) -> Configuration:
    return {
        "name": name,
        # A second process on the port is an error, not a partner.
        "enable_reuse_port": False,
        "address": _address(host, port),
        "per_connection_buffer_limit_bytes": BODY_LIMIT_BYTES,
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def _edge(directory: Path) -> Configuration:
    manager = _manager(directory, EDGE)
    return manager | {
        "request_timeout": WHOLE_REQUEST_TIMEOUT,
        "common_http_protocol_options": manager["common_http_protocol_options"] | {"idle_timeout": IDLE_CLIENT_TIMEOUT},
        "early_header_mutation_extensions": [
            {
                "name": "envoy.http.early_header_mutation.header_mutation",
                "typed_config": {
                    "@type": f"{TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [
                        *({"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in FORGEABLE),
                        {
                            "append": {
                                "header": {"key": ORIGINAL_HOST, "value": "%REQ(:AUTHORITY)%"},
                                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                            }
                        },
                    ],
                },
            }
        ],
        "http_filters": [_epoch_of_host(), _whole_body(), _no_internal_names(), _router()],
    }


def _units(directory: Path) -> Configuration:
    """Units are believed: one that hands on a visitor's form says by X-Forwarded-Proto how that came."""
    return _manager(directory, UNITS) | {"use_remote_address": False}


def _manager(directory: Path, table: str) -> Configuration:
    return {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": table,
        "codec_type": "HTTP1",
        "use_remote_address": True,
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{TYPES}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "local_reply_config": _own_answers(),
        "common_http_protocol_options": {
            # WSGI cannot tell x_placement_epoch from x-placement-epoch.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "rds": {"route_config_name": table, "config_source": _files(directory / table, ROUTES_FILE)},
        "access_log": [_access_log(directory, table)],
        "http_filters": [_whole_body(), _router()],
    }


def _own_answers() -> Configuration:
    """What Envoy says itself has the shape of what the units say, and names no upstream."""
    writes = {"header_filter": {"header": matching(":method", READS) | {"invert_match": True}}}
    # The unit had the request; whether it did it nobody knows.
    lost = {"response_flag_filter": {"flags": ["UC", "UR", "UT", "UPE"]}}
    return {
        "mappers": [
            {
                "filter": {"and_filter": {"filters": [writes, lost]}},
                "body": {"inline_string": "The connection to the shop broke; whether it was done is not known."},
                "headers_to_add": [{"header": {"key": "x-ambiguous", "value": "1"}}],
                "body_format_override": _problem("ambiguous"),
            },
            {
                "filter": _code("GE", 500, "unavailable"),
                "body": {"inline_string": "The shop does not answer; try again."},
                "body_format_override": _problem("unavailable"),
            },
            {
                "filter": _code("EQ", 404, "not_found"),
                "body": {"inline_string": "Not found."},
                "body_format_override": _problem("not_found"),
            },
        ],
        "body_format": _problem("refused"),
    }


def _code(op: str, code: int, name: str) -> Configuration:
    value = {"default_value": code, "runtime_key": f"edge.{name}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _problem(code: str) -> Configuration:
    return {
        "json_format": {"detail": "%LOCAL_REPLY_BODY%", "code": code},
        "content_type": "application/problem+json",
    }


def _epoch_of_host() -> Configuration:
    return {
        "name": "epoch",
        "typed_config": {
            "@type": f"{TYPES}.extensions.filters.http.header_to_metadata.v3.Config",
            "request_rules": [
                {
                    "header": ":authority",
                    "on_header_present": {
                        "metadata_namespace": "edge",
                        "key": "epoch",
                        "type": "STRING",
                        "regex_value_rewrite": {
                            "pattern": {"regex": r"^e([0-9]+)\..*$"},
                            "substitution": r"\1",
                        },
                    },
                }
            ],
        },
    }


def _whole_body() -> Configuration:
    """A redirect inside can only be followed with the whole body at hand; a longer one is answered 413."""
    return {
        "name": "body",
        "typed_config": {
            "@type": f"{TYPES}.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": BODY_LIMIT_BYTES,
        },
    }


def _no_internal_names() -> Configuration:
    """A redirect that Envoy could not follow becomes a 503: nothing was done, and the host is nobody's to know."""
    return {
        "name": "unfollowed",
        "typed_config": {
            "@type": f"{TYPES}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": (Path(__file__).parent / "unfollowed.lua").read_text()},
        },
    }


def _router() -> Configuration:
    return {
        "name": "router",
        "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True},
    }


def _access_log(directory: Path, table: str) -> Configuration:
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(directory / "log" / f"{table}.json"),
            "log_format": {
                "json_format": {
                    "at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                    "method": "%REQ(:METHOD)%",
                    # Queries carry what people search for, and now and then a secret.
                    "path": "%PATH(NQ:PATH)%",
                    "code": "%RESPONSE_CODE%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "route": "%ROUTE_NAME%",
                    "cluster": "%UPSTREAM_CLUSTER_RAW%",
                    "upstream": "%UPSTREAM_HOST%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "duration_ms": "%DURATION%",
                    "redirected_epoch": "%REQ(X-PLACEMENT-EPOCH)%",
                    "served_by": "%RESP(X-SERVED-BY)%",
                }
            },
        },
    }


def _address(host: str, port: int) -> Configuration:
    return {"socket_address": {"address": host, "port_value": port}}


def _files(directory: Path, name: str) -> Configuration:
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": str(directory / name), "watched_directory": {"path": str(directory)}},
    }
