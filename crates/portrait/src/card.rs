//! `portrait profile`: one user's profile as a card or as JSON. Reads only; a user without a profile is an error.

use crate::output;
use anyhow::{Context, Result, bail};
use clap::Args;
use portrait_client::text::{Paint, card, profile_json};
use portrait_client::{RoleRouter, ServerArgs, explained};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{GetProfileRequest, Profile};
use tonic::Code;

/// Arguments of `portrait profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// User id as the shop assigns it.
    #[arg(value_name = "USER")]
    pub user_id: String,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the profile as JSON, with the field names of the API.
    #[arg(long)]
    pub json: bool,
}

/// Reads and prints the profile.
///
/// # Errors
/// If the server cannot be reached or has no profile of the user.
pub async fn run(args: ProfileArgs) -> Result<()> {
    let router = args.server.connect().await?;
    let profile = fetch(router, &args.user_id, args.server.address()).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&profile_json(&profile))?);
    } else {
        output::lines(card(&profile, Paint::of_stdout()));
    }
    Ok(())
}

async fn fetch(router: RoleRouter, user_id: &str, url: &str) -> Result<Profile> {
    let request = GetProfileRequest { user_id: user_id.to_owned(), ..Default::default() };
    match QueryServiceClient::new(router).get_profile(request).await {
        Ok(response) => response.into_inner().profile.context("the response has no profile"),
        // The most frequent mistake gets its own message, with both possible causes.
        Err(status) if status.code() == Code::NotFound => {
            bail!(
                "the server at {url} has no profile of {user_id:?}: no event of this user was applied, or the id differs"
            )
        }
        Err(status) => bail!("the server at {url} refused: {}", explained(&status)),
    }
}
