"""What can go wrong at the edge. Each message ends with what to do next.

RouteError
├── RoutingError   the routing contradicts itself
├── Rejected       Envoy does not take it; what was before still holds
└── EnvoyAway      Envoy does not answer on its admin port
"""


class RouteError(Exception):
    """The edge cannot be told where requests go."""


class RoutingError(RouteError):
    """The routing contradicts itself."""


class Rejected(RouteError):
    """Envoy does not take the routing; the one before still holds."""


class EnvoyAway(RouteError):
    """Envoy does not answer on its admin port."""
