//! Hosts that may be connected to. Names are resolved once, and the connection goes to an address that was checked.

use super::error::SourceError;
use crate::link_local::is_link_local;
use std::net::{IpAddr, SocketAddr};

/// Hosts of `connect.allow`: exact names, or address ranges in CIDR notation. Link-local addresses are refused whatever it says.
///
/// ```
/// use portrait_connect::databases::AllowedHosts;
///
/// AllowedHosts::from_entries(&["db.example.com".to_owned(), "10.0.0.0/8".to_owned()])?;
/// # Ok::<(), portrait_connect::databases::SourceError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Option<Vec<HostRule>>);

/// Entry of the allow list.
#[derive(Clone, Debug)]
enum HostRule {
    /// Name in lower case.
    Name(String),
    /// Address and the number of leading bits that must be equal.
    Range(IpAddr, u8),
}

impl AllowedHosts {
    /// Allows every host, except at link-local addresses.
    #[must_use]
    pub fn any() -> Self {
        Self(None)
    }

    /// Reads entries: host names, addresses and ranges. An empty list allows no host.
    ///
    /// # Errors
    /// [`SourceError::AllowEntry`] for the first entry that is neither.
    pub fn from_entries(entries: &[String]) -> Result<Self, SourceError> {
        let rules = entries.iter().map(|entry| {
            HostRule::parse(entry).ok_or_else(|| SourceError::AllowEntry { entry: entry.clone() })
        });
        Ok(Self(Some(rules.collect::<Result<_, _>>()?)))
    }

    /// Resolves a host and returns the addresses that may be connected to, at least one.
    ///
    /// # Errors
    /// [`SourceError::Resolve`], [`SourceError::LinkLocal`] and [`SourceError::HostNotAllowed`].
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, SourceError> {
        let failed = |source| SourceError::Resolve { host: host.to_owned(), source };
        // A name that is not allowed is not resolved either: queries can carry data out.
        if let Some(rules) = &self.0
            && host.parse::<IpAddr>().is_err()
            && !rules.iter().any(|rule| matches!(rule, HostRule::Range(..)) || rule.allows_name(host))
        {
            return Err(SourceError::HostNotAllowed { host: host.to_owned() });
        }
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((host, port)).await.map_err(|error| failed(Some(error)))?.collect();
        self.permitted(host, found)
    }

    fn permitted(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, SourceError> {
        let Some(first) = found.first().map(SocketAddr::ip) else {
            return Err(SourceError::Resolve { host: host.to_owned(), source: None });
        };
        let routable: Vec<SocketAddr> =
            found.into_iter().filter(|address| !is_link_local(address.ip())).collect();
        if routable.is_empty() {
            return Err(SourceError::LinkLocal { host: host.to_owned(), address: first });
        }
        let allowed: Vec<SocketAddr> = routable.into_iter().filter(|to| self.allows(host, to.ip())).collect();
        if allowed.is_empty() {
            return Err(SourceError::HostNotAllowed { host: host.to_owned() });
        }
        Ok(allowed)
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        let Some(rules) = &self.0 else { return true };
        rules.iter().any(|rule| rule.allows_name(host) || rule.allows_address(address))
    }
}

impl HostRule {
    fn parse(entry: &str) -> Option<Self> {
        let (address, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            let width = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(width);
            return (bits <= width).then_some(Self::Range(address, bits));
        }
        let is_name = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed)
        };
        (bits.is_none() && is_name(entry)).then(|| Self::Name(entry.to_ascii_lowercase()))
    }

    fn allows_name(&self, host: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(host))
    }

    fn allows_address(&self, address: IpAddr) -> bool {
        let Self::Range(range, bits) = self else { return false };
        match (range, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                same_prefix(range.to_bits().into(), address.to_bits().into(), 32 - u32::from(*bits))
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                same_prefix(range.to_bits(), address.to_bits(), 128 - u32::from(*bits))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Returns whether two addresses are equal above their `ignored` lowest bits.
fn same_prefix(left: u128, right: u128, ignored: u32) -> bool {
    // A shift by all 128 bits leaves nothing to compare.
    left.checked_shr(ignored).unwrap_or(0) == right.checked_shr(ignored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(entries: Option<&[&str]>, host: &str, address: &str) -> Result<(), SourceError> {
        let allow = entries.map_or(AllowedHosts::any(), |entries| {
            let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            AllowedHosts::from_entries(&entries).unwrap()
        });
        allow.permitted(host, vec![SocketAddr::new(address.parse().unwrap(), 5432)]).map(drop)
    }

    #[test]
    fn link_local_addresses_are_refused_in_every_spelling_and_whatever_is_allowed() {
        for address in ["169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.1.1", "64:ff9b::a9fe:a9fe"] {
            for allow in [None, Some(&["metadata", "0.0.0.0/0", "::/0"][..])] {
                let refused = permitted(allow, "metadata", address);
                assert!(matches!(refused, Err(SourceError::LinkLocal { .. })), "{address}: {refused:?}");
            }
        }
    }

    #[test]
    fn link_local_addresses_are_skipped_if_the_host_has_others() {
        let found = ["169.254.1.1", "10.0.0.1"].map(|ip| SocketAddr::new(ip.parse().unwrap(), 1));
        assert_eq!(AllowedHosts::any().permitted("db", found.to_vec()).unwrap(), vec![found[1]]);
    }

    #[test]
    fn hosts_are_allowed_by_exact_name_or_by_range() {
        let check = |entries: &[&str], host: &str, address: &str, expected: bool| {
            let found = permitted(Some(entries), host, address);
            assert_eq!(found.is_ok(), expected, "{host} at {address} by {entries:?}: {found:?}");
        };
        check(&["db.example.com"], "db.example.com", "203.0.113.7", true);
        check(&["DB.example.com"], "db.EXAMPLE.com", "203.0.113.7", true);
        check(&["example.com"], "db.example.com", "203.0.113.7", false);
        check(&["203.0.113.0/24"], "db.example.com", "203.0.113.7", true);
        check(&["203.0.113.0/24"], "db.example.com", "203.0.114.7", false);
        check(&["203.0.113.0/24"], "db.example.com", "::ffff:203.0.113.7", true);
        check(&["203.0.113.7"], "203.0.113.7", "203.0.113.7", true);
        check(&["2001:db8::/32"], "db", "2001:db8:1::7", true);
        check(&["2001:db8::/32"], "db", "2001:db9::7", false);
        check(&["0.0.0.0/0"], "db", "2001:db9::7", false);
        check(&["::/0"], "db", "2001:db9::7", true);
        check(&[], "db", "10.0.0.1", false);
    }

    #[test]
    fn entries_that_are_no_hosts_are_refused() {
        for entry in ["", "10.0.0.0/33", "a b", "db/24", "10.0.0.0/x", "*.example.com"] {
            let refused = AllowedHosts::from_entries(&[entry.to_owned()]);
            assert!(matches!(refused, Err(SourceError::AllowEntry { .. })), "{entry:?}: {refused:?}");
        }
    }
}
