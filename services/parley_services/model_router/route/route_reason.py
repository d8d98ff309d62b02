"""Why a route was chosen: `RouteReason` of the router's proto."""

from parley_services.kit.chat.wire_enum import WireEnum


class RouteReason(WireEnum):
    """Why a route was chosen."""

    UNSPECIFIED = 0
    NAMED = 1
    PRIORITY = 2
    HEALTH = 3
    AUTO_SMALL = 4
    AUTO_LARGE = 5
    RETRY = 6
    HEDGE = 7
    HEDGE_LOST = 8
