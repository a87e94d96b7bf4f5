//! Certificates and private keys in PEM. Errors name the file and never contain key material.

use crate::config::InvalidValue;
use crate::files::WatchedFile;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Parses the certificates of a file, at least one.
pub(crate) fn certificates(
    file: &WatchedFile,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, InvalidValue> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(file.invalid("which has no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(file.invalid("which is not PEM")),
    }
}

/// Parses the private key of a file.
pub(crate) fn private_key(
    file: &WatchedFile,
    content: &[u8],
) -> Result<PrivateKeyDer<'static>, InvalidValue> {
    PrivateKeyDer::from_pem_slice(content).map_err(|_| file.invalid("which has no private key in PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_certificate_or_key_is_named_and_not_shown() {
        let file = WatchedFile { key: "server.tls_key", path: "/etc/key".into(), remedy: "name a key" };
        let broken = "-----BEGIN CERTIFICATE-----\nsecret";
        for content in ["", "secret", broken, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"] {
            let messages = [
                certificates(&file, content.as_bytes()).map(drop).expect_err(content).to_string(),
                private_key(&file, content.as_bytes()).map(drop).expect_err(content).to_string(),
            ];
            for message in messages {
                assert!(message.starts_with("server.tls_key names /etc/key, which "), "{message}");
                assert!(!message.contains("secret"), "{message}");
            }
        }
    }
}
