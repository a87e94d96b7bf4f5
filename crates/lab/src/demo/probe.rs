//! Freshness probe: measures the time from an acknowledgement until a read with its consistency token returns. One
//! read at a time; acknowledgements in between are not measured.

use anyhow::Result;
use hdrhistogram::Histogram;
use portrait_client::RoleRouter;
use portrait_proto::v1::GetProfileRequest;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Acknowledged event to read.
pub(super) struct PendingProbe {
    pub(super) user_id: String,
    pub(super) token: Vec<u8>,
    pub(super) acknowledged: Instant,
}

/// Sender of probes to the reader.
pub(super) struct Prober(mpsc::Sender<PendingProbe>);

/// Reader task; its histogram is complete when every [`Prober`] is dropped.
pub(super) struct Probing(JoinHandle<Result<Histogram<u64>>>);

/// Histogram of microseconds, up to an hour.
pub(super) fn micros() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

/// Starts the reader on a connection.
pub(super) fn begin(channel: RoleRouter) -> (Prober, Probing) {
    // A queue of one: a probe that waits behind another would measure the wait.
    let (sender, mut probes) = mpsc::channel::<PendingProbe>(1);
    let reading = tokio::spawn(async move {
        let mut micros = micros()?;
        let mut query = QueryServiceClient::new(channel);
        while let Some(probe) = probes.recv().await {
            let request =
                GetProfileRequest { user_id: probe.user_id, read_after: probe.token, read_at: None };
            // The server answers once the profile contains the acknowledged event.
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
    /// Measures this probe if the reader is idle.
    pub(super) fn probe(&mut self, probe: PendingProbe) {
        // A full queue means that another probe is in progress; a closed one that the reader failed, which `finish`
        // reports.
        drop(self.0.try_send(probe));
    }
}

impl Probing {
    /// Time from acknowledgement to a successful read, in microseconds.
    pub(super) async fn finish(self) -> Result<Histogram<u64>> {
        self.0.await?
    }
}
