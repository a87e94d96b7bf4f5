//! Arithmetic of a deployment's size: pure functions of demand and unit costs.

use super::costs::UnitCosts;
use serde::Serialize;

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;
/// Windows of remembered ids that are kept: the current one, and the one before for as long as a query may reach it.
const ID_WINDOWS: u64 = 2;
/// Largest window of ids of one partition on Redis, in bytes: a string of Redis holds 512 MiB. `WINDOW_BYTES_MAX` of the backend.
const ID_WINDOW_BYTES_MAX: u64 = 500 << 20;
/// Bytes of an id in that string.
const STORED_ID_BYTES: u64 = 8;
/// Largest `maxmemory` of one Redis server: a larger one takes minutes to load, to copy to a replica and to rewrite its file.
const SERVER_BYTES_MAX: u64 = 32 << 30;
/// Partitions of each worker: fewer would spread users unevenly over the workers.
const PARTITIONS_PER_WORKER: u64 = 4;
/// Share of a worker's rate that is planned, in percent: the rest catches up after a restart.
const WORKER_LOAD_PERCENT: u64 = 70;

/// Backend that a deployment is planned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// Redis, shared by many processes.
    Redis,
    /// Embedded store of one process, on disk.
    Embedded,
}

/// Demand on a deployment, and the settings that its size depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Demand {
    /// Backend of the store.
    pub(super) store: Backend,
    /// Users with a profile.
    pub(super) users: u64,
    /// Mean rate of events.
    pub(super) events_per_second: u64,
    /// Retention of the log in days, `feature.log_retention`.
    pub(super) log_days: u64,
    /// Bound of the log in bytes, `feature.log_bytes`; 0 for none.
    pub(super) log_bytes_max: u64,
    /// Retention of changes in seconds, `feature.feed_retention`.
    pub(super) feed_seconds: u64,
    /// De-duplication window in seconds, `store.dedup_window`.
    pub(super) dedup_seconds: u64,
    /// Items of the catalogue.
    pub(super) items: u64,
    /// Model versions that are kept, `model.versions_kept`.
    pub(super) model_versions: u64,
    /// Memory of a feature process for hot profiles, `feature.cache`.
    pub(super) cache_bytes: u64,
    /// Partitions of the store; none for as many as the demand needs.
    pub(super) partitions: Option<u64>,
}

/// Size of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Estimate {
    /// Bytes of all profiles.
    pub(super) profiles_bytes: u64,
    /// Bytes of the log within its bounds.
    pub(super) log_bytes: u64,
    /// Bytes of the log for the whole retention, without the bound of bytes.
    pub(super) log_unbounded_bytes: u64,
    /// Seconds that the log reaches back.
    pub(super) log_seconds: u64,
    /// Bytes of the changes.
    pub(super) changes_bytes: u64,
    /// Bytes of the remembered ids.
    pub(super) ids_bytes: u64,
    /// Bytes of all kept models.
    pub(super) models_bytes: u64,
    /// Bytes of the catalogue.
    pub(super) catalogue_bytes: u64,
    /// Sum of the parts.
    pub(super) data_bytes: u64,
    /// Memory of all Redis servers (`maxmemory` added up), or disk, with headroom.
    pub(super) store_bytes: u64,
    /// Redis servers without their replicas; 1 for the embedded store.
    pub(super) servers: u64,
    /// `maxmemory` of one server, or disk of the embedded store.
    pub(super) server_bytes: u64,
    /// Feature processes.
    pub(super) workers: u64,
    /// Resident memory of one feature process.
    pub(super) worker_bytes: u64,
    /// Partitions: as demanded, or as many as the demand needs.
    pub(super) partitions: u64,
    /// Partitions that the demand needs at least.
    pub(super) partitions_min: u64,
    /// Bytes per second from senders to ingest.
    pub(super) wire_bytes_per_second: u64,
    /// Bytes per second from all processes to the store.
    pub(super) store_in_bytes_per_second: u64,
    /// Bytes per second from the store to all processes.
    pub(super) store_out_bytes_per_second: u64,
}

/// Log of a deployment.
struct LogEstimate {
    bytes: u64,
    unbounded_bytes: u64,
    seconds: u64,
}

