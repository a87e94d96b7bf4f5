//! `portrait doctor`: looks at a deployment as its operator would, and says what to do. In go the configuration that `serve` would
//! use and the address of the servers, out goes a table: what was looked at, how it is, and the remedy. Nothing is changed, except
//! that a store on Redis that is not there yet is created as `serve` would.

mod store;

use crate::serve::ConfigArgs;
use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use portrait_client::text::words;
use portrait_client::{RoleRouter, ROLES, ServerArgs};
use portrait_node::Config;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{
    ListModelsRequest, ListModelsResponse, ListPartitionsRequest, ListPartitionsResponse,
};
use portrait_runtime::server::ServerConfig;
use std::collections::BTreeMap;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// So many records that are not applied are worth a word.
const LAG_WARNING: u64 = 100_000;

/// The arguments of `portrait doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Ok,
    /// Not as it could be, and nothing is lost by it.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: String,
    verdict: Severity,
    detail: String,
    /// What to do; empty if it is well.
    remedy: String,
}

impl Finding {
    fn ok(what: &str, told: impl Into<String>) -> Self {
        Self { what: what.to_owned(), verdict: Severity::Ok, detail: told.into(), remedy: String::new() }
    }

    fn warning(what: &str, told: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Severity::Warning, remedy: remedy.to_owned(), ..Self::ok(what, told) }
    }

    fn failed(what: &str, told: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Severity::Failed, remedy: remedy.to_owned(), ..Self::ok(what, told) }
    }
}

/// Looks at everything and prints the table.
///
/// # Errors
/// If anything is ill.
pub async fn run(args: DoctorArgs) -> Result<()> {
    let findings = examine(args).await;
    println!("{}", table(&findings));
    let ill = findings.iter().filter(|finding| finding.verdict == Severity::Failed).count();
    if ill > 0 {
        bail!("{} to be put right", words::counted(ill as u64, "thing"));
    }
    Ok(())
}

async fn examine(args: DoctorArgs) -> Vec<Finding> {
    let sources = match args.config.sources(Vec::new()) {
        Ok(sources) => sources,
        Err(error) => return vec![Finding::failed("configuration", format!("{error:#}"), "correct the flag")],
    };
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => return vec![Finding::failed("configuration", error.to_string(), "correct the key")],
    };
    let config = match config.store.clone().with_url_read() {
        Ok(store) => Config { store, ..config },
        Err(error) => return vec![Finding::failed("configuration", error.to_string(), "correct the key")],
    };
    let mut findings = vec![match config.validate() {
        Ok(()) => Finding::ok("configuration", "makes sense"),
        Err(error) => Finding::failed("configuration", error.to_string(), "correct the key"),
    }];
    findings.push(port(&config.server));
    findings.push(store::examine(&config).await);
    match args.server.connect().await {
        Ok(line) => findings.extend(servers(&line).await),
        Err(error) => {
            let remedy = "start `portrait serve`, or name its address with --to";
            findings.push(Finding::failed("servers", format!("{:#}", anyhow::Error::from(error)), remedy));
        }
    }
    findings
}

/// What the gRPC port lets in.
fn port(server: &ServerConfig) -> Finding {
    const WHAT: &str = "port";
    match server.secured() {
        Ok((connections, calls)) => {
            let told = format!("{connections}, and calls {calls}");
            let is_open =
                server.tokens_file.as_os_str().is_empty() && server.tls_client_ca.as_os_str().is_empty();
            if is_open && !server.listen.ip().is_loopback() {
                let remedy =
                    "name a file of tokens in server.tokens_file, or let only friends reach the port";
                return Finding::warning(WHAT, told, remedy);
            }
            Finding::ok(WHAT, told)
        }
        Err(error) => Finding::failed(WHAT, error.to_string(), "correct the key"),
    }
}

async fn servers(line: &RoleRouter) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (role, service) in ROLES {
        findings.push(health(line, role, service).await);
    }
    let partitions = FeatureServiceClient::new(line.clone()).list_partitions(ListPartitionsRequest {}).await;
    findings.extend(match partitions {
        Ok(answer) => list_partitions(&answer.into_inner()),
        Err(status) => vec![unanswered("partitions", &status)],
    });
    let models = ModelServiceClient::new(line.clone()).list_models(ListModelsRequest {}).await;
    findings.extend(match models {
        Ok(answer) => list_models(&answer.into_inner()),
        Err(status) => vec![unanswered("models", &status)],
    });
    findings
}

fn unanswered(what: &str, status: &tonic::Status) -> Finding {
    Finding::failed(what, status.message(), "see what the server's log says")
}

/// Whether the servers of a role take calls.
async fn health(line: &RoleRouter, role: &str, service: &str) -> Finding {
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(line.of(service).clone()).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Finding::ok(role, "serves"),
        Ok(_) => Finding::failed(
            role,
            "answers, and does not serve yet",
            "see its /readyz, which says what is missing",
        ),
        Err(status) => {
            let remedy = format!("start `portrait serve {role}`, or name its address with --to {role}=URL");
            Finding::failed(role, status.message(), &remedy)
        }
    }
}

