//! Where a command calls, and what it shows there: the flags that every command with an address has. In come flags and one variable,
//! out goes a connection. The token is read from a file or from `PORTRAIT_TOKEN`, since a command line is seen by everybody on the
//! machine; it is in no message and in no log.

use crate::{Error, RoleRouter};
use portrait_runtime::peer::{Credentials, CredentialKeys, PresentedCredentials};
use std::path::PathBuf;

/// The variable with the token.
const TOKEN_VARIABLE: &str = "PORTRAIT_TOKEN";
/// The flags, as messages name them.
const FLAGS: CredentialKeys = CredentialKeys { ca: "--ca", certificate: "--cert", key: "--key", token_file: "--token-file" };

/// Where the servers answer, and how they are called.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[cfg_attr(feature = "clap", command(next_help_heading = "Server"))]
pub struct ServerArgs {
    /// Where the servers answer: one URL, or ROLE=URL for each role with commas between; https:// for TLS.
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "ADDRESS", default_value = "http://127.0.0.1:50051")
    )]
    to: String,
    /// The certificates, in PEM, of those who sign the servers' [default: those whom the system trusts].
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    ca: Option<PathBuf>,
    /// Your own certificate, in PEM, where servers ask for one.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    key: Option<PathBuf>,
    /// A file with your token and nothing else in it [default: the variable PORTRAIT_TOKEN].
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    token_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Servers that ask for nothing.
    pub fn at(address: &str) -> Self {
        Self { to: address.to_owned(), ..Self::default() }
    }

    /// Where the servers answer.
    pub fn address(&self) -> &str {
        &self.to
    }

    /// Connects, as [`Line::connect`].
    ///
    /// # Errors
    /// As there, and if a file or the token is not as it should be.
    pub async fn connect(&self) -> Result<RoleRouter, Error> {
        RoleRouter::connect(&self.to, &self.presented()?).await
    }

    fn presented(&self) -> Result<PresentedCredentials, Error> {
        let path = |given: &Option<PathBuf>| given.clone().unwrap_or_default();
        let (ca, certificate, key) = (path(&self.ca), path(&self.cert), path(&self.key));
        let credentials = Credentials::of(FLAGS, &ca, (&certificate, &key), &path(&self.token_file))?;
        let presented = credentials.read()?;
        match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if self.token_file.is_none() && !token.is_empty() => {
                presented.with_token(&token).map_err(Error::Token)
            }
            _ => Ok(presented),
        }
    }
}

/// Connects to a deployment that asks for no certificate and no token, as [`Line::connect`].
///
/// # Errors
/// As there.
pub async fn connect(address: &str) -> Result<RoleRouter, Error> {
    ServerArgs::at(address).connect().await
}
