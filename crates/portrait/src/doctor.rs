//! `portrait doctor`: checks a deployment and prints a table of checks, verdicts and remedies. It uses the configuration of `serve`,
//! if it is given one, and the addresses of the servers: never its own defaults, which say nothing about them. Read-only, except that
//! a missing store on Redis is created as `serve` does.

mod finding;
mod reported;
mod store;

use crate::output;
use crate::serve::ConfigArgs;
use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use finding::{Finding, Severity};
use portrait_client::text::words;
use portrait_client::{ROLES, RoleRouter, ServerArgs, explained};
use portrait_node::Config;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{
    ListModelsRequest, ListModelsResponse, ListPartitionsRequest, ListPartitionsResponse,
};
use portrait_runtime::config::ByteSize;
use portrait_runtime::server::ServerConfig;
use std::collections::BTreeMap;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Lag, in records, above which the check warns.
const LAG_WARNING: u64 = 100_000;

/// Arguments of `portrait doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// HTTP port of a server (`server.http_listen`), for what it reports of itself; can be repeated.
    #[arg(long = "http", value_name = "URL", help_heading = "Server")]
    http: Vec<String>,
}

/// Runs all checks and prints the table.
///
/// # Errors
/// If any check failed.
pub async fn run(args: DoctorArgs) -> Result<()> {
    let findings = examine(args).await;
    output::line(table(&findings));
    let failed = findings.iter().filter(|finding| finding.severity == Severity::Failed).count();
    if failed > 0 {
        bail!("{} failed", words::counted(failed as u64, "check"));
    }
    Ok(())
}

async fn examine(args: DoctorArgs) -> Vec<Finding> {
    let sources = match args.config.sources(Vec::new()) {
        Ok(sources) => sources,
        Err(error) => {
            return vec![Finding::failed("configuration", format!("{error:#}"), "correct the flag")];
        }
    };
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => return vec![Finding::failed("configuration", error.to_string(), "correct the key")],
    };
    // Before validation: the default acknowledge level depends on the backend that the URL names.
    let config = match config.store.clone().with_url_read() {
        Ok(store) => Config { store, ..config },
        Err(error) => return vec![Finding::failed("configuration", error.to_string(), "correct the key")],
    };
    // The defaults of this command say nothing about the servers.
    let is_configured = !sources.is_empty();
    let mut findings = if is_configured { configured(&config).await } else { unconfigured() };
    match args.server.connect().await {
        Ok(router) => {
            let log_bytes = is_configured.then_some(config.feature.log_bytes);
            findings.extend(servers(&router, log_bytes).await);
        }
        Err(error) => {
            let remedy = "start `portrait serve`, or name its address with --to";
            findings.push(Finding::failed("servers", format!("{:#}", anyhow::Error::from(error)), remedy));
        }
    }
    if args.http.is_empty() {
        findings.extend(reported::skipped());
    }
    for url in &args.http {
        findings.extend(reported::examine(url).await);
    }
    findings
}

/// Checks what the configuration says, and the store that it names.
async fn configured(config: &Config) -> Vec<Finding> {
    let valid = match config.validate() {
        Ok(()) => Finding::ok("configuration", "valid"),
        Err(error) => Finding::failed("configuration", error.to_string(), "correct the key"),
    };
    // The store is checked even if the servers are down: it may be the reason.
    vec![valid, port(&config.server), store::examine(config).await]
}

fn unconfigured() -> Vec<Finding> {
    let remedy = "run it with the configuration of the servers: --config, --set, or their environment";
    let checks = ["configuration", "port", "store"];
    checks.map(|check| Finding::not_checked(check, "no configuration is given", remedy)).into()
}

/// Checks the access control of the gRPC port.
fn port(server: &ServerConfig) -> Finding {
    const CHECK: &str = "port";
    match server.secured() {
        Ok((connections, calls)) => {
            let detail = format!("{connections}, and calls {calls}");
            let is_open =
                server.tokens_file.as_os_str().is_empty() && server.tls_client_ca.as_os_str().is_empty();
            // An open port on the loopback address is the default for development.
            if is_open && !server.listen.ip().is_loopback() {
                let remedy = "set server.tokens_file, or restrict the port to trusted networks";
                return Finding::warning(CHECK, detail, remedy);
            }
            Finding::ok(CHECK, detail)
        }
        Err(error) => Finding::failed(CHECK, error.to_string(), "correct the key"),
    }
}

