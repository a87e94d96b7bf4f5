//! How soon an acknowledged event can be read: in go consistency tokens as they are given out, out comes how long each took to
//! be readable. One read at a time; what is acknowledged meanwhile is not measured.

use anyhow::Result;
use hdrhistogram::Histogram;
use portrait_client::Line;
use portrait_proto::v1::GetProfileRequest;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// An acknowledged event.
pub(super) struct Probe {
    pub(super) user_id: String,
    pub(super) token: Vec<u8>,
    pub(super) acknowledged: Instant,
}

/// Hands probes to the reader.
pub(super) struct Prober(mpsc::Sender<Probe>);

/// The reader; its figures are ready when every [`Prober`] is gone.
pub(super) struct Probing(JoinHandle<Result<Histogram<u64>>>);

/// A histogram of microseconds, up to an hour.
pub(super) fn micros() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

/// Begins to read.
pub(super) fn begin(channel: Line) -> (Prober, Probing) {
    let (sender, mut probes) = mpsc::channel::<Probe>(1);
    let reading = tokio::spawn(async move {
        let mut micros = micros()?;
        let mut query = QueryServiceClient::new(channel);
        while let Some(probe) = probes.recv().await {
            let request =
                GetProfileRequest { user_id: probe.user_id, read_after: probe.token, read_at: None };
            query.get_profile(request).await?;
            micros.saturating_record(
                u64::try_from(probe.acknowledged.elapsed().as_micros()).unwrap_or(u64::MAX),
            );
        }
        Ok(micros)
    });
    (Prober(sender), Probing(reading))
}

impl Prober {
    /// Measures this one if nothing else is measured at the moment.
    pub(super) fn probe(&mut self, probe: Probe) {
        // A full queue means that another is being measured, a closed one that reading failed, which `finish` reports.
        drop(self.0.try_send(probe));
    }
}

impl Probing {
    /// How long, in microseconds, acknowledged events took until they could be read.
    pub(super) async fn finish(self) -> Result<Histogram<u64>> {
        self.0.await?
    }
}
