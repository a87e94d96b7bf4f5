//! Errors of objects in a bucket. None contains a credential.

use std::path::PathBuf;

/// Error of an object or a bucket.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Invalid address.
    #[error("{text:?} {problem}: write s3://BUCKET/PREFIX or s3://BUCKET/BEGIN*END")]
    Address {
        /// Text as it was given, cut.
        text: String,
        /// Predicate.
        problem: &'static str,
    },
    /// Environment without credentials.
    #[error(
        "the environment has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_WEB_IDENTITY_TOKEN_FILE, or \
         AWS_SKIP_SIGNATURE=true for a public bucket"
    )]
    Credentials,
    /// Endpoint that may not be called.
    #[error("the endpoint {endpoint:?} {problem}: correct AWS_ENDPOINT_URL")]
    Endpoint {
        /// Endpoint as it was given, cut.
        endpoint: String,
        /// Predicate.
        problem: &'static str,
    },
    /// Invalid variable of the environment.
    #[error("the settings of the bucket are invalid: check the AWS variables of the environment")]
    Settings(#[source] Box<object_store::Error>),
    /// Failed listing.
    #[error(
        "{address} cannot be listed: check the name of the bucket, AWS_REGION, AWS_ENDPOINT_URL and the right s3:ListBucket"
    )]
    List {
        /// Address of the objects.
        address: String,
        /// Error of the store.
        #[source]
        source: Box<object_store::Error>,
    },
    /// More objects than a process keeps in mind.
    #[error("{address} has more than 100000 objects: name a longer prefix")]
    TooMany {
        /// Address of the objects.
        address: String,
    },
    /// Failed read of an object.
    #[error("{key} cannot be read: check the right s3:GetObject")]
    Read {
        /// Key of the object.
        key: String,
        /// Error of the store.
        #[source]
        source: Box<object_store::Error>,
    },
    /// Failed write of the copy.
    #[error("the copy {} cannot be written: free some space, or set TMPDIR to another disk", path.display())]
    Write {
        /// Path of the copy.
        path: PathBuf,
        /// Error of the disk.
        #[source]
        source: std::io::Error,
    },
}

/// Returns a URL for a message: without what may be a password, and cut.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) if !scheme.is_empty() => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    };
    shown.chars().take(200).collect()
}

impl ObjectError {
    pub(super) fn settings(source: object_store::Error) -> Self {
        Self::Settings(Box::new(source))
    }
}
