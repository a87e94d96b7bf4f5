//! Address of the objects of a prefix.

use super::error::{ObjectError, shown};
use std::fmt;
use std::str::FromStr;

/// Objects of a bucket whose keys begin and end with given texts, written as `s3://BUCKET/BEGIN*END`; `*` stands for any text.
///
/// ```
/// use portrait_connect::objects::ObjectAddress;
///
/// let address: ObjectAddress = "s3://shop/logs/2026-*.parquet".parse()?;
/// assert!(address.matches("logs/2026-11-01.parquet"));
/// assert!(!address.matches("logs/2025-12-31.parquet"));
/// # Ok::<(), portrait_connect::objects::ObjectError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAddress {
    bucket: String,
    begin: String,
    /// Text after the `*`; none if the key is `begin`, or is in a folder of that name.
    end: Option<String>,
}

impl ObjectAddress {
    /// Returns the name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the folder that has all objects, which is what a listing asks for.
    pub(super) fn folder(&self) -> &str {
        match &self.end {
            Some(_) => self.begin.rsplit_once('/').map_or("", |(folder, _)| folder),
            None => self.begin.trim_end_matches('/'),
        }
    }

    /// Returns whether the key is one of these objects.
    pub fn matches(&self, key: &str) -> bool {
        match &self.end {
            Some(end) => key.strip_prefix(&self.begin).is_some_and(|rest| rest.ends_with(end)),
            None => {
                let folder = self.begin.trim_end_matches('/');
                let rest = key.strip_prefix(folder);
                folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl FromStr for ObjectAddress {
    type Err = ObjectError;

    /// Parses `s3://BUCKET/PREFIX`, with at most one `*` in the prefix.
    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let invalid = |problem| ObjectError::Address { text: shown(text), problem };
        let rest = text.strip_prefix("s3://").ok_or_else(|| invalid("does not begin with s3://"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':', '*', '?']) {
            return Err(invalid("has no valid name of a bucket"));
        }
        let (begin, end) = match key.split_once('*') {
            Some((begin, end)) => (begin, Some(end.to_owned())),
            None => (key, None),
        };
        if end.as_ref().is_some_and(|end| end.contains('*')) {
            return Err(invalid("has more than one *"));
        }
        Ok(Self { bucket: bucket.to_owned(), begin: begin.to_owned(), end })
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.begin)?;
        self.end.as_ref().map_or(Ok(()), |end| write!(f, "*{end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_folder_an_object_or_a_pattern() {
        let rows: [(&str, &str, &[&str], &[&str]); 4] = [
            ("s3://shop", "", &["a.csv", "b/c.csv"], &[]),
            ("s3://shop/logs/", "logs", &["logs/a.csv", "logs/b/c.csv"], &["logs2/a.csv", "a.csv"]),
            ("s3://shop/logs/a.csv", "logs/a.csv", &["logs/a.csv"], &["logs/a.csv.gz"]),
            (
                "s3://shop/logs/2026-*.parquet",
                "logs",
                &["logs/2026-1.parquet", "logs/2026-a/b.parquet"],
                &["logs/2025-1.parquet", "logs/2026-1.csv"],
            ),
        ];
        for (text, folder, within, outside) in rows {
            let address: ObjectAddress = text.parse().expect("an address");
            assert_eq!(address.folder(), folder, "{text}");
            assert!(within.iter().all(|key| address.matches(key)), "{text}");
            assert!(!outside.iter().any(|key| address.matches(key)), "{text}");
        }
        for text in [
            "shop/logs",
            "s3://",
            "s3:///logs",
            "s3://key:secret@shop/logs",
            "s3://shop/*/*.csv",
            "S3://shop",
        ] {
            let refused = text.parse::<ObjectAddress>().expect_err(text);
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
