//! Housekeeping of sessions: memory holds open ones only, and the database knows when each was active, so that a restart does.
//! Does not know: who listens to a session that lapses; its holders look at the clock themselves.

use std::time::Duration;

use serde_json::{Map, Value};

use super::directory::operator;
use crate::kernel::base::{Micros, Refusal};
use crate::kernel::engine::{Data, Engine};

/// How often: what a crash may take from the idle time of a session.
const EVERY: Duration = Duration::from_secs(60);
/// Sessions of one write: the committer is not held up for longer.
const TOUCHED_MAX: usize = 500;

/// Keeps sessions until it is dropped or the engine stops. Start once a server.
pub async fn keep(engine: Engine) {
    let mut since = 0;
    loop {
        match round(&engine, since).await {
            Ok(done) => since = done,
            Err(refusal) => tracing::warn!(code = refusal.code.text(), "The activity of sessions was not written"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One round: writes what was active since `since`, and gives what to go on from.
pub(super) async fn round(engine: &Engine, since: Micros) -> Result<Micros, Refusal> {
    let now = engine.book().latest(engine.world().now());
    let active = engine.book().sweep_sessions(now, since);
    let subject = operator(engine, None).await?;
    let mut chunks: Vec<Map<String, Value>> = active
        .chunks(TOUCHED_MAX)
        .map(|chunk| chunk.iter().map(|(id, at)| (id.to_string(), Value::from(*at))).collect())
        .collect();
    // Written even if nobody was active: what lapsed is ended in the database too.
    let last = chunks.pop().unwrap_or_default();
    for sessions in chunks {
        touch(engine, subject.clone(), sessions, false).await?;
    }
    touch(engine, subject, last, true).await?;
    Ok(now)
}

async fn touch(
    engine: &Engine,
    subject: crate::kernel::policy::Subject,
    sessions: Map<String, Value>,
    lapse: bool,
) -> Result<(), Refusal> {
    let mut data = Data::new();
    data.insert("sessions".into(), sessions.into());
    data.insert("lapse".into(), lapse.into());
    engine.run_internal(subject, "session.touch", data).await.map(drop)
}
