//! What servers report of themselves on their HTTP port: readiness, release, space of the store, log beyond its bound, and the end of
//! certificates. It is the servers' own word, by their own configuration.

use super::finding::Finding;
use anyhow::{Context, Result, bail};
use portrait_client::text::words;
use portrait_runtime::telemetry::VERSION;
use portrait_runtime::{Clock, SystemClock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest response that is read, in bytes; that of a server is about 100 KiB.
const RESPONSE_BYTES_MAX: u64 = 8 << 20;
/// Used share of the store above which the check warns.
const STORE_WARNING: f64 = 0.8;
/// Time before the end of a certificate from which the check warns, in days; servers warn from then on too.
const CERTIFICATE_DAYS: i64 = 14;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Sample of a metric: its labels as text, and its value.
struct Sample<'m> {
    labels: &'m str,
    value: f64,
}

/// Checks that need what servers report, none of which is known.
pub(super) fn skipped() -> Vec<Finding> {
    let remedy = "name the HTTP ports of the servers: --http http://HOST:8080";
    let names = ["store space", "log bound", "certificates", "release"];
    names.map(|check| Finding::not_checked(check, "the servers' HTTP port is not named", remedy)).into()
}

/// Checks the server with this HTTP address.
pub(super) async fn examine(url: &str) -> Vec<Finding> {
    let read = async { anyhow::Ok((get(url, "/readyz").await?, get(url, "/metrics").await?)) };
    let check = format!("server {url}");
    match read.await {
        Ok((readiness, metrics)) => {
            let mut findings = vec![ready(&check, readiness)];
            findings.extend(judged(&metrics.1, SystemClock.now_ms() / 1000));
            findings
        }
        Err(error) => {
            let remedy = "name the HTTP port of a server (server.http_listen), which has no TLS";
            vec![Finding::failed(&check, format!("{error:#}"), remedy)]
        }
    }
}

/// Judges `/readyz`: a status code, and the components with problems as JSON.
fn ready(check: &str, (code, body): (u16, String)) -> Finding {
    let problems: Vec<(String, String)> = serde_json::from_str(&body).unwrap_or_default();
    let problems: Vec<String> = problems.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    let detail = problems.join("; ");
    match (code, problems.is_empty()) {
        (200, true) => Finding::ok(check, "ready"),
        (200, false) => Finding::warning(check, detail, "the server serves; see its log for the component"),
        (503, _) => Finding::failed(check, detail, "see the server's log for the components"),
        _ => Finding::failed(check, format!("responds {code} to /readyz"), "name the HTTP port of a server"),
    }
}

/// Judges the metrics of a server at a time, in seconds since the epoch.
fn judged(metrics: &str, now: i64) -> Vec<Finding> {
    let mut findings = vec![store_space(metrics), log_bound(metrics)];
    findings.extend(certificates(metrics, now));
    findings.push(release(metrics));
    findings
}

fn store_space(metrics: &str) -> Finding {
    const CHECK: &str = "store space";
    let used = samples(metrics, "portrait_feature_store_used_ratio").map(|sample| sample.value);
    let Some(used) = used.reduce(f64::max) else {
        let remedy = "name the HTTP port of a server with the role feature or all";
        return Finding::not_checked(
            CHECK,
            "this server does not measure it, or the store has no limit",
            remedy,
        );
    };
    let detail = format!("{} used, before the reserve", words::percent(used));
    if used >= 1.0 {
        Finding::failed(CHECK, detail, "make space: events are refused; see deploy/runbooks/store-filling.md")
    } else if used >= STORE_WARNING {
        Finding::warning(CHECK, detail, "make space soon; see deploy/runbooks/store-filling.md")
    } else {
        Finding::ok(CHECK, detail)
    }
}

fn log_bound(metrics: &str) -> Finding {
    const CHECK: &str = "log bound";
    match samples(metrics, "portrait_feature_log_excess_bytes").map(|sample| sample.value).reduce(f64::max) {
        None => {
            let remedy = "name the HTTP port of a server with the role feature or all";
            Finding::not_checked(CHECK, "this server owns no log", remedy)
        }
        Some(excess) if excess > 0.0 => {
            let detail = format!("{} MiB beyond feature.log_bytes", words::count(excess as u64 >> 20));
            let remedy =
                "only applied records are trimmed: see the lag, and deploy/runbooks/log-above-bound.md";
            Finding::warning(CHECK, detail, remedy)
        }
        Some(_) => Finding::ok(CHECK, "within feature.log_bytes"),
    }
}

fn certificates(metrics: &str, now: i64) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let of_key = samples(metrics, "portrait_certificate_expiry_timestamp_seconds").map(|sample| {
        let key = label(sample.labels, "key").unwrap_or("a certificate");
        let left = sample.value as i64 - now;
        let days = words::counted(left.unsigned_abs() / DAY_SECONDS.unsigned_abs(), "day");
        let remedy = "renew it; the servers read the new file without a restart";
        if left <= 0 {
            Finding::failed(CHECK, format!("{key} expired {days} ago"), remedy)
        } else if left <= CERTIFICATE_DAYS * DAY_SECONDS {
            Finding::warning(CHECK, format!("{key} expires in {days}"), remedy)
        } else {
            Finding::ok(CHECK, format!("{key} is valid for {days}"))
        }
    });
    let found: Vec<Finding> = of_key.collect();
    if found.is_empty() { vec![Finding::ok(CHECK, "the server uses none")] } else { found }
}

