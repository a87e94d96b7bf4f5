//! Map of a cluster's slots: ranges with the server of each. A standalone server owns every slot, so both kinds of target use the
//! same code.

use super::endpoint::Endpoint;
use super::keys::Slot;
use super::reply;
use super::target::Address;
use redis::Value;
use std::sync::Arc;

/// Map from slots to servers.
#[derive(Default)]
pub(super) struct SlotMap {
    /// Number of the refresh that produced the map.
    pub(super) version: usize,
    /// Ranges of slots, in order of the slots.
    pub(super) ranges: Vec<SlotRange>,
}

/// Range of slots that one server owns.
pub(super) struct SlotRange {
    /// First slot of the range (inclusive).
    pub(super) first: u16,
    /// Last slot of the range (inclusive).
    pub(super) last: u16,
    /// Address by which the cluster redirects to the server. With TLS it may differ from the host name of the certificate.
    pub(super) announced: Address,
    pub(super) endpoint: Arc<Endpoint>,
}

/// Range of slots as a server reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReportedRange {
    pub(super) first: u16,
    pub(super) last: u16,
    /// Address by which the cluster redirects to the server.
    pub(super) announced: Address,
    /// Address to connect to.
    pub(super) address: Address,
}

impl SlotMap {
    /// Returns the map of a standalone server.
    pub(super) fn of_one(endpoint: Arc<Endpoint>) -> Self {
        let announced = endpoint.address.clone();
        Self { version: 0, ranges: vec![SlotRange { first: 0, last: u16::MAX, announced, endpoint }] }
    }

    /// Returns the server of a slot.
    pub(super) fn endpoint(&self, slot: Slot) -> Option<&Arc<Endpoint>> {
        let index = self.ranges.partition_point(|range| range.last < slot.0);
        self.ranges.get(index).filter(|range| range.first <= slot.0).map(|range| &range.endpoint)
    }

    /// Returns each server of the map once.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        for SlotRange { endpoint, .. } in &self.ranges {
            if !endpoints.iter().any(|known| known.address == endpoint.address) {
                endpoints.push(Arc::clone(endpoint));
            }
        }
        endpoints
    }

    /// Returns the server that a redirect names.
    pub(super) fn redirected(&self, address: &Address) -> Option<Arc<Endpoint>> {
        let range = self
            .ranges
            .iter()
            .find(|range| range.announced == *address || range.endpoint.address == *address);
        range.map(|range| Arc::clone(&range.endpoint))
    }
}

impl ReportedRange {
    /// Reads a range of `CLUSTER SLOTS`: first slot, last slot, primary, replicas. `source` is the address that the request went
    /// to. A server that does not know its own host name reports none, or `?`; then it is that of `source`.
    ///
    /// With TLS the host name is used that the server announces beside its IP address, since a certificate has names.
    pub(super) fn read(range: Value, source: &Address, tls: bool) -> Option<Self> {
        let mut values = reply::list(range, "CLUSTER SLOTS").ok()?.into_iter();
        let first = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
        let last = reply::number(&values.next()?, "CLUSTER SLOTS").ok()?;
        let mut primary = reply::list(values.next()?, "CLUSTER SLOTS").ok()?.into_iter();
        let host = primary.next().and_then(|host| reply::text(&host).map(str::to_owned));
        let host = host.filter(|host| is_host(host)).unwrap_or_else(|| source.host.clone());
        let port = reply::number(&primary.next()?, "CLUSTER SLOTS").ok()?;
        // After the port come the id of the server and, since 7.0, further names of it.
        let names = primary.nth(1).filter(|_| tls).and_then(announced_hostname);
        let address = Address { host: names.unwrap_or_else(|| host.clone()), port };
        Some(Self { first, last, announced: Address { host, port }, address })
    }
}

fn announced_hostname(names: Value) -> Option<String> {
    let pairs = reply::pairs(names, "CLUSTER SLOTS").ok()?;
    let named = pairs.iter().find(|(name, _)| reply::text(name) == Some("hostname"))?;
    reply::text(&named.1).filter(|host| is_host(host)).map(str::to_owned)
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host != "?"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(host: Value, names: Value) -> Value {
        let primary = Value::Array(vec![host, Value::Int(7000), text("id"), names]);
        Value::Array(vec![Value::Int(5), Value::Int(9), primary])
    }

    #[test]
    fn the_host_name_of_a_server_is_used_for_tls_and_its_preferred_address_otherwise() {
        let source = Address { host: "seed".to_owned(), port: 1 };
        let none = || Value::Array(Vec::new());
        let named = |name: &str| Value::Map(vec![(text("hostname"), text(name))]);
        let flat = |name: &str| Value::Array(vec![text("hostname"), text(name)]);
        let rows = [
            (range(text("10.0.0.1"), none()), true, "10.0.0.1"),
            (range(text("10.0.0.1"), named("a.example")), true, "a.example"),
            (range(text("10.0.0.1"), flat("a.example")), true, "a.example"),
            (range(text("10.0.0.1"), named("a.example")), false, "10.0.0.1"),
            (range(text("10.0.0.1"), named("")), true, "10.0.0.1"),
            (range(text("a.example"), Value::Map(vec![(text("ip"), text("10.0.0.1"))])), true, "a.example"),
            (range(text("?"), none()), true, "seed"),
            (range(Value::Nil, none()), true, "seed"),
            (range(text(""), named("?")), false, "seed"),
        ];
        for (range, tls, host) in rows {
            let reported = ReportedRange::read(range.clone(), &source, tls).expect("a range");
            let address = Address { host: host.to_owned(), port: 7000 };
            assert_eq!((reported.address, reported.first, reported.last), (address, 5, 9), "{range:?} {tls}");
        }
    }
}