async fn servers(router: &RoleRouter, log_bytes: Option<ByteSize>) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Each role is asked, because one address may route them to different servers.
    for (role, service) in ROLES {
        findings.push(health(router, role, service).await);
    }
    let partitions =
        FeatureServiceClient::new(router.clone()).list_partitions(ListPartitionsRequest {}).await;
    findings.extend(match partitions {
        Ok(response) => {
            let response = response.into_inner();
            let mut findings = partition_findings(&response);
            findings.push(log_finding(&response, log_bytes));
            findings
        }
        Err(status) => vec![call_failed("partitions", &status)],
    });
    let models = ModelServiceClient::new(router.clone()).list_models(ListModelsRequest {}).await;
    findings.extend(match models {
        Ok(response) => model_findings(&response.into_inner()),
        Err(status) => vec![call_failed("models", &status)],
    });
    findings
}

fn call_failed(check: &str, status: &tonic::Status) -> Finding {
    Finding::failed(check, explained(status), "see the server's log")
}

/// Checks the health of the servers of a role.
async fn health(router: &RoleRouter, role: &str, service: &str) -> Finding {
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(router.peer(service).clone()).check(request).await {
        Ok(response) if response.get_ref().status() == ServingStatus::Serving => Finding::ok(role, "serves"),
        Ok(_) => Finding::failed(
            role,
            "responds, but is not ready",
            "see its /readyz, which lists the components that are not ready",
        ),
        Err(status) => {
            let remedy = format!("start `portrait serve {role}`, or name its address with --to {role}=URL");
            Finding::failed(role, explained(&status), &remedy)
        }
    }
}

/// Checks owners, lag and dead letters of the partitions.
fn partition_findings(response: &ListPartitionsResponse) -> Vec<Finding> {
    let mut owned = BTreeMap::<&str, usize>::new();
    let mut unowned = Vec::new();
    let mut lag = 0;
    let mut dead_letters = 0;
    for partition in &response.partitions {
        if partition.owner.is_empty() {
            unowned.push(partition.partition.to_string());
        } else {
            *owned.entry(&partition.owner).or_default() += 1;
        }
        lag += partition.log_end.saturating_sub(partition.applied_through);
        dead_letters += partition.dead_letters_total;
    }
    let owners: Vec<String> = owned.iter().map(|(owner, count)| format!("{owner} {count}")).collect();
    let count = words::counted(response.partitions.len() as u64, "partition");
    let mut findings = vec![if unowned.is_empty() {
        Finding::ok("partitions", format!("{count}: {}", owners.join(", ")))
    } else {
        let detail = format!("{} of {count} without an owner: {}", unowned.len(), unowned.join(" "));
        let remedy = "start a feature worker; if one has just failed, wait for feature.lease_ttl";
        Finding::failed("partitions", detail, remedy)
    }];
    let detail = format!("{} not applied yet", words::counted(lag, "record"));
    findings.push(if lag > LAG_WARNING {
        Finding::warning("lag", detail, "start more feature workers if it does not decrease")
    } else {
        Finding::ok("lag", detail)
    });
    if dead_letters > 0 {
        let detail = format!(
            "{} could not be applied and were moved to the dead letters",
            words::counted(dead_letters, "record")
        );
        findings.push(Finding::warning(
            "dead letters",
            detail,
            "the feature workers' log has the reason of each",
        ));
    }
    findings
}

/// Checks the size of the log against `feature.log_bytes`, if the configuration of the servers is given.
fn log_finding(response: &ListPartitionsResponse, bound: Option<ByteSize>) -> Finding {
    let bytes: u64 = response.partitions.iter().map(|partition| partition.log_bytes).sum();
    let mebibytes = words::count(bytes >> 20);
    let Some(bound) = bound else {
        return Finding::ok("log", format!("{mebibytes} MiB"));
    };
    if bound.bytes() == 0 {
        return Finding::ok("log", format!("{mebibytes} MiB; feature.log_bytes is 0, no bound"));
    }
    let detail = format!("{mebibytes} of {} MiB", words::count(bound.bytes() >> 20));
    // Between two trims a log exceeds its bound by an eighth; beyond that records are kept because they are not applied.
    if bytes > bound.bytes() / 4 * 5 {
        let remedy = "only applied records are trimmed: see the lag, and deploy/runbooks/log-above-bound.md";
        return Finding::warning("log", detail, remedy);
    }
    Finding::ok("log", detail)
}

