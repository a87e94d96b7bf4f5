//! Objects of an S3 bucket (AWS, MinIO, Ceph, R2 and others with its API): the objects of a prefix in the order of their keys, and
//! copies of them as files, so that every reader of files reads objects too.

mod address;
mod error;

pub use address::ObjectAddress;
pub use error::ObjectError;

use crate::link_local::is_link_local;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::HashSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use tokio::io::AsyncWriteExt;

/// Most objects of a prefix. Their keys and tags are kept in memory, so that no object is read twice: about 200 bytes each.
pub const OBJECTS_MAX: usize = 100_000;

/// Objects of a prefix.
#[derive(Debug)]
pub struct Objects {
    address: ObjectAddress,
    store: AmazonS3,
    /// Key and tag of the objects that were handed out.
    known: HashSet<(ObjectPath, Option<String>)>,
}

/// Object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundObject {
    /// Key in the bucket, such as `logs/2026-11-01.parquet`.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    path: ObjectPath,
    tag: Option<String>,
}

impl Objects {
    /// Opens the bucket of an address. Region, endpoint and credentials come from `environment`, in the variables of the AWS tools:
    /// `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`, and `AWS_SKIP_SIGNATURE=true` for a public bucket. Nothing is requested yet.
    ///
    /// # Errors
    /// [`ObjectError::Credentials`] without credentials, [`ObjectError::Endpoint`] for an endpoint that may not be called,
    /// [`ObjectError::Settings`] if a variable is invalid.
    pub fn open(
        address: ObjectAddress,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ObjectError> {
        // An error means that the process has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables = environment.into_iter().filter_map(|(name, value)| {
            let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse().ok())??;
            Some((key, value))
        });
        let builder = AmazonS3Builder::new().with_bucket_name(address.bucket());
        let mut builder = variables.fold(builder, |builder, (key, value)| builder.with_config(key, value));
        if !has_credentials(&builder) {
            return Err(ObjectError::Credentials);
        }
        if let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint) {
            let is_loopback = check_endpoint(&endpoint)?;
            // Without TLS only within the machine: keys and events would be readable on the way.
            builder = builder.with_allow_http(is_loopback);
        }
        let store = builder.build().map_err(ObjectError::settings)?;
        Ok(Self { address, store, known: HashSet::new() })
    }

    /// Returns the objects that were not returned before, or have changed since, in the order of their keys.
    ///
    /// # Errors
    /// [`ObjectError::List`] if the bucket cannot be listed, [`ObjectError::TooMany`] above [`OBJECTS_MAX`].
    pub async fn new_objects(&mut self) -> Result<Vec<FoundObject>, ObjectError> {
        let prefix = ObjectPath::from(self.address.folder());
        let mut listed = self.store.list(Some(&prefix));
        let mut found = Vec::new();
        while let Some(meta) = listed.try_next().await.map_err(|error| self.cannot_list(error))? {
            let name = (meta.location, meta.e_tag);
            if !self.address.matches(name.0.as_ref()) || self.known.contains(&name) {
                continue;
            }
            if self.known.len() + found.len() == OBJECTS_MAX {
                return Err(ObjectError::TooMany { address: self.address.to_string() });
            }
            let (path, tag) = name;
            found.push(FoundObject { key: path.to_string(), bytes: meta.size, path, tag });
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        self.known.extend(found.iter().map(|object| (object.path.clone(), object.tag.clone())));
        Ok(found)
    }

    /// Copies an object to the file at `path`, which is created or replaced; `progress` gets the number of bytes so far.
    ///
    /// # Errors
    /// [`ObjectError::Read`] if the object cannot be read to its end, [`ObjectError::Write`] if the file cannot be written.
    pub async fn copy_to(
        &self,
        object: &FoundObject,
        path: &Path,
        progress: impl Fn(u64),
    ) -> Result<(), ObjectError> {
        let unreadable = |source| ObjectError::Read { key: object.key.clone(), source: Box::new(source) };
        let unwritable = |source| ObjectError::Write { path: path.to_owned(), source };
        let mut chunks = self.store.get(&object.path).await.map_err(unreadable)?.into_stream();
        let mut file = tokio::fs::File::create(path).await.map_err(unwritable)?;
        let mut bytes = 0;
        while let Some(chunk) = chunks.try_next().await.map_err(unreadable)? {
            file.write_all(&chunk).await.map_err(unwritable)?;
            bytes += chunk.len() as u64;
            progress(bytes);
        }
        file.flush().await.map_err(unwritable)
    }

    fn cannot_list(&self, source: object_store::Error) -> ObjectError {
        ObjectError::List { address: self.address.to_string(), source: Box::new(source) }
    }
}

/// Returns whether the environment has credentials. Without any the library would ask a link-local address for those of the machine.
fn has_credentials(builder: &AmazonS3Builder) -> bool {
    let has = |key: AmazonS3ConfigKey| builder.get_config_value(&key).is_some_and(|value| !value.is_empty());
    let skips = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature);
    has(AmazonS3ConfigKey::AccessKeyId) && has(AmazonS3ConfigKey::SecretAccessKey)
        || has(AmazonS3ConfigKey::WebIdentityTokenFile)
        || skips.is_some_and(|skips| skips == "true")
}

/// Checks the endpoint, and returns whether it is on this machine.
fn check_endpoint(endpoint: &str) -> Result<bool, ObjectError> {
    let refused = |problem: &'static str| ObjectError::Endpoint { endpoint: error::shown(endpoint), problem };
    let uri: http::Uri = endpoint.parse().map_err(|_| refused("is no URL"))?;
    let host = uri.host().ok_or_else(|| refused("has no host"))?.trim_matches(['[', ']']);
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused(
            "has a user or a password: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    let port = uri.port_u16().unwrap_or(443);
    let addresses: Vec<IpAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|_| refused("has a host that cannot be resolved"))?
        .map(|address| address.ip())
        .collect();
    if addresses.iter().any(|address| is_link_local(*address)) {
        return Err(refused("is a link-local address, where machines keep their credentials"));
    }
    let is_loopback = addresses.iter().all(|address| address.to_canonical().is_loopback());
    if uri.scheme_str() != Some("https") && !is_loopback {
        return Err(refused("is not https"));
    }
    Ok(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_called_over_https_or_on_this_machine() {
        for (endpoint, is_loopback) in
            [("http://127.0.0.1:9000", true), ("http://[::1]:9000", true), ("https://192.0.2.1", false)]
        {
            assert_eq!(check_endpoint(endpoint).ok(), Some(is_loopback), "{endpoint}");
        }
        for endpoint in [
            "http://192.0.2.1:9000",
            "http://169.254.169.254",
            "https://169.254.169.254/latest",
            "https://[fe80::1]",
            "https://[::ffff:169.254.169.254]",
            "https://[64:ff9b::a9fe:a9fe]",
            "https://user:secret@192.0.2.1",
            "9000",
            "",
        ] {
            let refused = check_endpoint(endpoint).expect_err(endpoint);
            assert!(!refused.to_string().contains("secret"), "{endpoint}: {refused}");
        }
    }
}
