//! Recognition of personal data: what a trait or property is by its name, in the spellings that SDKs, forms and CRM systems
//! send, and what a text is by its form, under any name.

mod kind;
mod names;
mod phone;
mod values;
mod vocabulary;

pub(crate) use kind::PersonalKind;
pub(crate) use names::{kind_of_name, normalized};
pub(crate) use values::kind_of_value;
