//! Server address and credentials of a command. The token comes from a file or from `PORTRAIT_TOKEN`, because every user of a
//! machine can read its command lines. It never appears in messages or logs.

use crate::{Error, RoleRouter};
use portrait_runtime::peer::{CredentialKeys, Credentials, PresentedCredentials};
use std::path::PathBuf;

/// Environment variable with the token.
const TOKEN_VARIABLE: &str = "PORTRAIT_TOKEN";
/// Flags of the credential files, for error messages.
const FLAGS: CredentialKeys =
    CredentialKeys { ca: "--ca", certificate: "--cert", key: "--key", token_file: "--token-file" };

/// Address of a server on this machine with the default configuration.
pub const LOCAL_ADDRESS: &str = "http://127.0.0.1:50051";

/// Address and credentials of a deployment, as command-line flags.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[cfg_attr(feature = "clap", command(next_help_heading = "Server"))]
pub struct ServerArgs {
    /// Address of the servers: one URL, or ROLE=URL for each role, separated by commas; https:// for TLS.
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "ADDRESS", default_value = LOCAL_ADDRESS)
    )]
    to: String,
    /// File with the CA certificates of the servers, in PEM [default: the system's trust store].
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    ca: Option<PathBuf>,
    /// File with your client certificate, in PEM, if the servers require one.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    cert: Option<PathBuf>,
    /// File with the private key of the client certificate, in PEM.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    key: Option<PathBuf>,
    /// File that holds only your token [default: the variable PORTRAIT_TOKEN].
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    token_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Creates arguments for an address without credentials.
    pub fn at(address: &str) -> Self {
        Self { to: address.to_owned(), ..Self::default() }
    }

    /// Returns the address as given.
    pub fn address(&self) -> &str {
        &self.to
    }

    /// Connects as [`RoleRouter::connect`] does, with the credentials of the flags.
    ///
    /// # Errors
    /// As there; in addition [`Error::File`] or [`Error::Token`] for an invalid file or token.
    pub async fn connect(&self) -> Result<RoleRouter, Error> {
        RoleRouter::connect(&self.to, &self.presented()?).await
    }

    fn presented(&self) -> Result<PresentedCredentials, Error> {
        let path = |given: &Option<PathBuf>| given.clone().unwrap_or_default();
        let identity = (&*path(&self.cert), &*path(&self.key));
        let credentials = Credentials::of(FLAGS, &path(&self.ca), identity, &path(&self.token_file))?;
        let presented = credentials.read()?;
        match std::env::var(TOKEN_VARIABLE) {
            // The flag has precedence over the variable. An empty variable counts as unset, as in most shells.
            Ok(token) if self.token_file.is_none() && !token.is_empty() => {
                presented.with_token(&token).map_err(Error::Token)
            }
            _ => Ok(presented),
        }
    }
}

/// Connects without credentials, as [`RoleRouter::connect`] does.
///
/// # Errors
/// As there; [`Error::Token`] if `PORTRAIT_TOKEN` holds an invalid token.
pub async fn connect(address: &str) -> Result<RoleRouter, Error> {
    ServerArgs::at(address).connect().await
}
