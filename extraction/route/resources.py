"""Envoy's clusters and routes for a routing."""

import re
from typing import Any

from extraction.route.model import INTERNAL, Endpoint, ModuleRoutes, Routing, without_slash

Resource = dict[str, Any]

EDGE, UNITS = "edge", "units"
"""The route tables: for customers, and for units that call each other."""

ORIGINAL_HOST = "x-forwarded-host"
"""The Host that the client sent, kept while a request is redirected inside."""
EPOCH = "x-placement-epoch"
EPOCH_OF_HOST = "%DYNAMIC_METADATA(edge:epoch)%"
INTERNAL_HOST = r"(?i)(.*\.)?internal\.?(:.*)?"

SHARES = 10_000
"""Hundredths of a percent. The sum stays the same, so that a growing share only ever adds cohorts."""
TIMEOUT = "15s"
"""Of a request as a whole, retries included."""
SPLIT_TRY_TIMEOUT = "5s"
"""While reads are split, so that the home still has time to answer in the candidate's place."""
IDLE_TIMEOUT = "10s"
"""Less than the units' own (gunicorn's keepalive, 15 s): no request meets a connection that is being closed."""
BODY_LIMIT_BYTES = 4 * 1024 * 1024
READS = "GET|HEAD"
REDIRECTS = 2

TYPES = "type.googleapis.com/envoy"


def clusters(routing: Routing) -> list[Resource]:
    """One per unit; and for a module with a candidate those of its reads, so that they are counted apart."""
    found = [_cluster(unit, endpoints) for unit, endpoints in sorted(routing.units.items())]
    for routes in routing.modules:
        if routes.candidate:
            sides = (routes.candidate, routes.home)
            found += [_cluster(_side_cluster(routes, unit), routing.units[unit]) for unit in sides]
            found += [_with_fallback(routes, *sides), _with_fallback(routes, *reversed(sides))]
    return found


def edge_routes(routing: Routing) -> Resource:
    """What customers reach."""
    return _table(
        EDGE,
        [
            {"name": "internal", "match": {"path_separated_prefix": INTERNAL}, "direct_response": {"status": 404}},
            *(_moved(routing, unit) for unit in sorted(routing.units)),
            {
                "name": "internal-host",
                "match": {"prefix": "/", "headers": [matching(":authority", INTERNAL_HOST)]},
                "direct_response": {"status": 404},
            },
            *(route for routes in routing.modules for url in routes.urls for route in _of_module(routing, routes, url)),
            {
                "name": "default",
                "match": {"prefix": "/"},
                "route": _to(routing.default) | _following(routing) | {"retry_policy": _RETRY_NOTHING_DONE},
            },
        ],
    )


def unit_routes(routing: Routing) -> Resource:
    """What units ask of each other: /modules/<module>/… at the module's home."""
    return _table(
        UNITS,
        [
            {
                "name": f"{routes.module}-contracts",
                "match": {"prefix": f"/modules/{routes.module}/"},
                "route": _to(routes.home)
                | {"prefix_rewrite": "/", "host_rewrite_literal": "127.0.0.1", "retry_policy": _RETRY_NOTHING_DONE},
            }
            for routes in routing.modules
        ],
    )


def reads_cluster(routes: ModuleRoutes, unit: str) -> str:
    """The cluster that a module's reads for this unit are routed to, and counted under."""
    if unit == routes.candidate:
        return _either_cluster(routes, unit, routes.home)
    return _either_cluster(routes, unit, routes.candidate) if _stands_in(routes) else _side_cluster(routes, unit)


def matching(header: str, regex: str) -> Resource:
    """A matcher of requests whose header is of this form, as a whole."""
    return {"name": header, "string_match": {"safe_regex": {"regex": regex}}}


def _table(name: str, routes: list[Resource]) -> Resource:
    return {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": name,
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": name,
                "domains": ["*"],
                "request_body_buffer_limit": BODY_LIMIT_BYTES,
                "routes": routes,
            }
        ],
    }


