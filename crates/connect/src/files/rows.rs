//! Dispatch from a column layout to the function that reads its rows. Values are parsed strictly: an invalid field is a defect of
//! its row, never a guess.

mod behaviour;
mod fields;
mod json;
mod purchases;

pub(super) use fields::RowFields;
pub(super) use json::json;

use super::format::ColumnLayout;
use super::row::{RowBody, RowDefect};

/// Converts the fields of a row.
pub(super) fn read(layout: ColumnLayout, fields: &RowFields<'_>) -> Result<RowBody, RowDefect> {
    match layout {
        ColumnLayout::Rees46 => behaviour::rees46(fields).map(RowBody::Event),
        ColumnLayout::Retailrocket => behaviour::retailrocket(fields).map(RowBody::Event),
        ColumnLayout::Taobao => behaviour::taobao(fields).map(RowBody::Event),
        ColumnLayout::Tmall => behaviour::tmall(fields).map(RowBody::Event),
        ColumnLayout::Jdata => behaviour::jdata(fields).map(RowBody::Event),
        ColumnLayout::Otto => behaviour::otto(fields).map(RowBody::Event),
        ColumnLayout::Eshop => behaviour::eshop(fields).map(RowBody::Event),
        ColumnLayout::OnlineRetail => purchases::online_retail(fields).map(RowBody::Event),
        ColumnLayout::Transactions => purchases::transaction(fields).map(RowBody::Event),
        ColumnLayout::Products => purchases::product(fields).map(RowBody::Item),
    }
}
