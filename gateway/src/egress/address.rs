//! Which addresses stay closed, whatever name led to them.
//!
//! A public name can be made to resolve to an address inside (DNS rebinding), so the check is on the address that
//! is about to be connected to, after resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Cloud metadata services that are not link-local: Alibaba Cloud's, Azure's platform address, and AWS' on IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address may be connected to after resolving a name.
pub(super) fn may_be_resolved_to(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_loopback() && !is_never_open(address)
}

/// Whether a host in a request may be connected to at all: a name may, and is checked again when it is resolved.
/// The operator who lists a loopback address itself, or `localhost`, means it.
pub(super) fn may_be_named(host: &str) -> bool {
    literal(host).is_none_or(|address| !is_never_open(address.to_canonical()))
}

/// Whether a host means this machine by its very name.
pub(super) fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

fn literal(host: &str) -> Option<IpAddr> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse().ok()
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
                || v6 == METADATA_V6
                || embedded_v4(v6).is_some_and(|v4| is_never_open(v4.into()) || v4.is_loopback())
        }
    }
}

/// The IPv4 address that a translator would send this to: NAT64's 64:ff9b::/96 and 6to4's 2002::/16.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_not_resolve_to_an_address_inside_this_machine_or_its_link() {
        for closed in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "224.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(!may_be_resolved_to(closed.parse().unwrap()), "{closed}");
        }
        for open in ["1.1.1.1", "10.0.0.1", "192.168.1.1", "2606:4700::1111"] {
            assert!(may_be_resolved_to(open.parse().unwrap()), "{open}");
        }
    }

    #[test]
    fn an_operator_may_list_loopback_itself_but_never_a_metadata_address() {
        for open in ["127.0.0.1", "[::1]", "localhost", "example.com"] {
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
