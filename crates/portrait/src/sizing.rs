//! `portrait sizing`: computes memory, disk, servers and workers of a deployment from its users, rate and retention. It calls no
//! server. Settings that are not arguments have the defaults of `serve`.

mod costs;
mod estimate;

use anyhow::Result;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use costs::{EMBEDDED, REDIS, UnitCosts};
use estimate::{Backend, Demand, Estimate};
use portrait_client::text::words;
use portrait_node::Config;
use portrait_runtime::config::ByteSize;
use serde_json::json;

/// Arguments of `portrait sizing`.
#[derive(Debug, Args)]
pub struct SizingArgs {
    /// Users with a profile.
    #[arg(long, value_name = "COUNT")]
    users: u64,
    /// Mean rate of events.
    #[arg(long, value_name = "COUNT")]
    events_per_second: u64,
    /// Retention of the log, as in `feature.log_retention`.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    days: u64,
    /// Bound of the log, as in `feature.log_bytes`; 0 for none [default: that of `serve`].
    #[arg(long, value_name = "SIZE")]
    log_bytes: Option<ByteSize>,
    /// Partitions of the store [default: as many as the rate needs].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Option<u16>,
    /// Backend of the store.
    #[arg(long, default_value = "redis")]
    store: Backend,
    /// Items of the catalogue.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    items: u64,
    /// Bytes of a profile, as measured on a deployment [default: those of users with long histories].
    #[arg(long, value_name = "BYTES")]
    profile_bytes: Option<u64>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

impl SizingArgs {
    fn demand(&self, defaults: &Config) -> Demand {
        Demand {
            store: self.store,
            users: self.users,
            events_per_second: self.events_per_second,
            log_days: self.days,
            log_bytes_max: self.log_bytes.unwrap_or(defaults.feature.log_bytes).bytes(),
            feed_seconds: defaults.feature.feed_retention.as_millis() / 1000,
            dedup_seconds: defaults.store.dedup_window.as_millis() / 1000,
            items: self.items,
            model_versions: defaults.model.versions_kept as u64,
            cache_bytes: defaults.feature.cache.bytes(),
            partitions: self.partitions.map(u64::from),
        }
    }

