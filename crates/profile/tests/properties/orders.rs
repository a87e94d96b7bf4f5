//! Orders of a profile against a naive model: money, orders and lines are equal for any purchases, corrections, refunds, duplicates
//! and orders of arrival.

use super::{BEGIN_MS, event, record, user};
use portrait_profile::{Action, ItemId, ORDER_LINES_MAX, ORDERS_MAX, OrderId, Profile, Record, Timestamp};
use proptest::prelude::*;

/// Purchase or refund of one item.
#[derive(Clone, Debug)]
struct Sale {
    is_refund: bool,
    order: Option<u8>,
    item: Option<u8>,
    number: u32,
    second: i64,
    price: Option<f64>,
    units: f64,
}

/// Line of an order as the naive model keeps it.
struct NaiveLine {
    item: Option<u8>,
    number: u32,
    second: i64,
    bought: f64,
    units: f64,
    money_back: f64,
    units_back: f64,
}

struct NaiveOrder {
    order: Option<u8>,
    second: i64,
    lines: Vec<NaiveLine>,
}

/// What readers see of the orders.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    cents: i64,
    orders: u64,
    corrected: u64,
    unmatched_cents: i64,
    untracked: u64,
}

#[derive(Default)]
struct Naive {
    kept: Vec<NaiveOrder>,
    money: f64,
    unmatched: f64,
    totals: Totals,
    departed_through: Option<i64>,
    untracked_order: Option<u8>,
}

impl Naive {
    fn fold(&mut self, sale: &Sale) {
        if sale.is_refund { self.refund(sale) } else { self.buy(sale) }
    }

    fn buy(&mut self, sale: &Sale) {
        let money = sale.price.unwrap_or(0.0) * sale.units;
        let order = self.kept.iter_mut().find(|order| sale.order.is_some() && order.order == sale.order);
        let line = NaiveLine {
            item: sale.item,
            number: sale.number,
            second: sale.second,
            bought: money,
            units: sale.units,
            money_back: 0.0,
            units_back: 0.0,
        };
        if let Some(order) = order {
            let same = |known: &&mut NaiveLine| (known.item, known.number) == (sale.item, sale.number);
            if let Some(known) = order.lines.iter_mut().find(same) {
                self.money -= known.bought - known.money_back;
                known.bought = money;
                known.units = sale.units;
                known.money_back = known.money_back.min(money);
                known.units_back = known.units_back.min(sale.units);
                self.money += known.bought - known.money_back;
                self.totals.corrected += 1;
                return;
            }
            self.money += money;
            if order.lines.len() == ORDER_LINES_MAX {
                self.totals.untracked += 1;
                return;
            }
            order.second = order.second.max(sale.second);
            order.lines.push(line);
            return self.evict();
        }
        self.money += money;
        let is_departed = self.departed_through.is_some_and(|departed| sale.second <= departed);
        if is_departed {
            let is_known = sale.order.is_some() && self.untracked_order == sale.order;
            self.totals.orders += u64::from(!is_known);
            self.totals.untracked += 1;
            self.untracked_order = sale.order;
            return;
        }
        self.totals.orders += 1;
        self.kept.push(NaiveOrder { order: sale.order, second: sale.second, lines: vec![line] });
        self.evict();
    }

    fn evict(&mut self) {
        while self.kept.len() > ORDERS_MAX
            || self.kept.iter().map(|order| order.lines.len()).sum::<usize>() > ORDER_LINES_MAX
        {
            let oldest =
                (0..self.kept.len()).min_by_key(|index| self.kept[*index].second).expect("more than one");
            let departed = self.kept.remove(oldest);
            self.departed_through = self.departed_through.max(Some(departed.second));
        }
    }

    fn refund(&mut self, sale: &Sale) {
        let mut money = sale.price.unwrap_or(0.0) * sale.units;
        let mut units = sale.units;
        let is_of_order = |order: &NaiveOrder| sale.order.is_some() && order.order == sale.order;
        let has_order = self.kept.iter().any(is_of_order);
        let has_item = self.kept.iter().any(|order| {
            is_of_order(order) && order.lines.iter().any(|line| sale.item.is_none() || line.item == sale.item)
        });
        let mut lines: Vec<(i64, usize, usize)> = Vec::new();
        for (index, order) in self.kept.iter().enumerate() {
            for (number, line) in order.lines.iter().enumerate() {
                let is_selected = match (has_order, has_item) {
                    (true, true) => is_of_order(order) && (sale.item.is_none() || line.item == sale.item),
                    (true, false) => is_of_order(order),
                    (false, _) => sale.item.is_some() && line.item == sale.item,
                };
                if is_selected {
                    lines.push((line.second, index, number));
                }
            }
        }
        lines.sort_unstable();
        for (_, index, number) in lines.into_iter().rev() {
            let line = &mut self.kept[index].lines[number];
            let (money_left, units_left) = (line.bought - line.money_back, line.units - line.units_back);
            let taken_units = units.min(units_left);
            let taken = match sale.price {
                Some(_) => money.min(money_left),
                None => (line.bought * taken_units / line.units).min(money_left),
            };
            line.money_back += taken;
            line.units_back +=
                if line.bought > 0.0 && money_left - taken < 1e-6 { units_left } else { taken_units };
            money = if sale.price.is_some() { money - taken } else { 0.0 };
            units -= taken_units;
            self.money -= taken;
        }
        self.unmatched += money;
    }