impl Demand {
    fn events_in(&self, seconds: u64) -> u64 {
        self.events_per_second.saturating_mul(seconds)
    }
}

impl Backend {
    /// Returns the partitions of a new store without a setting.
    fn default_partitions(self) -> u64 {
        match self {
            Self::Redis => 64,
            Self::Embedded => 16,
        }
    }

    /// Returns the share of the store's space that data may take, in percent. PortraitStoreFilling fires at 85% of `maxmemory`; a
    /// rewrite of the embedded store's files needs as much disk again.
    fn fill_percent(self) -> u64 {
        match self {
            Self::Redis => 70,
            Self::Embedded => 45,
        }
    }
}

/// Returns the size of a deployment.
pub(super) fn estimate(demand: &Demand, costs: &UnitCosts) -> Estimate {
    let log = log_size(demand, costs);
    let rate = demand.events_per_second;
    let profiles_bytes = demand.users.saturating_mul(costs.profile_bytes);
    let changes_bytes = demand.events_in(demand.feed_seconds).saturating_mul(costs.change_bytes);
    let remembered_ids = demand.events_in(demand.dedup_seconds).saturating_mul(ID_WINDOWS);
    let ids_bytes = remembered_ids.saturating_mul(costs.id_bytes);
    let model_bytes = costs.model_bytes.saturating_add(demand.items.saturating_mul(costs.model_item_bytes));
    let models_bytes = model_bytes.saturating_mul(demand.model_versions);
    let catalogue_bytes = demand.items.saturating_mul(costs.item_bytes);
    let parts = [profiles_bytes, log.bytes, changes_bytes, ids_bytes, models_bytes, catalogue_bytes];
    let data_bytes = parts.into_iter().fold(0, u64::saturating_add);
    let store_bytes = (data_bytes / demand.store.fill_percent()).saturating_mul(100);
    let servers = servers(demand, costs, store_bytes);
    let workers = workers(demand, costs);
    let partitions_min = partitions_min(demand, workers, servers);
    let cached_ids_bytes = remembered_ids.saturating_mul(costs.worker_id_bits) / 8 / workers;
    Estimate {
        profiles_bytes,
        log_bytes: log.bytes,
        log_unbounded_bytes: log.unbounded_bytes,
        log_seconds: log.seconds,
        changes_bytes,
        ids_bytes,
        models_bytes,
        catalogue_bytes,
        data_bytes,
        store_bytes,
        servers,
        server_bytes: store_bytes / servers,
        workers,
        // A model is held once, and once more while the next one is verified.
        worker_bytes: [costs.worker_bytes, demand.cache_bytes, cached_ids_bytes, model_bytes, model_bytes]
            .into_iter()
            .fold(0, u64::saturating_add),
        partitions: demand.partitions.unwrap_or(partitions_min),
        partitions_min,
        wire_bytes_per_second: rate.saturating_mul(costs.wire_event_bytes),
        store_in_bytes_per_second: rate.saturating_mul(costs.store_in_event_bytes),
        store_out_bytes_per_second: rate.saturating_mul(costs.store_out_event_bytes),
    }
}

fn log_size(demand: &Demand, costs: &UnitCosts) -> LogEstimate {
    let retained_seconds = demand.log_days.saturating_mul(DAY_SECONDS);
    let events = demand.events_in(retained_seconds);
    let unbounded_bytes = events.saturating_mul(costs.log_event_bytes);
    // Between two trims a log exceeds its bound by an eighth.
    let events_max = (demand.log_bytes_max / costs.log_event_encoded_bytes).saturating_mul(9) / 8;
    if demand.log_bytes_max == 0 || events <= events_max {
        return LogEstimate { bytes: unbounded_bytes, unbounded_bytes, seconds: retained_seconds };
    }
    LogEstimate {
        bytes: events_max.saturating_mul(costs.log_event_bytes),
        unbounded_bytes,
        // By the bound itself: the eighth is not there at all times.
        seconds: demand.log_bytes_max / costs.log_event_encoded_bytes / demand.events_per_second.max(1),
    }
}

fn servers(demand: &Demand, costs: &UnitCosts, store_bytes: u64) -> u64 {
    match demand.store {
        Backend::Embedded => 1,
        Backend::Redis => {
            let by_memory = store_bytes.div_ceil(SERVER_BYTES_MAX);
            by_memory.max(demand.events_per_second.div_ceil(costs.server_events_per_second)).max(1)
        }
    }
}

