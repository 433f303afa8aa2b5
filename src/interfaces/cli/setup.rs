//! `init` and `serve`: the commands that make a deployment and run it.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments::{Init, Place, Serve};
use super::commands::Answer;
use super::print;
use crate::server::serve::Start;
use crate::server::{init as making, serve as serving};

/// Makes a data folder and says what it made.
pub async fn init(place: &Place, init: Init) -> anyhow::Result<Answer> {
    let folder = place.folder();
    let config = place.settings(&folder)?;
    let made = making::init(&folder, &config, init.organization.as_deref()).await?;
    let lines = vec![
        format!("data folder   {}", made.data),
        format!("deployment    {}", made.deployment),
        format!("key file      {}", folder.kek().display()),
        format!("certificate   {}", made.certificate),
        format!("  SHA-256     {}", made.certificate_sha256),
        "Keep a copy of the key file where the backups of the folder are not: without it the record cannot be read."
            .into(),
    ];
    Ok(Answer { object: json!(made), lines, failed: None })
}

/// Serves until a signal.
pub async fn serve(place: &Place, serve: Serve) -> anyhow::Result<()> {
    let folder = place.folder();
    let mut config = place.settings(&folder)?;
    config.mail.lmtp = serve.lmtp.or(config.mail.lmtp);
    let start = Start { folder, listen: serve.listen, config };
    serving::serve(start, CancellationToken::new(), |ready| {
        // Nobody reads it: then nobody waits for it either.
        let _ = print::lines([format!("listening on {}", ready.url)]);
    })
    .await
}
