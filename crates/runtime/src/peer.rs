//! Client side of calls to other servers: TLS, client certificate and token from files. When the files change, later calls use a
//! new connection.

use crate::config::InvalidValue;
use crate::files::{FileWatcher, WatchedFile};
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

/// Time limit of a TCP connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keys or flags that name the credential files, for error messages.
#[derive(Clone, Copy, Debug)]
pub struct CredentialKeys {
    /// Certificates that sign servers' certificates.
    pub ca: &'static str,
    /// Client certificate of the caller.
    pub certificate: &'static str,
    /// Private key of the client certificate.
    pub key: &'static str,
    /// Bearer token of the caller.
    pub token_file: &'static str,
}

/// Credential files of a caller; all are optional.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    ca: Option<WatchedFile>,
    identity: Option<(WatchedFile, WatchedFile)>,
    token: Option<WatchedFile>,
}

/// Contents of the credential files, as calls present them.
#[derive(Clone, Default)]
pub struct PresentedCredentials {
    tls: ClientTlsConfig,
    token: Option<HeaderValue>,
}

/// Connection to a server, or to several behind one name; clones share it.
#[derive(Clone, Debug)]
pub struct Peer(watch::Receiver<PeerChannel>);

/// Channel and token of new calls.
#[derive(Clone)]
struct PeerChannel {
    channel: Channel,
    token: Option<HeaderValue>,
}

/// Checks the address of a configuration key; an empty one is valid.
///
/// # Errors
/// If the address cannot be parsed or has no scheme.
pub fn check_address(key: &'static str, url: &str) -> Result<(), InvalidValue> {
    if url.is_empty() {
        return Ok(());
    }
    PresentedCredentials::default().endpoint(url).map(drop).map_err(|error| match error {
        PeerError::Scheme { url, host } => InvalidValue::new(
            key,
            format!("is {url:?}, which does not begin with http:// or https://"),
            format!("write http://{host}, or https:// for TLS"),
        ),
        error => InvalidValue::new(key, format!("is invalid: {error}"), "write it as http://host:50051"),
    })
}

/// Failure to prepare calls to a server.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A credential file is unreadable or invalid.
    #[error(transparent)]
    File(#[from] InvalidValue),
    /// The address cannot be parsed.
    #[error("{url} is not an address")]
    Address {
        /// Address as the caller gave it.
        url: String,
        /// Parse error of the address.
        #[source]
        source: Error,
    },
    /// The address has no scheme, or one that is not of gRPC.
    #[error("{url} does not begin with http:// or https://: write http://{host}, or https:// for TLS")]
    Scheme {
        /// Address as the caller gave it.
        url: String,
        /// Address without its scheme.
        host: String,
    },
    /// TLS cannot be configured with these credentials.
    #[error("no TLS connection to {url} can be made with these certificates")]
    Tls {
        /// Address of the server.
        url: String,
        /// Error of the TLS library.
        #[source]
        source: Error,
    },
}

impl Credentials {
    /// Creates credentials from paths; an empty path means no file.
    ///
    /// # Errors
    /// If one of certificate and key is given without the other.
    pub fn of(
        keys: CredentialKeys,
        ca: &Path,
        (certificate, key): (&Path, &Path),
        token: &Path,
    ) -> Result<Self, InvalidValue> {
        let ca_remedy = "name a file with the certificates that sign the servers' certificates, in PEM";
        let certificate =
            WatchedFile::new(keys.certificate, certificate, "name a file with a certificate in PEM");
        let key =
            WatchedFile::new(keys.key, key, "name a file with the private key of the certificate, in PEM");
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(given), None) => return Err(missing_counterpart(keys.key, given.key)),
            (None, Some(given)) => return Err(missing_counterpart(keys.certificate, given.key)),
        };
        let token = WatchedFile::new(keys.token_file, token, "name a file that holds only a token");
        Ok(Self { ca: WatchedFile::new(keys.ca, ca, ca_remedy), identity, token })
    }

    /// Returns `true` if a client certificate is given.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or its content is invalid.
    pub fn read(&self) -> Result<PresentedCredentials, InvalidValue> {
        let contents: Result<Vec<_>, _> = self.files().iter().map(WatchedFile::read).collect();
        self.build(&contents?)
    }

    fn files(&self) -> Vec<WatchedFile> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(identity).chain(&self.token).cloned().collect()
    }

    /// Builds the credentials from file contents, in the order of [`Self::files`].
    fn build(&self, contents: &[Vec<u8>]) -> Result<PresentedCredentials, InvalidValue> {
        let mut contents = contents.iter();
        let mut next = || contents.next().map(Vec::as_slice).unwrap_or_default();
        let mut presented = PresentedCredentials::default();
        presented.tls = match &self.ca {
            None => presented.tls.with_native_roots(),
            Some(file) => {
                let content = next();
                pem::certificates(file, content)?;
                presented.tls.ca_certificate(Certificate::from_pem(content))
            }
        };
        if let Some((certificate, key)) = &self.identity {
            let certificate_pem = next();
            let key_pem = next();
            pem::certificates(certificate, certificate_pem)?;
            pem::private_key(key, key_pem)?;
            presented.tls = presented.tls.identity(Identity::from_pem(certificate_pem, key_pem));
        }
        if let Some(file) = &self.token {
            let text = String::from_utf8_lossy(next()).into_owned();
            presented = presented.with_token(&text).map_err(|problem| file.invalid(problem))?;
        }
        Ok(presented)
    }
}

fn missing_counterpart(missing: &'static str, given: &'static str) -> InvalidValue {
    InvalidValue::new(missing, format!("is missing beside {given}"), "name both files, or neither")
}

