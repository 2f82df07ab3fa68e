//! The IP addresses that are closed to guests, whatever name resolves to them.
//!
//! A public name can be made to resolve to an internal address (DNS rebinding), so the check is on the address that is
//! about to be connected to, after resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Cloud metadata services that are not link-local: Alibaba Cloud's, Azure's platform address, Oracle's, and those of
/// AWS and Google on IPv6.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The part of an IPv6 address that names a client: whoever has one address of a network has all of it (RFC 6177).
const NETWORK_BITS: u32 = 64;

/// The ranges of somebody's own network, by first address and length of the prefix: private use (RFC 1918), carriers'
/// (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544), reserved (RFC 1112); unique local (RFC 4193)
/// and, deprecated, site-local ones, local NAT64 (RFC 8215) and Teredo (RFC 4380), whose other end is an IPv4 address.
const PRIVATE_V4: [(Ipv4Addr, u8); 7] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
const PRIVATE_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
];

/// Returns whether a range is one of private addresses, which names may not resolve to unless it is opened.
pub(crate) fn is_private_range(range: &IpNet) -> bool {
    private().any(|private| private.contains(range))
}

/// Returns whether an address may be connected to after resolving a name, with these private ranges open.
pub(crate) fn may_be_resolved_to(address: IpAddr, open: &[IpNet]) -> bool {
    let address = address.to_canonical();
    if is_never_open(address) {
        return false;
    }
    let of = |address: IpAddr| {
        !address.is_loopback()
            && (!private().any(|range| range.contains(&address)) || open.iter().any(|range| range.contains(&address)))
    };
    match address {
        IpAddr::V6(v6) => of(address) && embedded_v4(v6).is_none_or(|v4| of(v4.into())),
        IpAddr::V4(_) => of(address),
    }
}

/// Returns whether a host in a request may be connected to at all: a name may, and is checked again when it is
/// resolved. The operator who lists a loopback or private address itself, or `localhost`, means it.
pub(crate) fn may_be_named(host: &str) -> bool {
    literal(host).is_none_or(|address| !is_never_open(address.to_canonical()))
}

/// Returns whether a host means this machine by its very name.
pub(crate) fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

/// The address that a host is, an IPv6 one in brackets; `None` for a name.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse().ok()
}

fn private() -> impl Iterator<Item = IpNet> {
    let v4 = PRIVATE_V4.map(|(first, length)| IpNet::new(first.into(), length).ok());
    let v6 = PRIVATE_V6.map(|(first, length)| IpNet::new(first.into(), length).ok());
    v4.into_iter().chain(v6).flatten()
}

/// Link-local (with the clouds' 169.254.169.254), metadata, unspecified, multicast and broadcast.
fn is_never_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.octets().first() == Some(&0)
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || METADATA_V6.contains(&v6)
                || embedded_v4(v6).is_some_and(|v4| is_never_open(v4.into()) || v4.is_loopback())
        }
    }
}

/// The IPv4 address that a translator would send this to: NAT64's 64:ff9b::/96, 6to4's 2002::/16, and the deprecated
/// IPv4-compatible ::/96.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

/// The address by which a client is counted: its own, or the network of an IPv6 address.
pub(crate) fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
            Ipv6Addr::from_bits(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolves_to(address: &str, open: &[&str]) -> bool {
        let open: Vec<IpNet> = open.iter().map(|range| range.parse().unwrap()).collect();
        may_be_resolved_to(address.parse().unwrap(), &open)
    }

    #[test]
    fn a_name_may_not_resolve_to_an_address_inside_this_machine_or_its_link() {
        for closed in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "224.0.0.1",
            "255.255.255.255",
            "64:ff9b::7f00:1",
            "2002:a9fe:a9fe::1",
        ] {
            let everything = [
                "10.0.0.0/8",
                "100.64.0.0/10",
                "192.0.0.0/24",
                "fc00::/7",
                "fec0::/10",
            ];
            assert!(!resolves_to(closed, &everything), "{closed}");
            assert!(!resolves_to(closed, &[]), "{closed}");
        }
        for open in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(resolves_to(open, &[]), "{open}");
        }
    }

    #[test]
    fn a_name_may_resolve_to_a_private_address_only_if_its_range_is_opened() {
        for (closed, range) in [
            ("10.1.2.3", "10.0.0.0/8"),
            ("172.16.0.1", "172.16.0.0/12"),
            ("172.31.255.255", "172.31.0.0/16"),
            ("192.168.1.1", "192.168.0.0/16"),
            ("100.64.0.1", "100.64.0.0/10"),
            ("198.18.0.1", "198.18.0.0/15"),
            ("240.0.0.1", "240.0.0.0/4"),
            ("fd12::1", "fc00::/7"),
            ("fec0::1", "fec0::/10"),
            ("::ffff:10.1.2.3", "10.0.0.0/8"),
            ("::10.1.2.3", "10.0.0.0/8"),
            ("64:ff9b::a01:203", "10.0.0.0/8"),
            ("2002:a01:203::1", "10.0.0.0/8"),
            ("64:ff9b:1::1", "64:ff9b:1::/48"),
        ] {
            assert!(!resolves_to(closed, &[]), "{closed}");
            assert!(!resolves_to(closed, &["192.168.77.0/24"]), "{closed}");
            assert!(resolves_to(closed, &[range]), "{closed} in {range}");
            assert!(is_private_range(&range.parse().unwrap()), "{range}");
        }
        for public in ["0.0.0.0/0", "127.0.0.0/8", "169.254.0.0/16", "1.0.0.0/8"] {
            assert!(!is_private_range(&public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_operator_may_list_an_address_itself_but_never_a_metadata_address() {
        for open in [
            "127.0.0.1",
            "10.1.2.3",
            "[fd12::1]",
            "[::1]",
            "localhost",
            "example.com",
        ] {
            assert!(may_be_named(open), "{open}");
        }
        for closed in [
            "169.254.169.254",
            "[fe80::1]",
            "0.0.0.0",
            "[::ffff:169.254.1.1]",
        ] {
            assert!(!may_be_named(closed), "{closed}");
        }
    }
}