/// Who owns the partitions, and how far they are.
fn list_partitions(answer: &ListPartitionsResponse) -> Vec<Finding> {
    let mut owned = BTreeMap::<&str, usize>::new();
    let (mut orphans, mut lag, mut letters) = (Vec::new(), 0, 0);
    for partition in &answer.partitions {
        if partition.owner.is_empty() {
            orphans.push(partition.partition.to_string());
        } else {
            *owned.entry(&partition.owner).or_default() += 1;
        }
        lag += partition.log_end.saturating_sub(partition.applied_through);
        letters += partition.dead_letters_total;
    }
    let owners: Vec<String> = owned.iter().map(|(owner, count)| format!("{owner} {count}")).collect();
    let count = words::counted(answer.partitions.len() as u64, "partition");
    let mut findings = vec![if orphans.is_empty() {
        Finding::ok("partitions", format!("{count}: {}", owners.join(", ")))
    } else {
        let told = format!("nobody owns {} of {count}: {}", orphans.len(), orphans.join(" "));
        let remedy = "start a feature worker; if one has just died, wait for feature.lease_ttl";
        Finding::failed("partitions", told, remedy)
    }];
    let told = format!("{} not applied yet", words::counted(lag, "record"));
    findings.push(if lag > LAG_WARNING {
        Finding::warning("lag", told, "start more feature workers if it does not fall")
    } else {
        Finding::ok("lag", told)
    });
    if letters > 0 {
        let told = format!("{} could not be applied and were set aside", words::counted(letters, "record"));
        findings.push(Finding::warning("dead letters", told, "the feature workers' log names each and why"));
    }
    findings
}

/// Which model is served, and by whom.
fn list_models(answer: &ListModelsResponse) -> Vec<Finding> {
    if answer.active_version == 0 {
        let remedy = "wait for model.rows_min shoppers, or ask with `portrait train`";
        return vec![Finding::warning("models", "there is no model yet", remedy)];
    }
    let active = answer.active_version;
    let behind = |refused: bool| {
        let nodes = answer.nodes.iter().filter(move |node| node.serving_version != active);
        nodes.filter(move |node| (node.refused_version == active) == refused)
    };
    let mut findings: Vec<Finding> = behind(true)
        .map(|node| {
            let told = format!("{} refuses model {active}: {}", node.node, node.refusal);
            Finding::failed("models", told, "train a model, or let all processes be of one release")
        })
        .collect();
    if behind(false).next().is_some() {
        let names: Vec<&str> = behind(false).map(|node| &*node.node).collect();
        let told = format!("model {active} is not served yet by {}", names.join(", "));
        findings.push(Finding::warning("models", told, "it is on its way; look again"));
    }
    if findings.is_empty() {
        let nodes = words::counted(answer.nodes.len() as u64, "node");
        findings.push(Finding::ok("models", format!("model {active} is served by {nodes}")));
    }
    findings
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["looked at", "", "found", "what to do"]);
    for Finding { what, verdict, detail: told, remedy } in findings {
        let verdict = match verdict {
            Severity::Ok => "ok",
            Severity::Warning => "note",
            Severity::Failed => "ILL",
        };
        table.add_row([what.as_str(), verdict, told, remedy]);
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
    fn a_partition_that_nobody_owns_is_ill_and_a_long_lag_is_noted() {
        let told = |partitions: Vec<PartitionStatus>| -> Vec<(Severity, String)> {
            let findings = list_partitions(&ListPartitionsResponse { partitions });
            findings.into_iter().map(|finding| (finding.verdict, finding.detail)).collect()
        };
        assert_eq!(
            told(vec![partition(0, "one", 10), partition(1, "two", 12), partition(2, "one", 10)]),
            [
                (Severity::Ok, "3 partitions: one 2, two 1".to_owned()),
                (Severity::Ok, "2 records not applied yet".to_owned()),
            ]
        );
        assert_eq!(
            told(vec![partition(0, "one", 10), partition(1, "", 300_000)]),
            [
                (Severity::Failed, "nobody owns 1 of 2 partitions: 1".to_owned()),
                (Severity::Warning, "299,990 records not applied yet".to_owned()),
            ]
        );
        let letters = PartitionStatus { dead_letters_total: 3, ..partition(0, "one", 10) };
        assert_eq!(told(vec![letters])[2].0, Severity::Warning);
    }

    #[test]
    fn a_node_that_refuses_the_model_is_ill_and_one_that_waits_for_it_is_noted() {
        let node = |name: &str, serving_version, refused_version| NodeStatus {
            node: name.to_owned(),
            serving_version,
            refused_version,
            refusal: "it is damaged".to_owned(),
            ..Default::default()
        };
        let verdicts = |active_version, nodes| -> Vec<Severity> {
            let answer = ListModelsResponse { active_version, nodes, ..Default::default() };
            list_models(&answer).into_iter().map(|finding| finding.verdict).collect()
        };
        assert_eq!(verdicts(0, vec![]), [Severity::Warning]);
        assert_eq!(verdicts(2, vec![node("one", 2, 0), node("two", 2, 1)]), [Severity::Ok]);
        assert_eq!(
            verdicts(2, vec![node("one", 1, 2), node("two", 1, 0), node("three", 2, 0)]),
            [Severity::Failed, Severity::Warning]
        );
    }
}