impl PresentedCredentials {
    /// Adds a token.
    ///
    /// # Errors
    /// If the text is not a single token. The message does not contain the text.
    pub fn with_token(self, text: &str) -> Result<Self, &'static str> {
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err("which is not a single token");
        }
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        let mut token = header.map_err(|_| "which has characters that no token has")?;
        // Sensitive values are not printed by `Debug` and not stored in HPACK tables.
        token.set_sensitive(true);
        Ok(Self { token: Some(token), ..self })
    }

    /// Builds the endpoint of a server: TLS for `https`, plaintext otherwise.
    ///
    /// # Errors
    /// [`PeerError::Address`] if `url` cannot be parsed, [`PeerError::Scheme`] if it is not http:// or https://, [`PeerError::Tls`]
    /// if the credentials do not allow TLS.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, PeerError> {
        // Before it is parsed: without a scheme `model:50051` is either no address, or one of the scheme `model`.
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            let host = url.rsplit_once("://").map_or(url, |(_, host)| host).to_owned();
            return Err(PeerError::Scheme { url: url.to_owned(), host });
        }
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|source| PeerError::Address { url: url.to_owned(), source })?;
        // Without Nagle's algorithm: small calls must not wait for the acknowledgement of earlier ones.
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        endpoint.tls_config(self.tls.clone()).map_err(|source| PeerError::Tls { url: url.to_owned(), source })
    }

    /// Creates a peer over `channel` whose calls carry the token.
    pub fn over(&self, channel: Channel) -> Peer {
        let (_, receiver) = watch::channel(PeerChannel { channel, token: self.token.clone() });
        Peer(receiver)
    }
}

impl Peer {
    /// Creates a peer that connects to `url` on first use, polls its credential files at `interval`, and reconnects when they
    /// change, until `end` is cancelled.
    ///
    /// # Errors
    /// If the files or the address are invalid.
    pub fn watching(
        url: &str,
        credentials: Credentials,
        interval: Duration,
        end: CancellationToken,
    ) -> Result<Self, PeerError> {
        // Checked first, so that an invalid address is not reported as an invalid file.
        credentials.read()?.endpoint(url)?;
        let files = credentials.files();
        let target = url.to_owned();
        let is_fixed = files.is_empty();
        let (watcher, receiver) = FileWatcher::start(files, move |contents, _: Option<&PeerChannel>| {
            let presented = credentials.build(contents)?;
            let endpoint = presented.endpoint(&target).map_err(|error| {
                InvalidValue::new("cluster", error.to_string(), "name a certificate and its key")
            })?;
            let channel = endpoint.connect_lazy();
            Ok(PeerChannel { channel, token: presented.token })
        })?;
        // Without files there is nothing to poll.
        if !is_fixed {
            #[expect(clippy::disallowed_methods, reason = "ends when `end` is cancelled")]
            tokio::spawn(watcher.run(interval, end));
        }
        Ok(Self(receiver))
    }
}

impl From<Channel> for Peer {
    fn from(channel: Channel) -> Self {
        PresentedCredentials::default().over(channel)
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Oneshot<Channel, Request<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The channel is chosen in `call`, after a possible reload.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let PeerChannel { channel, token } = self.0.borrow().clone();
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        channel.oneshot(request)
    }
}

impl fmt::Debug for PresentedCredentials {
    /// Omits keys and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerChannel {
    /// Omits the token from the output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached").field("token", &self.token.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: CredentialKeys =
        CredentialKeys { ca: "--ca", certificate: "--cert", key: "--key", token_file: "--token-file" };

    #[test]
    fn an_address_without_a_scheme_is_refused_with_the_right_form() {
        let rows = [
            ("model:50051", "write http://model:50051"),
            ("localhost", "write http://localhost"),
            ("10.0.0.1:50051", "write http://10.0.0.1:50051"),
            ("[::1]:50051", "write http://[::1]:50051"),
            ("grpc://model:50051", "write http://model:50051"),
            ("HTTP//model", "write http://HTTP//model"),
            ("http://", "write it as http://host:50051"),
        ];
        for (url, remedy) in rows {
            let error = check_address("profiles.models", url).expect_err(url).to_string();
            assert!(error.starts_with("profiles.models ") && error.contains(remedy), "{error}");
        }
        for url in ["", "http://model:50051", "https://model", "http://[::1]:50051"] {
            assert_eq!(check_address("profiles.models", url), Ok(()), "{url}");
        }
    }

    #[test]
    fn missing_or_invalid_files_are_named_and_a_token_is_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let empty = Path::new("");
        let with = |token: &Path| Credentials::of(KEYS, empty, (empty, empty), token).expect("no identity");
        for (text, part) in
            [("", "a single token"), ("se cret", "a single token"), ("secret\u{7}", "characters")]
        {
            std::fs::write(&file, text).expect("written");
            let message = with(&file).read().expect_err(text).to_string();
            assert!(message.contains(part) && message.contains("--token-file"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        std::fs::write(&file, "secret\n").expect("written");
        let presented = with(&file).read().expect("a token");
        assert_eq!(presented.token.as_ref().map(HeaderValue::as_bytes), Some(&b"Bearer secret"[..]));
        assert!(!format!("{presented:?} {:?}", presented.token).contains("secret"));
        let alone = [(&*file, empty, "--key"), (empty, &*file, "--cert")];
        for (certificate, key, named) in alone {
            let message = Credentials::of(KEYS, empty, (certificate, key), empty).expect_err("one alone");
            assert_eq!(message.key, named);
        }
    }
}
