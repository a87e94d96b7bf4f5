//! Logs of user behaviour, with one function for each format.

use super::super::moment;
use super::super::row::{RowDefect, RowReason};
use super::fields::{RowFields, event};
use portrait_proto::v1::{Action, Event};

pub(super) fn rees46(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 4] = [
        ("view", Action::View),
        ("cart", Action::AddToCart),
        ("remove_from_cart", Action::RemoveFromCart),
        ("purchase", Action::Purchase),
    ];
    let category = fields.text(4)?;
    Ok(Event {
        item_id: fields.id(2)?,
        // A third of the categories have a number but no name.
        category: if category.is_empty() { fields.id(3)? } else { category },
        brand: fields.text(5)?,
        price: fields.optional_number(6)?,
        session_id: fields.id(8)?,
        ..event(fields.required_id(7)?, fields.action(1, &ACTIONS)?, fields.date_time(0)?)
    })
}

pub(super) fn retailrocket(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 3] =
        [("view", Action::View), ("addtocart", Action::AddToCart), ("transaction", Action::Purchase)];
    Ok(Event {
        item_id: fields.id(3)?,
        // Only transactions have an id; it is empty for other actions.
        order_id: fields.id(4)?,
        ..event(fields.required_id(1)?, fields.action(2, &ACTIONS)?, fields.millis(0)?)
    })
}

pub(super) fn taobao(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 4] = [
        ("pv", Action::View),
        ("cart", Action::AddToCart),
        ("fav", Action::Favorite),
        ("buy", Action::Purchase),
    ];
    Ok(Event {
        item_id: fields.id(1)?,
        category: fields.id(2)?,
        ..event(fields.required_id(0)?, fields.action(3, &ACTIONS)?, fields.seconds(4)?)
    })
}

/// Reads a Tmall row. The format has days of 2013 without a time, so every event is at noon.
pub(super) fn tmall(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 4] =
        [("0", Action::Click), ("1", Action::Purchase), ("2", Action::Favorite), ("3", Action::AddToCart)];
    const EXPECTED: &str = "a month and a day, such as 7-20";
    let noon = fields
        .required(3)?
        .split_once('-')
        .and_then(|(month, day)| jiff::civil::Date::new(2013, month.parse().ok()?, day.parse().ok()?).ok())
        .and_then(|day| moment::in_utc(day.at(12, 0, 0, 0)));
    let noon = noon.ok_or_else(|| fields.invalid(3, RowReason::BadTime, EXPECTED))?;
    Ok(Event {
        brand: fields.id(1)?,
        ..event(fields.required_id(0)?, fields.action(2, &ACTIONS)?, Some(noon))
    })
}

/// Reads a row of JData. The published files write user ids as 266079.0.
pub(super) fn jdata(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 6] = [
        ("1", Action::View),
        ("2", Action::AddToCart),
        ("3", Action::RemoveFromCart),
        ("4", Action::Purchase),
        ("5", Action::Favorite),
        ("6", Action::Click),
    ];
    Ok(Event {
        item_id: fields.id(1)?,
        category: fields.id(5)?,
        brand: fields.id(6)?,
        ..event(fields.required_id(0)?, fields.action(4, &ACTIONS)?, fields.date_time(2)?)
    })
}

/// Reads an OTTO row. Users are anonymous, so each session becomes one user.
pub(super) fn otto(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    const ACTIONS: [(&str, Action); 3] =
        [("clicks", Action::Click), ("carts", Action::AddToCart), ("orders", Action::Purchase)];
    Ok(Event {
        item_id: fields.id(1)?,
        ..event(fields.required_id(0)?, fields.action(3, &ACTIONS)?, fields.millis(2)?)
    })
}

/// Reads an e-shop row. Each session becomes one user. Clicks have a day and a number in the session, which becomes the second of
/// the day, so that their order is kept.
pub(super) fn eshop(fields: &RowFields<'_>) -> Result<Event, RowDefect> {
    // Year, month and day are separate columns.
    let day = jiff::civil::Date::new(fields.number(0)?, fields.number(1)?, fields.number(2)?);
    let midnight = day.ok().and_then(|day| moment::in_utc(day.at(0, 0, 0, 0)));
    let mut occurred_at =
        midnight.ok_or_else(|| fields.invalid(2, RowReason::BadTime, "a day of that month"))?;
    let click: u32 = fields.number(3)?;
    // The number of the click is the second of the day: the order of clicks matters, their exact times are unknown.
    occurred_at.seconds += i64::from(click);
    Ok(Event {
        item_id: fields.id(7)?,
        category: fields.id(6)?,
        price: fields.optional_number(11)?,
        ..event(fields.required_id(5)?, Action::View.into(), Some(occurred_at))
    })
}