fn workers(demand: &Demand, costs: &UnitCosts) -> u64 {
    match demand.store {
        Backend::Embedded => 1,
        Backend::Redis => {
            let planned = costs.worker_events_per_second * WORKER_LOAD_PERCENT / 100;
            // Two, so that one takes over from the other.
            demand.events_per_second.div_ceil(planned.max(1)).max(2)
        }
    }
}

fn partitions_min(demand: &Demand, workers: u64, servers: u64) -> u64 {
    let window_bytes = demand.events_in(demand.dedup_seconds).saturating_mul(STORED_ID_BYTES);
    let by_ids = match demand.store {
        Backend::Redis => window_bytes.div_ceil(ID_WINDOW_BYTES_MAX),
        Backend::Embedded => 1,
    };
    let needed = by_ids.max(workers.max(servers).saturating_mul(PARTITIONS_PER_WORKER));
    needed.checked_next_power_of_two().unwrap_or(u64::MAX).max(demand.store.default_partitions())
}

/// Returns what the deployment cannot hold, with remedies; empty if it fits.
pub(super) fn warnings(demand: &Demand, costs: &UnitCosts, estimate: &Estimate) -> Vec<String> {
    let mut warnings = Vec::new();
    if estimate.log_bytes < estimate.log_unbounded_bytes {
        let hours = estimate.log_seconds / 3600;
        let events = demand.events_in(demand.log_days.saturating_mul(DAY_SECONDS));
        let needed = events.saturating_mul(costs.log_event_encoded_bytes);
        warnings.push(format!(
            "the log reaches back {hours} h and not {} days: feature.log_bytes bounds it; {}GiB would hold all",
            demand.log_days,
            needed.div_ceil(1 << 30)
        ));
    }
    if estimate.partitions < estimate.partitions_min {
        warnings.push(format!(
            "{} partitions are too few: create the store with store.partitions={} or more, they are fixed at creation",
            estimate.partitions, estimate.partitions_min
        ));
    }
    let planned = costs.server_events_per_second * WORKER_LOAD_PERCENT / 100;
    if demand.store == Backend::Embedded && demand.events_per_second > planned {
        warnings.push(format!(
            "one process applies about {planned} events a second with reserve: use --store redis"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::costs::{EMBEDDED, REDIS};

    /// A million users at 2,500 events per second, with the defaults of `serve`.
    fn shop() -> Demand {
        Demand {
            store: Backend::Redis,
            users: 1_000_000,
            events_per_second: 2_500,
            log_days: 7,
            log_bytes_max: 0,
            feed_seconds: DAY_SECONDS,
            dedup_seconds: DAY_SECONDS,
            items: 100_000,
            model_versions: 20,
            cache_bytes: 256 << 20,
            partitions: None,
        }
    }

    /// Costs that are easy to multiply.
    fn costs() -> UnitCosts {
        UnitCosts {
            profile_bytes: 1000,
            log_event_encoded_bytes: 80,
            log_event_bytes: 100,
            change_bytes: 50,
            id_bytes: 10,
            item_bytes: 100,
            model_bytes: 1000,
            model_item_bytes: 10,
            worker_bytes: 5000,
            worker_id_bits: 16,
            worker_events_per_second: 10_000,
            server_events_per_second: 100_000,
            wire_event_bytes: 60,
            store_in_event_bytes: 400,
            store_out_event_bytes: 200,
        }
    }

    #[test]
    fn every_part_is_its_count_times_its_cost() {
        let day_events = 2_500 * DAY_SECONDS;
        let estimate = estimate(&shop(), &costs());
        assert_eq!(estimate.profiles_bytes, 1_000_000_000);
        assert_eq!((estimate.log_bytes, estimate.log_seconds), (7 * day_events * 100, 7 * DAY_SECONDS));
        assert_eq!(estimate.changes_bytes, day_events * 50);
        assert_eq!(estimate.ids_bytes, 2 * day_events * 10);
        assert_eq!(estimate.models_bytes, 20 * (1000 + 100_000 * 10));
        assert_eq!(estimate.catalogue_bytes, 10_000_000);
        let parts = [1_000_000_000, 7 * day_events * 100, day_events * 50, 2 * day_events * 10, 20_020_000];
        assert_eq!(estimate.data_bytes, parts.iter().sum::<u64>() + 10_000_000);
        assert!(estimate.store_bytes * 70 / 100 >= estimate.data_bytes - 100, "{estimate:?}");
        assert_eq!(estimate.servers, estimate.store_bytes.div_ceil(32 << 30));
        assert_eq!((estimate.workers, estimate.partitions), (2, 64));
        assert_eq!(estimate.worker_bytes, 5000 + (256 << 20) + 2 * day_events * 2 / 2 + 2 * 1_001_000);
        assert_eq!(estimate.wire_bytes_per_second, 150_000);
        assert_eq!(estimate.store_in_bytes_per_second, 1_000_000);
        assert_eq!(estimate.store_out_bytes_per_second, 500_000);
        assert_eq!(warnings(&shop(), &costs(), &estimate), [""; 0]);
    }

    #[test]
    fn a_bound_of_bytes_bounds_the_log_and_says_how_far_it_reaches_back() {
        let bounded = Demand { log_bytes_max: 8_000_000_000, ..shop() };
        let estimate = estimate(&bounded, &costs());
        // 100 million events as encoded, an eighth more between two trims, 100 bytes each as stored.
        assert_eq!(estimate.log_bytes, 112_500_000 * 100);
        assert_eq!(estimate.log_seconds, 40_000);
        let warnings = warnings(&bounded, &costs(), &estimate);
        assert!(warnings.len() == 1 && warnings[0].contains("11 h and not 7 days"), "{warnings:?}");
        assert!(warnings[0].contains("113GiB"), "{warnings:?}");
        let wide = Demand { log_bytes_max: 1 << 50, ..shop() };
        let unbounded = super::estimate(&wide, &costs());
        assert_eq!(
            (unbounded.log_bytes, unbounded.log_seconds),
            (unbounded.log_unbounded_bytes, 7 * DAY_SECONDS)
        );
    }

    #[test]
    fn servers_workers_and_partitions_follow_the_rate() {
        for (events_per_second, workers, partitions) in
            [(0, 2, 64), (14_000, 2, 64), (14_001, 3, 64), (140_000, 20, 256), (700_000, 100, 1024)]
        {
            let demand = Demand { events_per_second, log_days: 0, ..shop() };
            let estimate = estimate(&demand, &costs());
            assert_eq!((estimate.workers, estimate.partitions), (workers, partitions), "{events_per_second}");
        }
        // Without data the rate alone decides; a server is never left out.
        let demand = Demand { users: 0, feed_seconds: 0, dedup_seconds: 0, log_days: 0, ..shop() };
        for (events_per_second, servers) in [(0, 1), (100_000, 1), (100_001, 2)] {
            let demand = Demand { events_per_second, ..demand };
            assert_eq!(estimate(&demand, &costs()).servers, servers, "{events_per_second}");
        }
    }

    #[test]
    fn too_few_partitions_and_a_rate_above_one_process_are_warnings() {
        let few = Demand { partitions: Some(16), ..shop() };
        let estimated = estimate(&few, &costs());
        assert_eq!((estimated.partitions, estimated.partitions_min), (16, 64));
        assert!(warnings(&few, &costs(), &estimated)[0].contains("store.partitions=64"));
        let fast = Demand { store: Backend::Embedded, events_per_second: 80_000, ..shop() };
        let estimated = estimate(&fast, &EMBEDDED);
        assert_eq!((estimated.servers, estimated.workers, estimated.partitions), (1, 1, 16));
        assert!(warnings(&fast, &EMBEDDED, &estimated)[0].contains("--store redis"));
    }

    #[test]
    fn the_log_of_a_week_at_2500_events_a_second_is_150_gb_on_redis() {
        let week = estimate(&shop(), &REDIS).log_bytes;
        assert!((140_000_000_000..160_000_000_000).contains(&week), "{week}");
    }

    #[test]
    fn absurd_demands_saturate_and_do_not_overflow() {
        let demand = Demand { users: u64::MAX, events_per_second: u64::MAX, items: u64::MAX, ..shop() };
        assert_eq!(estimate(&demand, &REDIS).data_bytes, u64::MAX);
    }
}
