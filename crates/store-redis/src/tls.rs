//! Certificates of the connections to the servers, in PEM. They are checked when they are read; errors never contain key material.

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;

/// Certificates of the connections to the servers. The default trusts the system's authorities and presents no certificate.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    certificates: Option<TlsCertificates>,
}

/// Client certificate and its private key, in PEM.
#[derive(Clone, Copy)]
pub struct ClientIdentity<'pem> {
    /// Certificate chain.
    pub certificate: &'pem [u8],
    /// Private key of its first certificate.
    pub key: &'pem [u8],
}

/// Invalid part of the certificates, with its problem as a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProblem {
    /// Certificate authority.
    Authority(&'static str),
    /// Client certificate.
    Certificate(&'static str),
    /// Private key of the client certificate.
    Key(&'static str),
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial").field("is_default", &self.certificates.is_none()).finish()
    }
}

impl TlsMaterial {
    /// Reads a certificate authority and a client certificate; none of either is the default.
    ///
    /// # Errors
    /// The part that is not PEM, is empty, or does not match the other.
    pub fn read(authority: Option<&[u8]>, identity: Option<ClientIdentity<'_>>) -> Result<Self, TlsProblem> {
        if let Some(pem) = authority {
            certificates(pem).map_err(TlsProblem::Authority)?;
        }
        if let Some(ClientIdentity { certificate, key }) = identity {
            let chain = certificates(certificate).map_err(TlsProblem::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|_| TlsProblem::Key("has no private key in PEM"))?;
            CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
                .map_err(|_| TlsProblem::Certificate("does not match its key"))?;
        }
        let client_tls = identity.map(|identity| ClientTlsConfig {
            client_cert: identity.certificate.to_vec(),
            client_key: identity.key.to_vec(),
        });
        let root_cert = authority.map(<[u8]>::to_vec);
        let is_default = client_tls.is_none() && root_cert.is_none();
        Ok(Self { certificates: (!is_default).then_some(TlsCertificates { client_tls, root_cert }) })
    }

    /// Returns the certificates for the client library; none for the default.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.certificates.clone()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err("has no certificate"),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err("is not PEM"),
    }
}
