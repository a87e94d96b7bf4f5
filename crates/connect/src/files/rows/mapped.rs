//! Rows of a mapping as events and items. Values are parsed strictly: an invalid field is a defect of its row, never a guess.

use super::super::bound::BoundMapping;
use super::super::cell::without_zero_fraction;
use super::super::mapping::{Field, MappedAction, RowKind};
use super::super::row::{RowBody, RowDefect, RowReason};
use super::fields::{CellText, RowFields};
use super::times;
use portrait_profile::ActionKind;
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1::{Event, Item};

/// Converts the fields of a row.
pub(in crate::files) fn mapped(bound: &BoundMapping, fields: &RowFields<'_>) -> Result<RowBody, RowDefect> {
    if !fields.is_read()? {
        return Ok(RowBody::LeftOut);
    }
    match bound.mapping.rows.kind {
        RowKind::Events => event(bound, fields).map(RowBody::Event),
        RowKind::Items => item(fields).map(RowBody::Item),
    }
}

fn event(bound: &BoundMapping, fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    let user_id = fields.required_id(Field::User)?;
    let action = action(bound, fields)?;
    let mut event = Event {
        user_id,
        item_id: fields.name(Field::Item)?,
        category: fields.name(Field::Category)?,
        brand: fields.name(Field::Brand)?,
        price: fields.number(Field::Price)?,
        quantity: fields.number(Field::Quantity)?,
        currency: fields.name(Field::Currency)?,
        order_id: fields.name(Field::Order)?,
        order_line: order_line(fields)?,
        session_id: fields.name(Field::Session)?,
        anonymous_id: fields.name(Field::Anonymous)?,
        event_id: fields.name(Field::EventId)?,
        query: fields.words(Field::Query)?,
        custom_action: action.custom,
        ..Event::default()
    };
    let table = bound.fields.as_ref();
    if let Some(source) = table.and_then(|table| table.time.as_ref()) {
        event.occurred_at = Some(times::time(fields, source)?);
    }
    for (name, columns) in table.iter().flat_map(|table| &table.properties) {
        if let Some(cell) = fields.first(columns, &[])? {
            event.properties.insert(name.clone(), cell.text.into_owned());
        }
    }
    let kind = refund(bound, fields, &mut event, action.kind)?;
    event.action = kind_to_wire(kind).into();
    divide_amount(fields, &mut event)?;
    Ok(event)
}

fn item(fields: &RowFields<'_>) -> Result<Item, RowDefect> {
    let available = fields.value(Field::Available)?.map(|cell| flag(fields, &cell)).transpose()?;
    Ok(Item {
        item_id: fields.required_id(Field::Item)?,
        category: fields.name(Field::Category)?,
        brand: fields.name(Field::Brand)?,
        price: fields.number(Field::Price)?,
        currency: fields.name(Field::Currency)?,
        title: fields.name(Field::Title)?,
        available,
    })
}

/// Reads the action: that of `[actions]`, or one of the API by its name.
fn action(bound: &BoundMapping, fields: &RowFields<'_>) -> Result<MappedAction, RowDefect> {
    let missing = || fields.defect(fields.column(Field::Action), RowReason::MissingField, "is missing");
    let cell = fields.value(Field::Action)?.ok_or_else(missing)?;
    let actions = &bound.mapping.actions;
    let text = without_zero_fraction(cell.text.trim());
    let found = actions.iter().find(|(name, _)| name == text).map(|(_, action)| action.clone());
    // A constant, and a column without a table of actions, have the names of the API.
    let is_named = actions.is_empty() || cell.index.is_none();
    let found = found.or_else(|| MappedAction::named(text).filter(|_| is_named));
    found.ok_or_else(|| {
        let names = actions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let known = if actions.is_empty() { MappedAction::known() } else { names };
        fields.invalid(&cell, RowReason::UnknownAction, &format!("one of {known}"))
    })
}

/// Turns a purchase that has a sign of a refund into a refund, with a positive quantity.
fn refund(
    bound: &BoundMapping,
    fields: &RowFields<'_>,
    event: &mut Event,
    kind: ActionKind,
) -> Result<ActionKind, RowDefect> {
    let signs = &bound.mapping.refunds;
    if kind != ActionKind::Purchase {
        return Ok(kind);
    }
    let mut is_refund =
        signs.order_prefix.as_ref().is_some_and(|prefix| event.order_id.starts_with(prefix.as_str()));
    if signs.negative_quantity {
        // Without a quantity its sign is unknown, and so is the action.
        let missing = || fields.defect(fields.column(Field::Quantity), RowReason::MissingField, "is missing");
        let quantity = event.quantity.ok_or_else(missing)?;
        is_refund |= quantity < 0.0;
        event.quantity = Some(quantity.abs());
    }
    Ok(if is_refund { ActionKind::Refund } else { kind })
}

/// Makes the price of one unit of the total of the line. A line with quantity 0, such as one that only redeems a coupon, has the
/// amount as its price and no quantity.
fn divide_amount(fields: &RowFields<'_>, event: &mut Event) -> Result<(), RowDefect> {
    if fields.column(Field::Amount).is_none() {
        return Ok(());
    }
    event.quantity = event.quantity.filter(|quantity| *quantity > 0.0);
    let quantity = event.quantity.unwrap_or(1.0);
    let is_refund = event.action == i32::from(kind_to_wire(ActionKind::Refund));
    event.price =
        fields.number(Field::Amount)?.map(|paid| if is_refund { paid.abs() } else { paid } / quantity);
    Ok(())
}

fn order_line(fields: &RowFields<'_>) -> Result<u32, RowDefect> {
    let Some(cell) = fields.value(Field::OrderLine)? else { return Ok(0) };
    let expected = format!("a whole number from 0 to {}", u32::MAX);
    let number = without_zero_fraction(cell.text.trim()).parse();
    number.map_err(|_| fields.invalid(&cell, RowReason::BadNumber, &expected))
}

fn flag(fields: &RowFields<'_>, cell: &CellText<'_>) -> Result<bool, RowDefect> {
    match cell.text.trim().to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "y" | "t" => Ok(true),
        "0" | "0.0" | "false" | "no" | "n" | "f" => Ok(false),
        _ => Err(fields.invalid(cell, RowReason::BadText, "true or false")),
    }
}