def _moved(routing: Routing, unit: str) -> Resource:
    """Only for a request that Envoy itself redirects, to the host e<epoch>.<unit>.<module>.internal."""
    return {
        "name": moved_route(unit),
        "match": {
            "prefix": "/",
            "headers": [
                matching(":authority", rf"e[0-9]+\.{re.escape(unit)}\.[a-z0-9_-]+\.internal"),
                # A client that asks for an internal host has it here too; the edge sets this before anything else.
                matching(ORIGINAL_HOST, INTERNAL_HOST) | {"invert_match": True},
            ],
        },
        "request_headers_to_add": [
            {"header": {"key": EPOCH, "value": EPOCH_OF_HOST}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        "request_headers_to_remove": ["x-envoy-original-url"],
        "route": _to(unit)
        | _following(routing)
        | {"host_rewrite_header": ORIGINAL_HOST, "retry_policy": _RETRY_NOTHING_DONE},
    }


def moved_route(unit: str) -> str:
    """The name of the route to the unit that a refusal names."""
    return f"moved-to-{unit}"


def _of_module(routing: Routing, routes: ModuleRoutes, url: str) -> list[Resource]:
    prefix = {"path_separated_prefix": without_slash(url)}
    rest = {
        "name": f"{routes.module}-home",
        "match": prefix,
        "route": _to(routes.home) | _following(routing) | {"retry_policy": _RETRY_NOTHING_DONE},
    }
    if not routes.candidate:
        return [rest]
    return [_split(routing, routes, prefix), rest]


def _split(routing: Routing, routes: ModuleRoutes, prefix: Resource) -> Resource:
    share = round(routes.candidate_percent * SHARES / 100)
    return {
        "name": f"{routes.module}-reads",
        "match": {**prefix, "headers": [matching(":method", READS)]},
        "route": {
            "timeout": TIMEOUT,
            "hash_policy": [
                {"cookie": {"name": "cohort"}, "terminal": True},
                {"header": {"header_name": "authorization"}, "terminal": True},
                {"header": {"header_name": "x-request-id"}},
            ],
            "weighted_clusters": {
                "use_hash_policy": True,
                "clusters": [
                    {
                        "name": reads_cluster(routes, routes.candidate),
                        "weight": share,
                        # The home's own 500 is its answer; the candidate's is not yet the shop's.
                        "request_headers_to_add": [{"header": {"key": "x-envoy-retry-on", "value": "5xx"}}],
                    },
                    {
                        "name": reads_cluster(routes, routes.home),
                        "weight": SHARES - share,
                        "request_headers_to_add": (
                            [{"header": {"key": "x-envoy-retry-on", "value": "gateway-error"}}]
                            if _stands_in(routes)
                            else []
                        ),
                    },
                ],
            },
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
                "retriable_status_codes": [421],
                # One: each retry is then one failed attempt of the unit that was asked first.
                "num_retries": 1,
                "per_try_timeout": SPLIT_TRY_TIMEOUT,
                "retry_back_off": _SOON,
                "retry_priority": {
                    "name": "envoy.retry_priorities.previous_priorities",
                    "typed_config": {
                        "@type": f"{TYPES}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                        "update_frequency": 1,
                    },
                },
            },
            **_following(routing),
        },
    }


def _to(unit: str) -> Resource:
    return {"cluster": unit, "timeout": TIMEOUT}


def _following(routing: Routing) -> Resource:
    """Follow a refusal to the unit that it names. Every other redirect is the client's to follow."""
    return {
        "internal_redirect_policy": {
            "max_internal_redirects": REDIRECTS,
            "redirect_response_codes": [307],
            "predicates": [
                {
                    "name": "envoy.internal_redirect_predicates.allow_listed_routes",
                    "typed_config": {
                        "@type": f"{TYPES}.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig",
                        "allowed_route_names": [moved_route(unit) for unit in sorted(routing.units)],
                    },
                }
            ],
        }
    }


def _cluster(name: str, endpoints: tuple[Endpoint, ...]) -> Resource:
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": _BREAKERS,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(endpoint) for endpoint in endpoints]}],
        },
    }


def _endpoint(endpoint: Endpoint) -> Resource:
    return {"endpoint": {"address": {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}}}


def _stands_in(routes: ModuleRoutes) -> bool:
    """Whether a candidate without a share answers the reads of a home that cannot: it is fed by the home."""
    return bool(routes.candidate) and not routes.candidate_percent


def _with_fallback(routes: ModuleRoutes, first: str, second: str) -> Resource:
    """One unit, and after a failed attempt the other."""
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": _either_cluster(routes, first, second),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _BREAKERS,
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPES}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [
                    _side_cluster(routes, first),
                    _side_cluster(routes, second),
                ],
            },
        },
    }


def _either_cluster(routes: ModuleRoutes, first: str, second: str) -> str:
    return f"{_side_cluster(routes, first)}-or-{second}"


def _side_cluster(routes: ModuleRoutes, unit: str) -> str:
    return f"{routes.module}@{unit}"


_SOON = {"base_interval": "0.005s", "max_interval": "0.05s"}

_RETRY_NOTHING_DONE = {
    # 421 says "not the owner, nothing done". Whatever else went out may have had its effect.
    "retry_on": "connect-failure,refused-stream,retriable-status-codes",
    "retriable_status_codes": [421],
    "num_retries": 3,
    "retry_back_off": _SOON,
}

_BREAKERS = {
    "thresholds": [
        {
            "max_connections": 1024,
            "max_pending_requests": 1024,
            "max_requests": 2048,
            # Three at a time by default, too few when a unit falls away under load.
            "retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": 50},
        }
    ]
}
