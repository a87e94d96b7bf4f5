//! Numbers of one size of a shop, and their figures.

use super::super::figure::Figure;
use super::server::CACHE_MB;

/// Numbers of one size.
#[derive(Debug, Default)]
pub(super) struct SizeNumbers {
    pub(super) new_users_per_second: f64,
    pub(super) known_users_per_second: f64,
    /// Profiles that are encoded and written for an event of a known user.
    pub(super) profiles_an_event: f64,
    pub(super) bare_per_second: f64,
    pub(super) bytes_a_user: f64,
    pub(super) resident_mb: f64,
    pub(super) ready_s: f64,
    pub(super) training_s: f64,
    pub(super) training_peak_mb: f64,
    pub(super) model_mb: f64,
    pub(super) sweep_per_second: f64,
    /// p50 and p99.
    pub(super) recommend_ms: [f64; 2],
    /// p50 and p99.
    pub(super) profile_ms: [f64; 2],
}

/// Events a second of the smallest size, which the others are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct BaseRates {
    new_users: f64,
    known_users: f64,
}

/// Value of a figure with its target.
struct Target {
    name: &'static str,
    value: f64,
    text: &'static str,
    /// Largest value that meets the target; infinite for a figure without one.
    max: f64,
}

impl SizeNumbers {
    pub(super) fn rates(&self) -> BaseRates {
        BaseRates { new_users: self.new_users_per_second, known_users: self.known_users_per_second }
    }

    /// Throughput as a ratio to that of the smallest size.
    pub(super) fn throughput(&self, shop: &str, users: usize, base: BaseRates) -> Vec<Figure> {
        // Beyond a million users the store may use the disk more.
        let is_large = users > 1_000_000;
        let least = if is_large { 0.7 } else { 0.85 };
        let kinds = [
            ("new", self.new_users_per_second, base.new_users),
            ("known", self.known_users_per_second, base.known_users),
        ];
        let figure = |(kind, rate, base): (&str, f64, f64)| Figure {
            path: format!("events of {kind} users, {shop}"),
            measured: format!("{rate:.0} events/s"),
            baseline: format!("bare store loop {:.0}/s", self.bare_per_second),
            ratio: Some(rate / base),
            values: [("events_per_second", rate), ("bare_events_per_second", self.bare_per_second)].into(),
            target: if is_large { ">= 0.7 of the smallest" } else { ">= 0.85 of the smallest" },
            met: rate / base >= least,
        };
        kinds.into_iter().map(figure).collect()
    }

    /// All other numbers.
    pub(super) fn figures(&self, shop: &str) -> Vec<Figure> {
        let [profile_p50, profile_p99] = self.profile_ms;
        let [recommend_p50, recommend_p99] = self.recommend_ms;
        let reported = |name, value| Target { name, value, text: "reported only", max: f64::INFINITY };
        let latency = |value| Target { name: "p99_ms", value, text: "p99 <= 10 ms", max: 10.0 };
        let resident = Target {
            name: "resident_mb",
            value: self.resident_mb,
            text: "<= cache + 300 MB",
            max: CACHE_MB + 300.0,
        };
        let ready = Target { name: "ready_s", value: self.ready_s, text: "<= 3 s", max: 3.0 };
        let training = format!("{:.1} s, peak {:.0} MB", self.training_s, self.training_peak_mb);
        let rows = [
            (
                "store",
                format!("{:.0} bytes a user", self.bytes_a_user),
                reported("bytes_a_user", self.bytes_a_user),
            ),
            (
                "profiles written for an event of known users",
                format!("{:.2}", self.profiles_an_event),
                reported("profiles_an_event", self.profiles_an_event),
            ),
            ("resident memory", format!("{:.0} MB", self.resident_mb), resident),
            ("ready after kill -9", format!("{:.1} s", self.ready_s), ready),
            ("training", training, reported("training_s", self.training_s)),
            ("model", format!("{:.1} MB", self.model_mb), reported("model_mb", self.model_mb)),
            (
                "sweep",
                format!("{:.0} profiles/s", self.sweep_per_second),
                reported("profiles_per_second", self.sweep_per_second),
            ),
            (
                "`GetProfile`, 200 calls/s",
                format!("p50 {profile_p50:.1} ms, p99 {profile_p99:.1} ms"),
                latency(profile_p99),
            ),
            (
                "`Recommend`, 200 calls/s",
                format!("p50 {recommend_p50:.1} ms, p99 {recommend_p99:.1} ms"),
                latency(recommend_p99),
            ),
        ];
        rows.into_iter()
            .map(|(path, measured, target)| target.figure(format!("{path}, {shop}"), measured))
            .collect()
    }
}

impl Target {
    fn figure(self, path: String, measured: String) -> Figure {
        Figure {
            path,
            measured,
            baseline: String::new(),
            ratio: None,
            values: [(self.name, self.value)].into(),
            target: self.text,
            met: self.value <= self.max,
        }
    }
}