fn release(metrics: &str) -> Finding {
    const CHECK: &str = "release";
    let version = samples(metrics, "portrait_build_info").find_map(|sample| label(sample.labels, "version"));
    match version {
        Some(version) if version == VERSION => Finding::ok(CHECK, version),
        Some(version) => {
            let detail = format!("the server has {version}, this command {VERSION}");
            Finding::warning(CHECK, detail, "run the doctor of the same release")
        }
        None => Finding::warning(
            CHECK,
            "the server does not report its release",
            "run the doctor of the same release, or name the HTTP port of a server",
        ),
    }
}

/// Returns the samples of a metric in the text format of Prometheus.
fn samples<'m>(metrics: &'m str, name: &'m str) -> impl Iterator<Item = Sample<'m>> {
    metrics.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        // A longer name is another metric.
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some(Sample { labels, value: value.trim().parse().ok()? })
    })
}

/// Returns the value of a label; keys and versions have no quotes.
fn label<'m>(labels: &'m str, name: &str) -> Option<&'m str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

/// Requests a path and returns the status code and the body.
async fn get(url: &str, path: &str) -> Result<(u16, String)> {
    let Some(address) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        bail!("{url} is not an address of an HTTP port: write http://HOST:8080");
    };
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // HTTP/1.0: the body ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
        let mut response = Vec::new();
        stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut response).await?;
        anyhow::Ok(String::from_utf8_lossy(&response).into_owned())
    };
    let response = tokio::time::timeout(TIMEOUT, exchange).await;
    let response = response.with_context(|| format!("no response within {TIMEOUT:?}"))??;
    let code = response.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (Some(code), Some((_, body))) = (code, response.split_once("\r\n\r\n")) else {
        bail!("the port does not speak HTTP");
    };
    Ok((code, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn severities(metrics: &str) -> Vec<(String, Severity)> {
        judged(metrics, NOW).into_iter().map(|finding| (finding.check, finding.severity)).collect()
    }

    #[test]
    fn a_server_is_judged_by_what_it_reports() {
        let at = |days: i64| NOW + days * DAY_SECONDS + 60;
        let metrics = |used: f64, excess: u64, days: i64, version: &str| {
            format!(
                "# HELP portrait_feature_store_used_ratio used\n\
                 portrait_feature_store_used_ratio{{otel_scope_name=\"portrait-feature\"}} {used}\n\
                 portrait_feature_log_excess_bytes {excess}\n\
                 portrait_certificate_expiry_timestamp_seconds{{key=\"server.tls_certificate\",a=\"b\"}} {}\n\
                 portrait_build_info{{otel_scope_name=\"portrait-runtime\",version=\"{version}\"}} 1\n",
                at(days)
            )
        };
        use Severity::{Failed, Ok, Skipped, Warning};
        let rows = [
            (metrics(0.2, 0, 90, VERSION), [Ok, Ok, Ok, Ok]),
            (metrics(0.9, 5 << 20, 13, "0.0.1"), [Warning, Warning, Warning, Warning]),
            (metrics(1.2, 0, -1, VERSION), [Failed, Ok, Failed, Ok]),
            (String::new(), [Skipped, Skipped, Ok, Warning]),
            (
                "portrait_build_info_other 1\nportrait_feature_store_used_ratio x\n".to_owned(),
                [Skipped, Skipped, Ok, Warning],
            ),
        ];
        for (metrics, expected) in rows {
            let found: Vec<Severity> =
                severities(&metrics).into_iter().map(|(_, severity)| severity).collect();
            assert_eq!(found, expected, "{metrics}");
        }
    }

    #[test]
    fn components_that_are_not_ready_are_named() {
        let rows = [
            (200, "[]", Severity::Ok, "ready"),
            (200, "[[\"model\",\"version 2 is refused\"]]", Severity::Warning, "model: version 2 is refused"),
            (503, "[[\"store\",\"no answer\"]]", Severity::Failed, "store: no answer"),
            (404, "not found", Severity::Failed, "responds 404"),
        ];
        for (code, body, severity, detail) in rows {
            let finding = ready("server", (code, body.to_owned()));
            assert_eq!(finding.severity, severity, "{code}");
            assert!(finding.detail.contains(detail), "{}", finding.detail);
        }
    }

    #[tokio::test]
    async fn a_wrong_address_is_a_finding_with_a_remedy() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:8080", "http://127.0.0.1:1", "http://"] {
            let findings = examine(url).await;
            assert_eq!(findings.len(), 1, "{url}");
            assert_eq!(findings[0].severity, Severity::Failed, "{url}");
            assert!(findings[0].remedy.contains("server.http_listen"), "{url}");
        }
    }
}
