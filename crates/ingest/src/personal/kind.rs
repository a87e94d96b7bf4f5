//! Kinds of personal data that identify or reach a person.

/// Kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PersonalKind {
    /// First, last, full, nick or user name.
    PersonName,
    /// E-mail address.
    Email,
    /// Number of a telephone, mobile or fax.
    Phone,
    /// Street, house number, postcode or a whole address. A city or country alone is none.
    PostalAddress,
    /// Date, year or place of birth. An age is none.
    BirthDate,
    /// Number of a passport, identity card, driving licence, social security or tax.
    IdentityDocument,
    /// Card, bank account or wallet.
    Payment,
    /// IP address.
    IpAddress,
    /// Device, advertising or cookie id.
    DeviceId,
    /// Account of a social network or messenger, or a portrait.
    SocialHandle,
    /// Coordinates.
    ExactLocation,
    /// Password, token or answer to a security question.
    Credentials,
}

impl PersonalKind {
    /// Returns the value of the metrics label `kind`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::PersonName => "person_name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::PostalAddress => "postal_address",
            Self::BirthDate => "birth_date",
            Self::IdentityDocument => "identity_document",
            Self::Payment => "payment",
            Self::IpAddress => "ip_address",
            Self::DeviceId => "device_id",
            Self::SocialHandle => "social_handle",
            Self::ExactLocation => "exact_location",
            Self::Credentials => "credentials",
        }
    }
}
