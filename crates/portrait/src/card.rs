//! `portrait profile`: asks a server for one shopper's profile and shows it as a card that a marketer can read, or as JSON.
//! In come a user id and an address, out goes text on standard output. A shopper without a profile is an error that says so;
//! nothing is ever written to the server.

use anyhow::{Context, Result, bail};
use clap::Args;
use portrait_client::text::{Paint, card, profile_json};
use portrait_client::{RoleRouter, ServerArgs};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{GetProfileRequest, Profile};
use tonic::Code;

/// The arguments of `portrait profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The shop's own id of the shopper.
    #[arg(value_name = "USER")]
    pub user_id: String,
    /// Where the server answers, and how it is called.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the profile as JSON, with the field names of the API.
    #[arg(long)]
    pub json: bool,
}

/// Shows the profile.
///
/// # Errors
/// If the server cannot be reached, or has no profile of the shopper.
pub async fn run(args: ProfileArgs) -> Result<()> {
    let channel = args.server.connect().await?;
    let profile = fetch(channel, &args.user_id, args.server.address()).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&profile_json(&profile))?);
    } else {
        print!("{}", card(&profile, Paint::of_stdout()));
    }
    Ok(())
}

async fn fetch(channel: RoleRouter, user_id: &str, url: &str) -> Result<Profile> {
    let request = GetProfileRequest { user_id: user_id.to_owned(), ..Default::default() };
    match QueryServiceClient::new(channel).get_profile(request).await {
        Ok(response) => response.into_inner().profile.context("the server answered without a profile"),
        Err(status) if status.code() == Code::NotFound => {
            bail!(
                "the server at {url} has no profile of {user_id:?}: nothing was told of this shopper yet, or the id differs"
            )
        }
        Err(status) => bail!("the server at {url} refused: {}", status.message()),
    }
}
