//! Conversion of the feature schema to the wire.

use crate::v1;
use portrait_profile::FeatureSchema;

/// Returns the components of the schema, in their order.
///
/// ```
/// use portrait_profile::FeatureSchema;
/// use portrait_proto::feature::components_to_wire;
///
/// let components = components_to_wire(FeatureSchema::current());
/// assert_eq!(components.len(), FeatureSchema::current().components().len());
/// assert!(components.iter().any(|component| component.name == "behavior.view.7d"));
/// ```
pub fn components_to_wire(schema: &FeatureSchema) -> Vec<v1::FeatureComponent> {
    schema
        .components()
        .iter()
        .map(|component| v1::FeatureComponent {
            name: component.name.clone(),
            unit: component.unit.to_owned(),
            description: component.description.clone(),
            dimension: component.dimension.name().to_owned(),
        })
        .collect()
}
