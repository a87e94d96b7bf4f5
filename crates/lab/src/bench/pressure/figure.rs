//! Reads under pressure, and their figure.

use crate::bench::figure::Figure;
use crate::bench::pairs;
use crate::bench::predictions;
use anyhow::Result;
use hdrhistogram::Histogram;
use portrait_client::RoleRouter;
use portrait_proto::v1::GetProfileRequest;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use std::time::Duration;

/// Users whose profiles are read.
pub(super) const USERS: usize = 10_000;

/// 99th percentiles of reads in pairs of runs, in milliseconds.
pub(super) struct PressureFigure {
    pub(super) path: String,
    pub(super) quiet: Vec<f64>,
    pub(super) loaded: Vec<f64>,
    /// Number of refused attempts of the abusive clients, and what they are.
    pub(super) refused: u64,
    pub(super) what: &'static str,
}

impl From<PressureFigure> for Figure {
    fn from(PressureFigure { path, quiet, loaded, refused, what }: PressureFigure) -> Self {
        let ratio = pairs::ratio(&loaded, &quiet, |p99| *p99);
        let p99_loaded = pairs::mean(&loaded, |p99| *p99);
        let p99_quiet = pairs::mean(&quiet, |p99| *p99);
        Self {
            path,
            measured: format!("p99 {p99_loaded:.1} ms, {refused} {what} refused"),
            baseline: format!("alone: p99 {p99_quiet:.1} ms; ratio {:.2} ± {:.2}", ratio.mean, ratio.spread),
            ratio: Some(ratio.mean),
            values: [
                ("p99_ms", p99_loaded),
                ("p99_ms_alone", p99_quiet),
                ("ratio_spread", ratio.spread),
                ("refused", refused as f64),
            ]
            .into(),
            target: "p99 <= 50 ms",
            met: p99_loaded <= 50.0 && refused > 0,
        }
    }
}

pub(super) async fn reads(
    query: &QueryServiceClient<RoleRouter>,
    user_ids: &[String],
    duration: Duration,
) -> Result<Histogram<u64>> {
    predictions::at_constant_rate(duration, async |index| {
        let user_id = user_ids[index % user_ids.len()].clone();
        query.clone().get_profile(GetProfileRequest { user_id, ..Default::default() }).await?;
        Ok(())
    })
    .await
}

pub(super) fn p99_ms(histogram: &Histogram<u64>) -> f64 {
    histogram.value_at_quantile(0.99) as f64 / 1000.0
}
