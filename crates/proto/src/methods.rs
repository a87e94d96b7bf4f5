//! Methods of the API by their descriptors, for tests and benchmarks that call every one of them.

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Label;

/// Method of `portrait.v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiMethod {
    /// Path of its calls, such as `/portrait.v1.QueryService/GetProfile`.
    pub path: String,
    /// Numbers of the repeated fields of its request.
    pub repeated: Vec<u32>,
}

/// Returns every method of the services of `portrait.v1`.
///
/// # Panics
/// Never: the descriptors are those of the build.
pub fn all() -> Vec<ApiMethod> {
    let descriptors = FileDescriptorSet::decode(crate::DESCRIPTOR_SET).expect("descriptors of the build");
    let ours: Vec<_> = descriptors.file.iter().filter(|file| file.package() == "portrait.v1").collect();
    let repeated = |name: &str| -> Vec<u32> {
        let messages = ours.iter().flat_map(|file| &file.message_type);
        let message = messages.into_iter().find(|message| name.ends_with(&format!(".{}", message.name())));
        let fields = message.into_iter().flat_map(|message| &message.field);
        let repeated = fields.filter(|field| field.label() == Label::Repeated);
        repeated.map(|field| field.number().unsigned_abs()).collect()
    };
    let services = ours.iter().flat_map(|file| &file.service);
    let methods = services.flat_map(|service| {
        service.method.iter().map(|method| ApiMethod {
            path: format!("/portrait.v1.{}/{}", service.name(), method.name()),
            repeated: repeated(method.input_type()),
        })
    });
    methods.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_its_path_and_the_repeated_fields_of_its_request() {
        let methods = all();
        let of = |path: &str| methods.iter().find(|method| method.path.ends_with(path)).expect("a method");
        assert_eq!(of("/portrait.v1.IngestService/Track").repeated[0], 1);
        assert!(of("/portrait.v1.QueryService/GetSegment").repeated.is_empty(), "{methods:?}");
    }
}
