//! `portrait train`: starts a training at the model service and prints its progress, its outcome, and what it left out. It ends when the
//! watching nodes serve the model.

use crate::incomplete::Incomplete;
use crate::output;
use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::words;
use portrait_client::{ServerArgs, train};
use portrait_proto::v1::{ModelManifest, NodeStatus, PartShortfall, TrainModelRequest, TrainingLimit};
use std::time::Duration;

/// Arguments of `portrait train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Number of segments; fewer if users cannot be distinguished as finely [default: as in the last model with segments; for the first,
    /// chosen by quality].
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub segments: u32,
    /// Choose the number of segments by quality again.
    #[arg(long, conflicts_with = "segments")]
    pub choose: bool,
    /// Publish the model even if it is worse than the served one.
    #[arg(long)]
    pub force: bool,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Trains a model and prints the outcome.
///
/// # Errors
/// If the server cannot be reached, no model was published, or a node does not serve it.
pub async fn run(args: TrainArgs) -> Result<()> {
    let channel = args.server.connect().await?;
    let request =
        TrainModelRequest { segments: args.segments, choose_segments: args.choose, force: args.force };
    let bar = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {elapsed} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    let outcome =
        train(channel, request, |stage, done| bar.set_message(format!("{stage} {}", words::count(done))))
            .await;
    bar.finish_and_clear();
    // After the bar is cleared, so that an error is not printed into it.
    let outcome = outcome?;
    if !outcome.published {
        bail!("no model was published: {}", outcome.refusal);
    }
    let manifest = outcome.manifest.unwrap_or_default();
    output::line(headline(&manifest));
    for shortfall in &manifest.shortfalls {
        output::line(sentence(shortfall));
    }
    if let Some(kept) = manifest.quality.and_then(|quality| quality.retained_share) {
        println!("{:.1}% of the users keep their segment", kept * 100.0);
    }
    if !manifest.limits.is_empty() {
        println!("{}", limits_table(&manifest.limits));
    }
    rollout(outcome.version, &outcome.nodes)
}

/// Line on what the model has learned from how many users.
fn headline(manifest: &ModelManifest) -> String {
    let users = words::counted(manifest.rows, "user");
    match manifest.segments {
        0 => format!("model {}: no segments, learned from {users}", manifest.version),
        segments => {
            format!("model {}: {} of {users}", manifest.version, words::counted(segments.into(), "segment"))
        }
    }
}

/// Sentence on a part that is missing or less than wanted, with the remedy.
pub(crate) fn sentence(shortfall: &PartShortfall) -> String {
    let PartShortfall { part, missing, reason, remedy } = shortfall;
    let part = match part.as_str() {
        "items" => "recommendations",
        "behavior" => "next actions",
        "propensity" => "purchase scores",
        "risk" => "risk scores",
        // Of segments, and of parts of a later release.
        other => other,
    };
    let part = if *missing { format!("no {part}") } else { part.to_owned() };
    format!("{part}: {reason}; {remedy}")
}

/// Prints the nodes that serve the version.
///
/// # Errors
/// [`Incomplete`] with the nodes that refuse the version or have not acknowledged it.
fn rollout(version: u64, nodes: &[NodeStatus]) -> Result<()> {
    let serving = nodes.iter().filter(|node| node.serving_version == version).count() as u64;
    println!("served by {}", words::counted(serving, "node"));
    let behind: Vec<String> = nodes
        .iter()
        .filter(|node| node.serving_version != version)
        .map(|node| match node.refused_version == version {
            true => format!("{} refuses it: {}", node.node, node.refusal),
            false => format!("{} has not acknowledged it", node.node),
        })
        .collect();
    if behind.is_empty() {
        return Ok(());
    }
    Err(Incomplete(format!("model {version} is published, but {}", behind.join("; "))).into())
}

/// Renders what the training left out.
fn limits_table(limits: &[TrainingLimit]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["learned from", "of", "", "limit"]);
    for limit in limits {
        table.add_row([
            words::count(limit.used),
            words::count(limit.found),
            limit.unit.clone(),
            limit.name.clone(),
        ]);
    }
    for column in [0, 1] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, serving_version: u64, refused_version: u64) -> NodeStatus {
        let refusal = "it is damaged".to_owned();
        NodeStatus { node: name.to_owned(), serving_version, refused_version, refusal, ..Default::default() }
    }

    #[test]
    fn a_node_that_does_not_serve_the_version_is_named_with_the_reason() {
        assert!(rollout(2, &[]).is_ok() && rollout(2, &[node("one", 2, 1)]).is_ok());
        let error = rollout(2, &[node("one", 2, 0), node("two", 1, 2), node("three", 1, 1)])
            .expect_err("two are behind");
        assert!(error.is::<Incomplete>());
        assert_eq!(
            error.to_string(),
            "model 2 is published, but two refuses it: it is damaged; three has not acknowledged it"
        );
    }

    #[test]
    fn a_part_that_is_missing_or_less_than_wanted_is_a_sentence() {
        let shortfall = PartShortfall {
            part: "items".to_owned(),
            missing: true,
            reason: "no profile has an item".to_owned(),
            remedy: "send some".to_owned(),
        };
        assert_eq!(sentence(&shortfall), "no recommendations: no profile has an item; send some");
        let fewer = PartShortfall { part: "segments".to_owned(), missing: false, ..shortfall };
        assert_eq!(sentence(&fewer), "segments: no profile has an item; send some");
        for (segments, expected) in
            [(0, "model 3: no segments, learned from 40 users"), (2, "model 3: 2 segments of 40 users")]
        {
            let manifest = ModelManifest { version: 3, segments, rows: 40, ..Default::default() };
            assert_eq!(headline(&manifest), expected);
        }
    }

    #[test]
    fn what_a_training_left_out_is_a_table() {
        let limit = TrainingLimit {
            name: "model.histories_max".to_owned(),
            unit: "users with a history".to_owned(),
            used: 20_000,
            found: 717_000,
        };
        let text = limits_table(&[limit]).to_string();
        assert!(
            text.contains("20,000") && text.contains("717,000") && text.contains("model.histories_max"),
            "{text}"
        );
    }
}