    fn totals(self) -> Totals {
        Totals { cents: cents(self.money), unmatched_cents: cents(self.unmatched), ..self.totals }
    }
}

fn cents(money: f64) -> i64 {
    (money * 100.0).round() as i64
}

fn sale_record(number: usize, sale: &Sale) -> Record {
    let mut sold = event(if sale.is_refund { Action::Refund } else { Action::Purchase });
    sold.order_id = sale.order.and_then(|order| OrderId::parse(&format!("order-{order}")).ok());
    sold.item_id = sale.item.and_then(|item| ItemId::parse(&format!("item-{item}")).ok());
    sold.order_line = sale.number;
    sold.price = sale.price;
    sold.quantity = sale.units;
    record(BEGIN_MS + sale.second * 1000, number, sold)
}

fn folded(sales: &[Sale]) -> Profile {
    let mut profile = Profile::new(user());
    for (number, sale) in sales.iter().enumerate() {
        profile.apply(&sale_record(number, sale));
        // Every few records the profile is read from its bytes, as after an eviction from the cache.
        if number % 7 == 0 {
            profile = Profile::decode(&profile.encode()).expect("what was encoded");
        }
    }
    profile
}

fn totals(profile: &Profile) -> Totals {
    let rfm = profile.view_at(Timestamp::from_millis(BEGIN_MS)).behavior.rfm;
    Totals {
        cents: cents(rfm.money_total),
        orders: rfm.orders_total,
        corrected: rfm.corrected_lines,
        unmatched_cents: cents(rfm.unmatched_refunds),
        untracked: rfm.untracked_lines,
    }
}

/// Sales of `orders` orders, of which a third are refunds and many are sent again.
fn any_sales(orders: u8, count: usize) -> impl Strategy<Value = Vec<Sale>> {
    let keys =
        (proptest::option::weighted(0.9, 0..orders), proptest::option::weighted(0.9, 0..12_u8), 0..3_u32);
    let price = proptest::option::weighted(0.9, (0..20_000_u32).prop_map(|cents| f64::from(cents) / 100.0));
    let amounts = (0..5_000_i64, price, (1..5_u8).prop_map(f64::from));
    let sale = (any::<[bool; 2]>(), keys, amounts).prop_map(
        |(refund, (order, item, number), (second, price, units))| Sale {
            is_refund: refund == [true, true],
            order,
            item,
            number,
            second,
            price,
            units,
        },
    );
    proptest::collection::vec(sale, 0..count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn sales_of_few_orders_equal_the_naive_model(sales in any_sales(6, 120)) {
        let mut naive = Naive::default();
        sales.iter().for_each(|sale| naive.fold(sale));
        prop_assert_eq!(totals(&folded(&sales)), naive.totals());
    }

    #[test]
    fn sales_of_many_orders_equal_the_naive_model(sales in any_sales(60, 400)) {
        let mut naive = Naive::default();
        sales.iter().for_each(|sale| naive.fold(sale));
        prop_assert_eq!(totals(&folded(&sales)), naive.totals());
    }

    #[test]
    fn money_is_between_zero_and_what_was_sent(sales in any_sales(200, 600), days in 0..400_i64) {
        let profile = folded(&sales);
        let read_at = Timestamp::from_millis(BEGIN_MS + days * 86_400_000);
        let rfm = profile.view_at(read_at).behavior.rfm;
        let bought = |sale: &Sale| if sale.is_refund { 0.0 } else { sale.price.unwrap_or(0.0) * sale.units };
        let sent: f64 = sales.iter().map(bought).sum();
        for money in [rfm.money_total, rfm.money.hour, rfm.money.week, rfm.money.quarter] {
            prop_assert!((0.0..=sent * (1.0 + 1e-5) + 1e-6).contains(&money), "{money} of {sent}");
        }
        let features = profile.features_at(read_at);
        prop_assert!(features.iter().all(|value| *value >= 0.0), "a faded sum is below that of an unknown user");
    }
}

#[test]
fn a_whole_refund_leaves_nothing_at_any_half_life() {
    let buy = Sale {
        is_refund: false,
        order: Some(1),
        item: Some(1),
        number: 0,
        second: 0,
        price: Some(100.0),
        units: 1.0,
    };
    let refund = Sale { is_refund: true, second: 60 * 86_400, ..buy.clone() };
    let profile = folded(&[buy.clone(), refund.clone(), buy, refund]);
    let money = profile.view_at(Timestamp::from_millis(BEGIN_MS + 61 * 86_400_000)).behavior.rfm.money;
    assert_eq!([money.hour, money.week, money.quarter], [0.0; 3]);
    assert_eq!(
        totals(&profile),
        Totals { orders: 1, corrected: 1, unmatched_cents: 10_000, ..Totals::default() }
    );
}
