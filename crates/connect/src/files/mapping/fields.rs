//! Table `[fields]` of a mapping: which column becomes which field of the API.

use super::column::{ColumnNames, FieldSource};
use super::error::MappingError;
use super::keys::Keys;
use super::time::{TimeReading, TimeSource};

/// Field of an event or item that a mapping reads, apart from its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::files) enum Field {
    User,
    Anonymous,
    Action,
    Item,
    Category,
    Brand,
    Price,
    /// Total of a line, which is divided by the quantity.
    Amount,
    Currency,
    Quantity,
    Order,
    OrderLine,
    Session,
    EventId,
    Query,
    Title,
    Available,
}

/// Columns of type `C` by field.
#[derive(Clone, Debug)]
pub(in crate::files) struct FieldTable<C> {
    /// Sources by field, in the order of [`Field::ALL`].
    pub(in crate::files) fields: Vec<(Field, FieldSource<C>)>,
    /// None for items, which have no time.
    pub(in crate::files) time: Option<TimeSource<C>>,
    /// Properties by name.
    pub(in crate::files) properties: Vec<(String, C)>,
}

impl Field {
    /// All fields, in the order in which a guess writes them.
    pub(in crate::files) const ALL: [Self; 17] = [
        Self::User,
        Self::Anonymous,
        Self::Action,
        Self::Item,
        Self::Category,
        Self::Brand,
        Self::Price,
        Self::Amount,
        Self::Currency,
        Self::Quantity,
        Self::Order,
        Self::OrderLine,
        Self::Session,
        Self::EventId,
        Self::Query,
        Self::Title,
        Self::Available,
    ];

    /// Returns the key in a mapping.
    pub(in crate::files) const fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Anonymous => "anonymous",
            Self::Action => "action",
            Self::Item => "item",
            Self::Category => "category",
            Self::Brand => "brand",
            Self::Price => "price",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Quantity => "quantity",
            Self::Order => "order",
            Self::OrderLine => "order_line",
            Self::Session => "session",
            Self::EventId => "event_id",
            Self::Query => "query",
            Self::Title => "title",
            Self::Available => "available",
        }
    }

    /// Returns the name in the API's `Event` or `Item`.
    pub(in crate::files) const fn api_name(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Anonymous => "anonymous_id",
            Self::Item => "item_id",
            Self::Price | Self::Amount => "price",
            Self::Order => "order_id",
            Self::Session => "session_id",
            Self::Action
            | Self::Category
            | Self::Brand
            | Self::Currency
            | Self::Quantity
            | Self::OrderLine
            | Self::EventId
            | Self::Query
            | Self::Title
            | Self::Available => self.key(),
        }
    }
}

impl FieldTable<ColumnNames> {
    /// Reads the table; `reading` is that of times in `[source]`.
    pub(super) fn of(mut keys: Keys<'_>, reading: TimeReading) -> Result<Self, MappingError> {
        let mut fields = Vec::new();
        for field in Field::ALL {
            if let Some(value) = keys.take(field.key()) {
                fields.push((field, FieldSource::of(value)?));
            }
        }
        let time = keys.take("time").map(|value| TimeSource::of(value, reading)).transpose()?;
        let mut properties = Vec::new();
        if let Some(value) = keys.take("properties") {
            for (name, value) in value.table()?.take_all() {
                properties.push((name, ColumnNames::of(&value)?));
            }
        }
        keys.finish()?;
        Ok(Self { fields, time, properties })
    }
}

impl<C> FieldTable<C> {
    /// Returns the source of a field.
    pub(in crate::files) fn get(&self, field: Field) -> Option<&FieldSource<C>> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, source)| source)
    }

    /// Returns all columns, with the key of their field.
    pub(in crate::files) fn columns(&self) -> Vec<(&str, &C)> {
        let fields = self.fields.iter().filter_map(|(field, source)| Some((field.key(), source.columns()?)));
        let time =
            self.time.iter().flat_map(|time| time.columns().into_iter().map(|column| ("time", column)));
        let properties = self.properties.iter().map(|(name, column)| (name.as_str(), column));
        fields.chain(time).chain(properties).collect()
    }

    /// Converts all columns; `convert` has the key of the field too.
    pub(in crate::files) fn try_map<D, E>(
        &self,
        mut convert: impl FnMut(&str, &C) -> Result<D, E>,
    ) -> Result<FieldTable<D>, E> {
        let fields = self
            .fields
            .iter()
            .map(|(field, source)| Ok((*field, source.try_map(|columns| convert(field.key(), columns))?)));
        let fields = fields.collect::<Result<_, E>>()?;
        let time =
            self.time.as_ref().map(|time| time.try_map(|column| convert("time", column))).transpose()?;
        let properties =
            self.properties.iter().map(|(name, column)| Ok((name.clone(), convert(name, column)?)));
        let properties = properties.collect::<Result<_, E>>()?;
        Ok(FieldTable { fields, time, properties })
    }
}
