//! The job that records the end of memberships whose time is over. Access ended by the clock already: this is the entry of it.

use std::time::Duration;

use crate::kernel::base::Fault;
use crate::kernel::engine::{Data, Engine};
use crate::kernel::policy::{self, Subject};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(30);

/// Records ends as they come, for as long as the engine runs. `by` is who the entries name: the deployment's built-in user, with the
/// authority of the host.
pub async fn keep(engine: Engine, by: Subject) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(fault) = expire_due(&engine, &by).await {
            tracing::error!(error = %fault, "Ends of memberships could not be recorded");
        }
    }
}

/// Records the ends that are due, by somebody with the authority of the host, and gives how many.
///
/// # Errors
/// The database's.
pub async fn expire_due(engine: &Engine, by: &Subject) -> Result<usize, Fault> {
    let mut tx = engine.shared().db.read().await?;
    let due = policy::sql::members_due(&mut tx, engine.world().now()).await?;
    drop(tx);
    let mut recorded = 0;
    for (patient, user) in due {
        let mut data = Data::new();
        data.insert("patient".into(), patient.to_string().into());
        data.insert("user".into(), user.to_string().into());
        match engine.run_internal(by.clone(), "team.expire", data).await {
            Ok(_) => recorded += 1,
            Err(refusal) => tracing::warn!(code = refusal.code.text(), "The end of a membership was not recorded"),
        }
    }
    Ok(recorded)
}
