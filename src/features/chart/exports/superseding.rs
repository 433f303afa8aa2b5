//! A note that takes the place of another: the receiver is asked to mark the other one as superseded. Not every receiver lets us; one that
//! does not has the new note all the same, which says what it replaces.
//! Invariant: only the status is changed, of what is there at that moment and in the version it has.

use serde_json::{Value, json};
use uuid::Uuid;

use super::advance::Moved;
use super::job::{Filing, Written};
use super::ledger::{Holdings, Sent, hash};
use super::making::{Planned, Ready};
use super::sql::ParcelRow;
use crate::features::chart::targets::{Outcome, Receiver};
use crate::kernel::base::Stop;

/// One parcel for each note of these whose place another one takes.
pub(super) fn marks(sent: &[Sent], holdings: &Holdings) -> Vec<Planned> {
    let former = sent.iter().filter_map(|one| {
        let replaces = &one.resource["relatesTo"][0];
        let id = replaces["target"]["reference"].as_str()?.strip_prefix("DocumentReference/")?;
        (replaces["code"] == "replaces").then(|| id.parse::<Uuid>().ok()).flatten()
    });
    let marked = former.map(|id| Sent {
        id,
        class: "DocumentReference".into(),
        resource: Value::Null,
        update: true,
        hash: hash(&json!({ "superseded": id })),
        carries: Vec::new(),
    });
    let marked = marked.filter(|one| holdings.get(&one.id).is_none_or(|held| held.hash != one.hash));
    marked.map(|one| Planned { sent: vec![one], bundle: false, marks: true, ready: None }).collect()
}

impl Filing<'_> {
    /// Reads what is there and makes the bytes that change its status: kept before they are first sent. On where there is nothing to
    /// change, or no way to.
    pub(super) async fn mark(
        &mut self,
        receiver: &Receiver,
        mut planned: Planned,
        row: &ParcelRow,
    ) -> Result<(), Stop> {
        let id = planned.sent.first().map(|one| one.id).unwrap_or_default();
        let Some(location) = self.holdings.get(&id).and_then(|held| held.location.clone()) else {
            return self.pass(row).await;
        };
        let there = match receiver.read(&location).await {
            Ok(there) => there.filter(|(resource, _)| resource["status"] == "current"),
            Err(Outcome::Again { after, words }) => {
                let state = self.found.state()?;
                return self.again(state, after, words).await;
            }
            Err(_) => None,
        };
        let Some((mut resource, etag)) = there else { return self.pass(row).await };
        resource["status"] = "superseded".into();
        planned.ready = Some(Ready::update(&location, etag, &resource));
        let parcel = Moved { n: row.n, state: 1, revision: row.revision, planned: Some(planned) };
        let (state, now) = (self.found.state()?, self.now());
        self.write(state, Some(now), Written { parcel: Some(parcel), ..Written::default() }).await
    }

    /// What came of it: a refusal passes.
    pub(super) async fn marked(
        &mut self,
        receiver: &Receiver,
        outcome: Outcome,
        planned: Planned,
        row: &ParcelRow,
    ) -> Result<(), Stop> {
        match outcome {
            Outcome::Done { remote, words } => self.done(&planned, row, &remote, &words).await,
            Outcome::Refetch { .. } if !self.found.view.job.refetched => {
                self.found.view.job.refetched = true;
                self.mark(receiver, planned, row).await
            }
            _ => self.pass(row).await,
        }
    }

    /// On to the next parcel.
    async fn pass(&mut self, row: &ParcelRow) -> Result<(), Stop> {
        self.found.row.sent += 1;
        self.found.row.attempts = 0;
        (self.found.view.job.refetched, self.found.view.outcome) = (false, None);
        let parcel = Moved { n: row.n, state: 2, revision: row.revision, planned: None };
        let (state, now) = (self.found.state()?, self.now());
        self.write(state, Some(now), Written { parcel: Some(parcel), ..Written::default() }).await
    }
}
