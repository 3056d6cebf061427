"""Where a replica listens for other deployments."""

from __future__ import annotations

import ray
from ray.serve._private import replica
from ray.serve._private.replica import add_port_to_grpc_server


def listen_at_node_address() -> None:
    """Open this replica's port for other deployments at its node's address only: loopback, for a local Ray.

    Ray Serve 2.60 opens it on all interfaces, without a token and with no option to change that.
    """
    address = f"{ray.util.get_node_ip_address()}:0"
    replica.add_port_to_grpc_server = lambda server, _: add_port_to_grpc_server(server, address)
