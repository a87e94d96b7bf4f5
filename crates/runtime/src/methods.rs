//! Which methods a server has, and what each asks of its caller. In come encoded descriptors, out goes the name under which a call
//! is measured, and what it needs: a caller can write any path it likes, and must not be able to make up names of metrics without
//! end, nor a method that nobody has thought of.

use crate::tokens::Role;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;
use std::collections::HashMap;

/// The name of whatever is no method of ours.
const UNKNOWN: &str = "unknown";

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Any token.
    Token,
    /// A token with this role.
    Role(Role),
}

/// The paths of every method, with what each needs.
#[derive(Default)]
pub(crate) struct Methods(HashMap<String, Need>);

/// Why they cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum MethodsError {
    /// A descriptor cannot be read.
    #[error("a descriptor cannot be read")]
    Descriptor(#[from] DecodeError),
    /// Nobody has said what a method needs.
    #[error("nobody has said what {path} asks of its caller")]
    NoNeed {
        /// Which, as `/portrait.v1.IngestService/Track`.
        path: String,
    },
}

impl Methods {
    /// The same, and the methods of a descriptor set, which `need` knows by their paths.
    pub(crate) fn with(
        mut self,
        descriptors: &[u8],
        need: impl Fn(&str) -> Option<Need>,
    ) -> Result<Self, MethodsError> {
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    match need(&path) {
                        Some(need) => self.0.insert(path, need),
                        None => return Err(MethodsError::NoNeed { path }),
                    };
                }
            }
        }
        Ok(self)
    }

    /// The path itself if it is a method, one fixed name otherwise.
    pub(crate) fn name_of<'a>(&self, path: &'a str) -> &'a str {
        if self.0.contains_key(path) { path } else { UNKNOWN }
    }

    /// What a call of `path` needs; that there is no such method is nobody's business who has no token.
    pub(crate) fn need_of(&self, path: &str) -> Need {
        self.0.get(path).copied().unwrap_or(Need::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_method_keeps_its_name_and_every_one_has_a_need() {
        let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
        let with = |need| Methods::default().with(descriptors, |_| need);
        let methods = with(Some(Need::Nothing)).expect("descriptors of a library");
        let rows = [
            ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check", Need::Nothing),
            ("/grpc.health.v1.Health/Other", UNKNOWN, Need::Token),
            ("/", UNKNOWN, Need::Token),
            ("", UNKNOWN, Need::Token),
        ];
        for (path, name, need) in rows {
            assert_eq!((methods.name_of(path), methods.need_of(path)), (name, need), "{path}");
        }
        let missing = with(None).err().expect("nobody has said").to_string();
        assert!(missing.contains("/grpc.health.v1.Health/"), "{missing}");
        let broken = Methods::default().with(&[0xff], |_| Some(Need::Nothing));
        assert!(broken.is_err(), "what is no descriptor is refused");
    }
}
