//! The feature schema, from the domain to the wire.

use crate::v1;
use portrait_profile::FeatureSchema;

/// The components of the schema, in their order.
pub fn components_to_wire(schema: &FeatureSchema) -> Vec<v1::FeatureComponent> {
    let component = |component: &portrait_profile::FeatureComponent| v1::FeatureComponent {
        name: component.name.clone(),
        unit: component.unit.to_owned(),
        description: component.description.clone(),
        dimension: component.dimension.name().to_owned(),
    };
    schema.components().iter().map(component).collect()
}
