//! Table of a server's methods, built from descriptors: metric label and access rule of each. Paths come from callers, so an
//! unknown path gets one fixed label (bounded cardinality of metrics) and requires a token.

use crate::tokens::AccessRole;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;
use std::collections::HashMap;

/// Metric label of unknown methods.
const UNKNOWN: &str = "unknown";

/// Access rule of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Open to every caller.
    Public,
    /// Any token of the tokens file.
    Token,
    /// Token with this role.
    Role(AccessRole),
}

/// What the layers know about a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) rule: AccessRule,
    /// Caller or server sends a stream.
    pub(crate) is_streaming: bool,
    /// The caller sends a stream.
    pub(crate) is_client_streaming: bool,
}

/// Methods by path.
#[derive(Default)]
pub(crate) struct MethodTable(HashMap<String, Method>);

/// Failure to build the table of methods.
#[derive(Debug, thiserror::Error)]
pub enum MethodsError {
    /// The descriptor set cannot be decoded.
    #[error("a descriptor cannot be read")]
    Descriptor(#[from] DecodeError),
    /// The method has no access rule.
    #[error("{path} has no access rule")]
    NoAccessRule {
        /// Path of the method, such as `/portrait.v1.IngestService/Track`.
        path: String,
    },
}

impl MethodTable {
    /// Adds the methods of an encoded descriptor set, each with its rule by path.
    pub(crate) fn with_descriptors(
        mut self,
        descriptors: &[u8],
        rule: impl Fn(&str) -> Option<AccessRule>,
    ) -> Result<Self, MethodsError> {
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let is_client_streaming = method.client_streaming();
                    let is_streaming = is_client_streaming || method.server_streaming();
                    match rule(&path) {
                        Some(rule) => self.0.insert(path, Method { rule, is_streaming, is_client_streaming }),
                        // A new method without a rule fails the start instead of being open.
                        None => return Err(MethodsError::NoAccessRule { path }),
                    };
                }
            }
        }
        Ok(self)
    }

    /// Returns the metric label: the path itself for a method, [`UNKNOWN`] otherwise.
    pub(crate) fn name_of<'a>(&self, path: &'a str) -> &'a str {
        if self.0.contains_key(path) { path } else { UNKNOWN }
    }

    /// Returns the method of `path`. Unknown methods require a token: anonymous callers must not learn which methods exist.
    pub(crate) fn method(&self, path: &str) -> Method {
        let unknown = Method { rule: AccessRule::Token, is_streaming: false, is_client_streaming: false };
        self.0.get(path).copied().unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_method_keeps_its_name_and_every_one_has_an_access_rule() {
        let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
        let with = |rule| MethodTable::default().with_descriptors(descriptors, |_| rule);
        let methods = with(Some(AccessRule::Public)).expect("descriptors of a library");
        let rows = [
            ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check", AccessRule::Public),
            ("/grpc.health.v1.Health/Other", UNKNOWN, AccessRule::Token),
            ("/", UNKNOWN, AccessRule::Token),
            ("", UNKNOWN, AccessRule::Token),
        ];
        for (path, name, rule) in rows {
            assert_eq!((methods.name_of(path), methods.method(path).rule), (name, rule), "{path}");
        }
        let watch = methods.method("/grpc.health.v1.Health/Watch");
        assert!(watch.is_streaming && !watch.is_client_streaming);
        let missing = with(None).err().expect("no rule").to_string();
        assert!(missing.contains("/grpc.health.v1.Health/"), "{missing}");
        let broken = MethodTable::default().with_descriptors(&[0xff], |_| Some(AccessRule::Public));
        assert!(broken.is_err(), "an invalid descriptor is refused");
    }
}
