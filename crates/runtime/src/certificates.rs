//! End of the certificates that a process uses: a metric for alerts, and a warning in the log before one expires. The files are read at
//! an interval, so that a renewed certificate shows without a restart.

use crate::clock::SharedClock;
use crate::files::WatchedFile;
use crate::pem;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Gauge, Meter};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time before its end from which a certificate is warned about.
const WARN_BEFORE_DAYS: i64 = 14;
/// Time between two warnings about the same certificate.
const WARN_EVERY_MS: i64 = DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Watch of certificate files.
pub struct CertificateWatch {
    files: Vec<WatchedFile>,
    expiry: Gauge<u64>,
    clock: SharedClock,
    /// Time of the last warning, by key.
    warned_at_ms: BTreeMap<&'static str, i64>,
}

impl CertificateWatch {
    /// Creates a watch of the files that are set, each with its configuration key. The files are read once, so that the metric and the
    /// warnings are there from the start.
    pub fn start<'p>(
        files: impl IntoIterator<Item = (&'static str, &'p Path)>,
        meter: &Meter,
        clock: SharedClock,
    ) -> Self {
        let files = files.into_iter().filter_map(|(key, path)| WatchedFile::new(key, path, "renew it"));
        let expiry = meter
            .u64_gauge("portrait_certificate_expiry_timestamp")
            .with_description("time at which the first certificate of a file expires, by configuration key")
            .with_unit("s")
            .build();
        let mut watch = Self { files: files.collect(), expiry, clock, warned_at_ms: BTreeMap::new() };
        watch.check();
        watch
    }

    /// Reads the files at this interval until `end` is cancelled.
    pub async fn run(mut self, interval: Duration, end: CancellationToken) {
        // Without files there is nothing to watch.
        if self.files.is_empty() {
            return;
        }
        while end.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            // Blocking I/O: a hanging disk must not block the async threads.
            let checked = tokio::task::spawn_blocking(move || {
                self.check();
                self
            });
            let Ok(watch) = checked.await else { return };
            self = watch;
        }
    }

    /// Records the ends of all files, and warns of those that are near.
    fn check(&mut self) {
        let now_ms = self.clock.now_ms();
        for file in &self.files {
            // A file that cannot be read or parsed is reported where it is used.
            let Some(ends_at) = first_end(file) else { continue };
            self.expiry.record(u64::try_from(ends_at).unwrap_or_default(), &[KeyValue::new("key", file.key)]);
            let left_ms = ends_at.saturating_mul(1000) - now_ms;
            let is_due = |warned_ms: &i64| now_ms - warned_ms >= WARN_EVERY_MS;
            if left_ms > WARN_BEFORE_DAYS * DAY_MS {
                self.warned_at_ms.remove(file.key);
            } else if self.warned_at_ms.get(file.key).is_none_or(is_due) {
                self.warned_at_ms.insert(file.key, now_ms);
                warn(file, left_ms);
            }
        }
    }
}

fn warn(file: &WatchedFile, left_ms: i64) {
    let (key, path) = (file.key, file.path.display());
    if left_ms <= 0 {
        tracing::warn!(key, %path, "a certificate has expired: connections fail until it is renewed");
    } else {
        let days = left_ms / DAY_MS;
        tracing::warn!(key, %path, days, "a certificate expires soon: renew it, which needs no restart");
    }
}

/// Returns the end of the certificate of a file that expires first, in seconds since the epoch.
fn first_end(file: &WatchedFile) -> Option<i64> {
    let certificates = pem::certificates(file, &file.read().ok()?).ok()?;
    let ends = certificates.iter().filter_map(|certificate| {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use crate::telemetry::Metrics;
    use std::process::Command;
    use std::sync::Arc;

    /// Writes a certificate that is valid for some days.
    fn certificate(path: &Path, days: &str) {
        let key = path.with_extension("key");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-subj", "/CN=localhost", "-days", days, "-keyout"])
            .args([key.as_os_str(), "-out".as_ref(), path.as_os_str()])
            .output()
            .expect("scripts/setup installs openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    #[test]
    fn the_first_end_of_each_file_is_a_metric_and_near_ends_are_warned_of_daily() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let (long, short, chain, absent) = (path("long"), path("short"), path("chain"), path("absent"));
        certificate(&long, "100");
        certificate(&short, "10");
        let both = [&long, &short].map(|path| std::fs::read_to_string(path).expect("a certificate"));
        std::fs::write(&chain, both.concat()).expect("written");
        let clock = ManualClock::new(crate::Clock::now_ms(&crate::SystemClock));
        let metrics = Metrics::new().expect("an exporter");
        let files: [(&'static str, &Path); 5] = [
            ("server.tls_certificate", &long),
            ("server.tls_client_ca", &short),
            ("store.certificate_authority", &chain),
            ("store.certificate", &absent),
            ("cluster.ca", Path::new("")),
        ];
        let mut watch = CertificateWatch::start(files, &metrics.meter("test"), Arc::new(clock.clone()));
        let warned = |watch: &CertificateWatch| watch.warned_at_ms.keys().copied().collect::<Vec<_>>();
        assert_eq!(warned(&watch), ["server.tls_client_ca", "store.certificate_authority"]);
        let text = metrics.render();
        let days = |key: &str| {
            let line = text.lines().find(|line| line.contains(&format!("key=\"{key}\"")))?;
            assert!(line.starts_with("portrait_certificate_expiry_timestamp_seconds{"), "{line}");
            let seconds: i64 = line.rsplit(' ').next()?.parse().ok()?;
            Some((seconds - crate::Clock::now_ms(&clock) / 1000 + 3600) / (24 * 3600))
        };
        let expected = [Some(100), Some(10), Some(10), None, None];
        assert_eq!(files.map(|(key, _)| days(key)), expected, "{text}");

        let first = watch.warned_at_ms.clone();
        clock.advance(DAY_MS - 1);
        watch.check();
        assert_eq!(watch.warned_at_ms, first, "one warning a day");
        clock.advance(1);
        watch.check();
        assert!(watch.warned_at_ms.iter().all(|(key, at)| *at == first[key] + DAY_MS));
        // A renewed certificate is noticed without a restart.
        certificate(&short, "90");
        watch.check();
        assert_eq!(warned(&watch), ["store.certificate_authority"]);
    }
}