/// Checks that all nodes serve the active model.
fn model_findings(response: &ListModelsResponse) -> Vec<Finding> {
    if response.active_version == 0 {
        let remedy = "wait for model.rows_min users, or run `portrait train`";
        return vec![Finding::warning("models", "there is no model yet", remedy)];
    }
    let active = response.active_version;
    // A node that refused the version stays behind for good; any other is only late.
    let behind = |refused: bool| {
        let nodes = response.nodes.iter().filter(move |node| node.serving_version != active);
        nodes.filter(move |node| (node.refused_version == active) == refused)
    };
    let mut findings: Vec<Finding> = behind(true)
        .map(|node| {
            let detail = format!("{} refuses model {active}: {}", node.node, node.refusal);
            Finding::failed("models", detail, "train a model, or run the same release in all processes")
        })
        .collect();
    if behind(false).next().is_some() {
        let names: Vec<&str> = behind(false).map(|node| &*node.node).collect();
        let detail = format!("model {active} is not served yet by {}", names.join(", "));
        findings.push(Finding::warning("models", detail, "the rollout is in progress; check again"));
    }
    if findings.is_empty() {
        let nodes = words::counted(response.nodes.len() as u64, "node");
        findings.push(Finding::ok("models", format!("model {active} is served by {nodes}")));
    }
    findings
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["check", "verdict", "detail", "remedy"]);
    for Finding { check, severity, detail, remedy } in findings {
        let verdict = match severity {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Failed => "failed",
            Severity::Skipped => "not checked",
        };
        table.add_row([check.as_str(), verdict, detail, remedy]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_proto::v1::{NodeStatus, PartitionStatus};

    fn partition(number: u32, owner: &str, log_end: u64) -> PartitionStatus {
        PartitionStatus {
            partition: number,
            owner: owner.to_owned(),
            log_end,
            applied_through: 10,
            ..Default::default()
        }
    }

    #[test]
    fn a_partition_without_an_owner_fails_and_a_long_lag_warns() {
        let detail = |partitions: Vec<PartitionStatus>| -> Vec<(Severity, String)> {
            let findings = partition_findings(&ListPartitionsResponse { partitions });
            findings.into_iter().map(|finding| (finding.severity, finding.detail)).collect()
        };
        assert_eq!(
            detail(vec![partition(0, "one", 10), partition(1, "two", 12), partition(2, "one", 10)]),
            [
                (Severity::Ok, "3 partitions: one 2, two 1".to_owned()),
                (Severity::Ok, "2 records not applied yet".to_owned()),
            ]
        );
        assert_eq!(
            detail(vec![partition(0, "one", 10), partition(1, "", 300_000)]),
            [
                (Severity::Failed, "1 of 2 partitions without an owner: 1".to_owned()),
                (Severity::Warning, "299,990 records not applied yet".to_owned()),
            ]
        );
        let dead_letters = PartitionStatus { dead_letters_total: 3, ..partition(0, "one", 10) };
        assert_eq!(detail(vec![dead_letters])[2].0, Severity::Warning);
    }

    #[test]
    fn a_log_far_above_its_bound_warns() {
        let finding = |mebibytes: u64, bound: Option<u64>| {
            let partition = PartitionStatus { log_bytes: mebibytes << 19, ..Default::default() };
            let partitions = vec![partition.clone(), partition];
            let finding = log_finding(&ListPartitionsResponse { partitions }, bound.map(ByteSize::mebibytes));
            (finding.severity, finding.detail)
        };
        assert_eq!(finding(1124, Some(1000)), (Severity::Ok, "1,124 of 1,000 MiB".to_owned()));
        assert_eq!(finding(1251, Some(1000)), (Severity::Warning, "1,251 of 1,000 MiB".to_owned()));
        assert_eq!(
            finding(9000, Some(0)),
            (Severity::Ok, "9,000 MiB; feature.log_bytes is 0, no bound".to_owned())
        );
        assert_eq!(finding(9000, None), (Severity::Ok, "9,000 MiB".to_owned()), "the bound is not known");
    }

    #[test]
    fn a_node_that_refuses_the_model_fails_and_one_that_waits_for_it_warns() {
        let node = |name: &str, serving_version, refused_version| NodeStatus {
            node: name.to_owned(),
            serving_version,
            refused_version,
            refusal: "it is damaged".to_owned(),
            ..Default::default()
        };
        let verdicts = |active_version, nodes| -> Vec<Severity> {
            let response = ListModelsResponse { active_version, nodes, ..Default::default() };
            model_findings(&response).into_iter().map(|finding| finding.severity).collect()
        };
        assert_eq!(verdicts(0, vec![]), [Severity::Warning]);
        assert_eq!(verdicts(2, vec![node("one", 2, 0), node("two", 2, 1)]), [Severity::Ok]);
        assert_eq!(
            verdicts(2, vec![node("one", 1, 2), node("two", 1, 0), node("three", 2, 0)]),
            [Severity::Failed, Severity::Warning]
        );
    }
}
