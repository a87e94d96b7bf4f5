//! Link-local addresses, at which machines of clouds serve their credentials: no source is ever read from one.

use std::net::{IpAddr, Ipv4Addr};

/// Returns whether an address is in 169.254.0.0/16 or fe80::/10, also as an IPv4 address within IPv6 (mapped, or NAT64).
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            let [first, second, .., high, low] = address.segments();
            let is_nat64 = first == 0x64 && second == 0xff9b;
            let embedded = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            address.is_unicast_link_local() || (is_nat64 && embedded.is_link_local())
        }
    }
}
