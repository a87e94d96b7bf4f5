//! Dispatch from a column layout to the function that reads its rows. Values are parsed strictly: an invalid field is an error, never
//! a guess.

mod behaviour;
mod fields;
mod lines;
mod purchases;

pub(super) use fields::RowFields;
pub(super) use lines::json;

use super::error::ReadError;
use super::format::ColumnLayout;
use super::row::LogRow;

/// Converts the fields of a line to a row.
pub(super) fn read(layout: ColumnLayout, fields: &RowFields<'_>) -> Result<LogRow, ReadError> {
    match layout {
        ColumnLayout::Rees46 => behaviour::rees46(fields).map(LogRow::Event),
        ColumnLayout::Retailrocket => behaviour::retailrocket(fields).map(LogRow::Event),
        ColumnLayout::Taobao => behaviour::taobao(fields).map(LogRow::Event),
        ColumnLayout::Tmall => behaviour::tmall(fields).map(LogRow::Event),
        ColumnLayout::Jdata => behaviour::jdata(fields).map(LogRow::Event),
        ColumnLayout::Otto => behaviour::otto(fields).map(LogRow::Event),
        ColumnLayout::Eshop => behaviour::eshop(fields).map(LogRow::Event),
        ColumnLayout::OnlineRetail => purchases::online_retail(fields),
        ColumnLayout::Transactions => purchases::transaction(fields).map(LogRow::Event),
        ColumnLayout::Products => Ok(LogRow::Item(purchases::product(fields))),
    }
}
