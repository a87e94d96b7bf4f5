//! How this process, or a command, calls servers. In come files by which servers are known and by which they know the caller; out go
//! connections, whose calls show the caller's token. The files may change: calls after that go over a new connection.

use crate::config::Invalid;
use crate::files::{Follower, Named};
use crate::pem;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use std::fmt;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};
use tower::util::Oneshot;
use tower::{Service, ServiceExt};

/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What names the files of a caller.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Those who sign servers' certificates.
    pub ca: &'static str,
    /// The caller's certificate.
    pub certificate: &'static str,
    /// Its key.
    pub key: &'static str,
    /// The caller's token.
    pub token_file: &'static str,
}

/// The files of a caller.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    ca: Option<Named>,
    identity: Option<(Named, Named)>,
    token: Option<Named>,
}

/// What the files hold.
#[derive(Clone, Default)]
pub struct Presented {
    tls: ClientTlsConfig,
    token: Option<HeaderValue>,
}

/// A connection to a server, or to several that do the same.
#[derive(Clone, Debug)]
pub struct Peer(watch::Receiver<Reached>);

/// What calls are made over at the moment.
#[derive(Clone)]
struct Reached {
    channel: Channel,
    token: Option<HeaderValue>,
}

/// Why a server cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A file is wrong.
    #[error(transparent)]
    File(#[from] Invalid),
    /// The address is none.
    #[error("{url} is not an address")]
    Address {
        /// As it was given.
        url: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// There is no TLS with what the files hold.
    #[error("no TLS connection to {url} can be made with these certificates")]
    Tls {
        /// Whereto.
        url: String,
        /// Why.
        #[source]
        source: Error,
    },
}

impl Credentials {
    /// The files at these paths; an empty path is no file.
    ///
    /// # Errors
    /// If one of certificate and key is named without the other.
    pub fn of(
        keys: Keys,
        ca: &Path,
        (certificate, key): (&Path, &Path),
        token: &Path,
    ) -> Result<Self, Invalid> {
        let signers = "name a file with the certificates of those who sign the servers', in PEM";
        let certificate = Named::new(keys.certificate, certificate, "name a file with a certificate in PEM");
        let key = Named::new(keys.key, key, "name a file with the private key of the certificate, in PEM");
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(given), None) => return Err(alone(keys.key, given.key)),
            (None, Some(given)) => return Err(alone(keys.certificate, given.key)),
        };
        let token = Named::new(keys.token_file, token, "name a file with a token and nothing else in it");
        Ok(Self { ca: Named::new(keys.ca, ca, signers), identity, token })
    }

    /// Whether they say by what the caller is known.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, or is not what it should be.
    pub fn read(&self) -> Result<Presented, Invalid> {
        let contents: Result<Vec<_>, _> = self.files().iter().map(Named::read).collect();
        self.made(&contents?)
    }

    fn files(&self) -> Vec<Named> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(identity).chain(&self.token).cloned().collect()
    }

    /// What is in the files, in the order of [`Self::files`].
    fn made(&self, contents: &[Vec<u8>]) -> Result<Presented, Invalid> {
        let mut contents = contents.iter();
        let mut next = || contents.next().map(Vec::as_slice).unwrap_or_default();
        let mut presented = Presented::default();
        presented.tls = match &self.ca {
            None => presented.tls.with_native_roots(),
            Some(file) => {
                let content = next();
                pem::certificates(file, content)?;
                presented.tls.ca_certificate(Certificate::from_pem(content))
            }
        };
        if let Some((certificate, key)) = &self.identity {
            let contents = (next(), next());
            pem::certificates(certificate, contents.0)?;
            pem::private_key(key, contents.1)?;
            presented.tls = presented.tls.identity(Identity::from_pem(contents.0, contents.1));
        }
        if let Some(file) = &self.token {
            let text = String::from_utf8_lossy(next()).into_owned();
            presented = presented.with_token(&text).map_err(|problem| file.invalid(problem))?;
        }
        Ok(presented)
    }
}

