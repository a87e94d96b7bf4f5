//! Logs of purchases, and the catalogue of one of them.

use super::super::row::RowDefect;
use super::fields::{RowFields, event};
use portrait_proto::v1::{Action, Event, Item};

/// Reads an invoice line. The format documents lines without a customer, which are rejected; a negative quantity is a refund.
pub(super) fn online_retail(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    let user_id = fields.required_id(6)?;
    let quantity = fields.required_number(3)?;
    // The dataset marks cancellations by a negative quantity; the event itself carries the absolute one.
    let action = if quantity < 0.0 { Action::Refund } else { Action::Purchase };
    Ok(Event {
        item_id: fields.id(1)?,
        price: fields.optional_number(5)?,
        quantity: Some(quantity.abs()),
        order_id: fields.id(0)?,
        ..event(user_id, action.into(), fields.date_time(4)?)
    })
}

/// Reads a basket line. The price is the amount paid divided by the quantity; a line that only redeems a coupon has quantity 0.
pub(super) fn transaction(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    let paid = fields.optional_number(5)?;
    // Without a quantity the amount paid is the price.
    let quantity = fields.optional_number(4)?.filter(|quantity| *quantity > 0.0);
    Ok(Event {
        item_id: fields.id(3)?,
        price: paid.map(|paid| paid / quantity.unwrap_or(1.0)),
        quantity,
        order_id: fields.id(2)?,
        ..event(fields.required_id(0)?, Action::Purchase.into(), fields.date_time(10)?)
    })
}

pub(super) fn product(fields: &RowFields<'_>) -> Result<Item, RowDefect> {
    let category = fields.text(4)?;
    Ok(Item {
        item_id: fields.required_id(0)?,
        category: if category.is_empty() { fields.text(2)? } else { category },
        brand: fields.text(3)?,
        title: fields.text(5)?,
        ..Item::default()
    })
}