    fn costs(&self) -> UnitCosts {
        let costs = match self.store {
            Backend::Redis => REDIS,
            Backend::Embedded => EMBEDDED,
        };
        UnitCosts { profile_bytes: self.profile_bytes.unwrap_or(costs.profile_bytes), ..costs }
    }
}

/// Prints the size of a deployment.
///
/// # Errors
/// If the estimate cannot be written as JSON.
pub fn run(args: &SizingArgs) -> Result<()> {
    let demand = args.demand(&Config::default());
    let costs = args.costs();
    let estimate = estimate::estimate(&demand, &costs);
    let warnings = estimate::warnings(&demand, &costs, &estimate);
    if args.json {
        let document = json!({
            "demand": demand,
            "unit_costs": costs,
            "estimate": estimate,
            "warnings": warnings,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    println!("{}\n", parts_table(&demand, &estimate));
    println!("{}\n", processes_table(&demand, &estimate));
    println!("{}", costs_table(&costs));
    warnings.iter().for_each(|warning| println!("\nwarning: {warning}"));
    Ok(())
}

/// Returns the table of the store's data by part.
fn parts_table(demand: &Demand, estimate: &Estimate) -> Table {
    let per_second = words::count(demand.events_per_second);
    let rows = [
        ("profiles", estimate.profiles_bytes, words::counted(demand.users, "user")),
        ("log", estimate.log_bytes, format!("{per_second} events/s, {}", hours(estimate.log_seconds))),
        ("changes", estimate.changes_bytes, format!("{per_second} events/s, {}", hours(demand.feed_seconds))),
        (
            "ids",
            estimate.ids_bytes,
            format!("{per_second} events/s, two windows of {}", hours(demand.dedup_seconds)),
        ),
        (
            "models",
            estimate.models_bytes,
            format!(
                "{} of {}",
                words::counted(demand.model_versions, "version"),
                words::counted(demand.items, "item")
            ),
        ),
        ("catalogue", estimate.catalogue_bytes, words::counted(demand.items, "item")),
        (
            "data",
            estimate.data_bytes,
            format!("log without feature.log_bytes: {}", size(estimate.log_unbounded_bytes)),
        ),
    ];
    let unit = match demand.store {
        Backend::Redis => "memory",
        Backend::Embedded => "disk",
    };
    let mut table = new_table(["part", unit, "of"]);
    for (part, bytes, of) in rows {
        table.add_row([part.to_owned(), size(bytes), of]);
    }
    table
}

/// Returns the table of servers, processes and traffic.
fn processes_table(demand: &Demand, estimate: &Estimate) -> Table {
    let mut table = new_table(["needed", "count", "each"]);
    let store = match demand.store {
        Backend::Redis => {
            ("Redis servers, without replicas", format!("maxmemory {}", size(estimate.server_bytes)))
        }
        Backend::Embedded => ("disk of the process", size(estimate.server_bytes)),
    };
    table.add_row([store.0.to_owned(), words::count(estimate.servers), store.1]);
    table.add_row([
        "feature processes".to_owned(),
        words::count(estimate.workers),
        format!("memory {}", size(estimate.worker_bytes)),
    ]);
    table.add_row(["partitions".to_owned(), words::count(estimate.partitions), String::new()]);
    table.add_row(["traffic to ingest".to_owned(), String::new(), rate(estimate.wire_bytes_per_second)]);
    if demand.store == Backend::Redis {
        let traffic = format!(
            "{} in, {} out",
            rate(estimate.store_in_bytes_per_second),
            rate(estimate.store_out_bytes_per_second)
        );
        table.add_row(["traffic of Redis".to_owned(), String::new(), traffic]);
    }
    table
}

/// Returns the table of the unit costs that were used.
fn costs_table(costs: &UnitCosts) -> Table {
    let mut table = new_table(["unit", "cost", ""]);
    let rows = [
        ("profile", costs.profile_bytes, "bytes"),
        ("event in the log", costs.log_event_bytes, "bytes"),
        ("event in the log, as feature.log_bytes counts", costs.log_event_encoded_bytes, "bytes"),
        ("change of an event", costs.change_bytes, "bytes"),
        ("id of an event", costs.id_bytes, "bytes"),
        ("item of the catalogue", costs.item_bytes, "bytes"),
        ("item of a model", costs.model_item_bytes, "bytes"),
        ("model without its items", costs.model_bytes, "bytes"),
        ("feature process without caches", costs.worker_bytes, "bytes"),
        ("id in a feature process", costs.worker_id_bits, "bits"),
        ("feature process", costs.worker_events_per_second, "events/s"),
        ("server of the store", costs.server_events_per_second, "events/s"),
        ("event to ingest", costs.wire_event_bytes, "bytes"),
        ("event to the store", costs.store_in_event_bytes, "bytes"),
        ("event from the store", costs.store_out_event_bytes, "bytes"),
    ];
    for (unit, cost, of) in rows {
        table.add_row([unit.to_owned(), words::count(cost), of.to_owned()]);
    }
    table
}

fn hours(seconds: u64) -> String {
    words::counted(seconds / 3600, "hour")
}

fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

fn new_table(header: [&str; 3]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Formats a number of bytes in the largest unit of which it has at least one: "1.5 GiB".
fn size(bytes: u64) -> String {
    let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SizingArgs,
    }

    fn arguments(line: &str) -> SizingArgs {
        Command::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}")).args
    }

    #[test]
    fn settings_without_an_argument_are_the_defaults_of_serve() {
        let defaults = Config::default();
        let demand = arguments("sizing --users 10 --events-per-second 3").demand(&defaults);
        assert_eq!(demand.log_bytes_max, defaults.feature.log_bytes.bytes());
        assert_eq!((demand.log_days, demand.feed_seconds, demand.dedup_seconds), (7, 86_400, 86_400));
        let line = "sizing --users 10 --events-per-second 3 --days 2 --log-bytes 0 --partitions 32 --items 9";
        let demand = arguments(line).demand(&defaults);
        assert_eq!(
            (demand.log_bytes_max, demand.log_days, demand.partitions, demand.items),
            (0, 2, Some(32), 9)
        );
        let embedded =
            arguments("sizing --users 1 --events-per-second 1 --store embedded --profile-bytes 77");
        assert_eq!((embedded.store, embedded.costs().profile_bytes), (Backend::Embedded, 77));
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let rows =
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn the_tables_name_every_part_and_process() {
        let args = arguments("sizing --users 1000000 --events-per-second 2500 --log-bytes 0");
        let (demand, costs) = (args.demand(&Config::default()), args.costs());
        let estimate = estimate::estimate(&demand, &costs);
        let text = format!(
            "{}{}{}",
            parts_table(&demand, &estimate),
            processes_table(&demand, &estimate),
            costs_table(&costs)
        );
        for word in
            ["profiles", "log", "changes", "ids", "models", "catalogue", "Redis servers", "feature processes"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
