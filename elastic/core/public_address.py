"""IP addresses of the public internet."""

import ipaddress


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet: to no host, private network or multicast group.

    Args:
        address: IPv4, or IPv6, which may have a zone or contain an IPv4 address.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not (mapped or found).is_multicast
