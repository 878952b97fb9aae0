"""Networks as the value of a setting: a list, or text separated by commas."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from ground.addresses import Network
from keys.errors import KeyRefused
from keys.ring import parse_network
from server.setting_errors import Quoted


def _networks(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be networks such as 192.0.2.0/24, separated by commas")
    try:
        return tuple(parse_network(str(part)) for part in parts if part != "")
    except KeyRefused as error:
        raise Quoted(error.message) from None


Networks = Annotated[
    tuple[Network, ...],
    BeforeValidator(_networks),
    PlainSerializer(lambda networks: [str(network) for network in networks]),
]
