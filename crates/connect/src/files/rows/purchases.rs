//! Logs of purchases, and the catalogue of one of them.

use super::super::error::ReadError;
use super::super::row::LogRow;
use super::fields::{RowFields, event};
use portrait_proto::v1::{Action, ErrorReason, Event, Item};

/// Reads an invoice line. A line without a customer is rejected; a negative quantity is a refund.
pub(super) fn online_retail(fields: &RowFields<'_>) -> Result<LogRow, ReadError> {
    // The format documents lines without a customer, so they are rejected one by one and do not end the import.
    if fields.text(6).is_empty() {
        return Ok(LogRow::Rejected { line: fields.line(), reason: ErrorReason::EmptyId });
    }
    let quantity: f64 = fields.number(3)?;
    // The dataset marks cancellations by a negative quantity; the event itself carries the absolute one.
    let action = if quantity < 0.0 { Action::Refund } else { Action::Purchase };
    Ok(LogRow::Event(Event {
        item_id: fields.owned(1),
        price: Some(fields.number(5)?),
        quantity: Some(quantity.abs()),
        order_id: fields.owned(0),
        ..event(fields.owned(6), action.into(), fields.date_time(4)?)
    }))
}

/// Reads a basket line. The price is the amount paid divided by the quantity; a line that only redeems a coupon has quantity 0.
pub(super) fn transaction(fields: &RowFields<'_>) -> Result<Event, ReadError> {
    let quantity: f64 = fields.number(4)?;
    let paid: f64 = fields.number(5)?;
    // Without a quantity the amount paid is the price.
    let quantity = Some(quantity).filter(|quantity| *quantity > 0.0);
    Ok(Event {
        item_id: fields.owned(3),
        price: Some(paid / quantity.unwrap_or(1.0)),
        quantity,
        order_id: fields.owned(2),
        ..event(fields.owned(0), Action::Purchase.into(), fields.date_time(10)?)
    })
}

pub(super) fn product(fields: &RowFields<'_>) -> Item {
    let category = fields.text(4);
    Item {
        item_id: fields.owned(0),
        category: if category.is_empty() { fields.owned(2) } else { category.to_owned() },
        brand: fields.owned(3),
        title: fields.owned(5),
        ..Item::default()
    }
}
