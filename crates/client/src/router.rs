//! Role router: a channel for the generated clients that routes each call to the servers of its role.

use crate::Error;
use crate::explained::{chain, connection_remedy};
use http::{Request, Response};
use portrait_proto::v1::{
    feature_service_server, ingest_service_server, model_service_server, query_service_server,
};
use portrait_runtime::peer::{Peer, PresentedCredentials};
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// Roles and their services: the name of a role in an address, and the full name of its gRPC service.
pub const ROLES: [(&str, &str); 4] = [
    ("ingest", ingest_service_server::SERVICE_NAME),
    ("feature", feature_service_server::SERVICE_NAME),
    ("model", model_service_server::SERVICE_NAME),
    ("query", query_service_server::SERVICE_NAME),
];

/// Connections to the servers of a deployment, by role. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct RoleRouter {
    /// Connections in the order of [`ROLES`].
    roles: Arc<[Peer; 4]>,
}

impl RoleRouter {
    /// Connects to `address`: the URL of a server with all roles, or `ROLE=URL` pairs separated by commas. Calls of a role with
    /// several URLs are balanced over them; a role without a URL uses the first server.
    ///
    /// # Errors
    /// [`Error::Address`] for an invalid address, [`Error::Unreachable`] if a server does not accept the connection,
    /// [`Error::Peer`] if TLS cannot be configured.
    pub async fn connect(address: &str, presented: &PresentedCredentials) -> Result<Self, Error> {
        let named = parse(address)?;
        // Roles without a server of their own use the first one.
        let first = named.first().map(|(_, url)| url.clone()).unwrap_or_default();
        let mut roles = Vec::with_capacity(ROLES.len());
        for (role, _) in ROLES {
            let role_urls = named.iter().filter(|(name, _)| name.is_none_or(|name| name == role));
            let mut urls: Vec<String> = role_urls.map(|(_, url)| url.clone()).collect();
            if urls.is_empty() {
                urls.push(first.clone());
            }
            roles.push(presented.over(channel(&urls, presented).await?));
            // One server has all roles: a single connection serves them, and the other three entries share it.
            if named.iter().all(|(name, _)| name.is_none()) {
                break;
            }
        }
        let shared = roles[0].clone();
        let mut roles = roles.into_iter();
        Ok(Self { roles: Arc::new(std::array::from_fn(|_| roles.next().unwrap_or_else(|| shared.clone()))) })
    }

    /// Returns the connection for a service by its full name. Services of no role, such as health, use the first connection.
    pub fn peer(&self, service: &str) -> &Peer {
        &self.roles[ROLES.iter().position(|(_, name)| *name == service).unwrap_or_default()]
    }
}

impl From<Channel> for RoleRouter {
    fn from(channel: Channel) -> Self {
        Self { roles: Arc::new(std::array::from_fn(|_| channel.clone().into())) }
    }
}

impl Service<Request<Body>> for RoleRouter {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Peer as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The connection is chosen by the path in `call`, so readiness is checked there.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The path of a gRPC call is `/package.Service/Method`.
        let service = request.uri().path().trim_start_matches('/').split('/').next();
        self.peer(service.unwrap_or_default()).clone().call(request)
    }
}

/// Parses an address into pairs of role and URL; the role is `None` for the single URL of a server with all roles.
fn parse(address: &str) -> Result<Vec<(Option<&str>, String)>, Error> {
    let parts: Vec<&str> = address.split(',').map(str::trim).collect();
    let mut named = Vec::with_capacity(parts.len());
    for part in &parts {
        match part.split_once('=') {
            Some((role, url)) if ROLES.iter().any(|(name, _)| *name == role) => {
                named.push((Some(role), url.to_owned()));
            }
            // A slash before the `=` means that the whole part is a URL with a query, not `ROLE=URL`.
            Some((role, _)) if !role.contains('/') => {
                let problem = format!("{role:?} is no role: name ingest, feature, model or query");
                return Err(Error::Address(problem));
            }
            _ if parts.len() > 1 => {
                let remedy = "write ROLE=URL for each, or the URL of one server alone";
                return Err(Error::Address(format!("{part:?} names no role: {remedy}")));
            }
            _ => named.push((None, (*part).to_owned())),
        }
    }
    Ok(named)
}

/// Connects to one server, or balances over several.
async fn channel(urls: &[String], presented: &PresentedCredentials) -> Result<Channel, Error> {
    let endpoints = urls.iter().map(|url| presented.endpoint(url)).collect::<Result<Vec<_>, _>>()?;
    // A single server is connected eagerly, so that a wrong address fails here. A balanced channel connects lazily,
    // because some of its servers may be down.
    if let [endpoint] = &endpoints[..] {
        return endpoint.connect().await.map_err(|source| {
            let remedy = match connection_remedy(&chain(&source)) {
                "" => "start one with `portrait serve`, or name another with --to",
                remedy => remedy,
            };
            Error::Unreachable { url: urls[0].clone(), remedy, source }
        });
    }
    Ok(Channel::balance_list(endpoints.into_iter()))
}

/// Returns a channel that connects on its first call.
///
/// # Errors
/// [`Error::Peer`] if `url` cannot be parsed.
pub fn connect_lazy(url: &str) -> Result<Channel, Error> {
    Ok(PresentedCredentials::default().endpoint(url)?.connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_server_or_servers_by_role() {
        let named = |address: &str| {
            let parsed = parse(address).map_err(|error| error.to_string())?;
            Ok(parsed.into_iter().map(|(role, url)| format!("{}@{url}", role.unwrap_or("all"))).collect())
        };
        let rows: [(&str, Result<Vec<&str>, &str>); 5] = [
            ("http://one:1", Ok(vec!["all@http://one:1"])),
            (
                "ingest=http://a:1, query=http://b:2,query=http://c:3",
                Ok(vec!["ingest@http://a:1", "query@http://b:2", "query@http://c:3"]),
            ),
            ("http://one:1?a=b", Ok(vec!["all@http://one:1?a=b"])),
            ("cook=http://a:1", Err("\"cook\" is no role: name ingest, feature, model or query")),
            (
                "http://a:1,query=http://b:2",
                Err("\"http://a:1\" names no role: write ROLE=URL for each, or the URL of one server alone"),
            ),
        ];
        for (address, expected) in rows {
            let expected: Result<Vec<String>, String> =
                expected.map(|urls| urls.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
            assert_eq!(named(address), expected, "{address}");
        }
    }
}