fn alone(missing: &'static str, given: &'static str) -> Invalid {
    Invalid::new(missing, format!("is missing beside {given}"), "name both files, or neither")
}

impl Presented {
    /// The same with a token.
    ///
    /// # Errors
    /// If the text cannot be one; it is not told.
    pub fn with_token(self, text: &str) -> Result<Self, &'static str> {
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err("which is not one token alone");
        }
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        let mut token = header.map_err(|_| "which has characters that no token has")?;
        token.set_sensitive(true);
        Ok(Self { token: Some(token), ..self })
    }

    /// Where a server is, and how it is called.
    ///
    /// # Errors
    /// If `url` is no address, or there is no TLS with what the files hold.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, PeerError> {
        let named = |source| PeerError::Address { url: url.to_owned(), source };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(named)?;
        let endpoint = endpoint.connect_timeout(CONNECT_PATIENCE).tcp_nodelay(true);
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        let failed = |source| PeerError::Tls { url: url.to_owned(), source };
        endpoint.tls_config(self.tls.clone()).map_err(failed)
    }

    /// Calls over `channel`, each with the token.
    pub fn over(&self, channel: Channel) -> Peer {
        let (_, receiver) = watch::channel(Reached { channel, token: self.token.clone() });
        Peer(receiver)
    }
}

impl Peer {
    /// A connection to `url` that is made when it is needed, and made anew when the files have changed, which are looked at
    /// `every` so often until `end`.
    ///
    /// # Errors
    /// If the files or the address are wrong.
    pub fn following(
        url: &str,
        credentials: Credentials,
        every: Duration,
        end: CancellationToken,
    ) -> Result<Self, PeerError> {
        // What is wrong with the address alone is no file's fault.
        credentials.read()?.endpoint(url)?;
        let files = credentials.files();
        let to = url.to_owned();
        let make = move |contents: &[Vec<u8>], _: Option<&Reached>| {
            let presented = credentials.made(contents)?;
            let refused =
                |error: PeerError| Invalid::new("cluster", error.to_string(), "name files that go together");
            let channel = presented.endpoint(&to).map_err(refused)?.connect_lazy();
            Ok(Reached { channel, token: presented.token })
        };
        let is_fixed = files.is_empty();
        let (follower, receiver) = Follower::begin(files, make)?;
        if !is_fixed {
            #[expect(clippy::disallowed_methods, reason = "ends when `end` is cancelled")]
            tokio::spawn(follower.run(every, end));
        }
        Ok(Self(receiver))
    }
}

impl From<Channel> for Peer {
    fn from(channel: Channel) -> Self {
        Presented::default().over(channel)
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Oneshot<Channel, Request<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Over which connection is known with the call alone.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Reached { channel, token } = self.0.borrow().clone();
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        channel.oneshot(request)
    }
}

impl fmt::Debug for Presented {
    /// Without keys and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reached {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { ca: "--ca", certificate: "--cert", key: "--key", token_file: "--token-file" };

    #[test]
    fn files_that_are_missing_or_no_token_are_named_and_a_token_is_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let empty = Path::new("");
        let with = |token: &Path| Credentials::of(KEYS, empty, (empty, empty), token).expect("no identity");
        for (text, part) in
            [("", "one token alone"), ("se cret", "one token alone"), ("secret\u{7}", "characters")]
        {
            std::fs::write(&file, text).expect("written");
            let told = with(&file).read().expect_err(text).to_string();
            assert!(told.contains(part) && told.contains("--token-file"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
        std::fs::write(&file, "secret\n").expect("written");
        let presented = with(&file).read().expect("a token");
        assert_eq!(presented.token.as_ref().map(HeaderValue::as_bytes), Some(&b"Bearer secret"[..]));
        assert!(!format!("{presented:?} {:?}", presented.token).contains("secret"));
        let alone = [(&*file, empty, "--key"), (empty, &*file, "--cert")];
        for (certificate, key, named) in alone {
            let told = Credentials::of(KEYS, empty, (certificate, key), empty).expect_err("one alone");
            assert_eq!(told.key, named);
        }
    }
}
