//! Which methods a server has. In come encoded descriptors, out goes the name under which a call is measured: a caller can
//! write any path it likes, and must not be able to make up names of metrics without end.

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;
use std::collections::HashSet;

/// The name of whatever is no method of ours.
const UNKNOWN: &str = "unknown";

/// The paths of every method.
pub(crate) struct Methods(HashSet<String>);

impl Methods {
    /// The methods of these descriptor sets.
    pub(crate) fn of(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut paths = HashSet::new();
        for encoded in descriptor_sets {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    let methods = service.method.iter();
                    paths.extend(
                        methods.map(|method| {
                            format!("/{}.{}/{}", file.package(), service.name(), method.name())
                        }),
                    );
                }
            }
        }
        Ok(Self(paths))
    }

    /// The path itself if it is a method, one fixed name otherwise.
    pub(crate) fn name_of<'a>(&self, path: &'a str) -> &'a str {
        if self.0.contains(path) { path } else { UNKNOWN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_method_keeps_its_name() {
        let methods =
            Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).expect("descriptors of a library");
        let rows = [
            ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check"),
            ("/grpc.health.v1.Health/Other", UNKNOWN),
            ("/", UNKNOWN),
            ("", UNKNOWN),
        ];
        for (path, name) in rows {
            assert_eq!(methods.name_of(path), name, "{path}");
        }
        assert!(Methods::of(&[&[0xff]]).is_err(), "what is no descriptor is refused");
    }
}
