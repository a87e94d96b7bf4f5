//! Logs of what shoppers bought, and the catalogue that belongs to one of them.

use super::super::error::ReadError;
use super::super::row::LogRow;
use super::{RowFields, event};
use portrait_proto::v1::{Action, ErrorReason, Event, Item};

/// Lines of invoices. A line without a customer is nobody's; a negative quantity was given back.
pub(super) fn online_retail(fields: &RowFields<'_>) -> Result<LogRow, ReadError> {
    if fields.text(6).is_empty() {
        return Ok(LogRow::Rejected { line: fields.line(), reason: ErrorReason::EmptyId });
    }
    let quantity: f64 = fields.number(3)?;
    let action = if quantity < 0.0 { Action::Refund } else { Action::Purchase };
    Ok(LogRow::Event(Event {
        item_id: fields.owned(1),
        price: Some(fields.number(5)?),
        quantity: Some(quantity.abs()),
        order_id: fields.owned(0),
        ..event(fields.owned(6), action.into(), fields.date_time(4)?)
    }))
}

/// Lines of baskets. What was paid for a line is divided by its quantity; a line that only redeems a coupon has none.
pub(super) fn transaction(fields: &RowFields<'_>) -> Result<Event, ReadError> {
    let (quantity, paid): (f64, f64) = (fields.number(4)?, fields.number(5)?);
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
    let kind = fields.text(4);
    Item {
        item_id: fields.owned(0),
        category: if kind.is_empty() { fields.owned(2) } else { kind.to_owned() },
        brand: fields.owned(3),
        title: fields.owned(5),
        ..Item::default()
    }
}
