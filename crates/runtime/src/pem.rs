//! Certificates and keys as PEM has them. In comes the content of a file, out goes what is in it, or what is wrong with the file.
//! Nothing of a key is ever told.

use crate::config::Invalid;
use crate::files::Named;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates of a file, at least one.
pub(crate) fn certificates(file: &Named, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(file.invalid("which has no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(file.invalid("which is not PEM")),
    }
}

/// The private key of a file.
pub(crate) fn private_key(file: &Named, content: &[u8]) -> Result<PrivateKeyDer<'static>, Invalid> {
    PrivateKeyDer::from_pem_slice(content).map_err(|_| file.invalid("which has no private key in PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_key_is_named_and_not_shown() {
        let file = Named { key: "server.tls_key", path: "/etc/key".into(), remedy: "name a key" };
        let broken = "-----BEGIN CERTIFICATE-----\nsecret";
        for content in ["", "secret", broken, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"] {
            let told = [
                certificates(&file, content.as_bytes()).map(drop).expect_err(content).to_string(),
                private_key(&file, content.as_bytes()).map(drop).expect_err(content).to_string(),
            ];
            for told in told {
                assert!(told.starts_with("server.tls_key names /etc/key, which "), "{told}");
                assert!(!told.contains("secret"), "{told}");
            }
        }
    }
}
