//! Tasks as they are kept for reading: a projection of the entries alone.
//! Does not know: who asks. Invariant: an entry that is projected again gives the same row.

use super::clock;
use super::entries::{CHANGED, CREATED, Changed, Created, State};
use super::model::{Origin, Task};
use super::sql::{self, TaskRow};
use super::views;
use crate::features::care_plan::{self, Claim, Weight, Why};
use crate::features::channels::Priority;
use crate::kernel::base::{Fault, ItemId, ThingId};
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::engine::Ledger;
use crate::kernel::log::{Fact, Thing, ThingKind, Vault};
use crate::kernel::policy::Holder;

/// A task, opened.
pub(super) async fn opened(vault: &Vault, row: &TaskRow) -> Result<Task, Fault> {
    let plain = vault.open_view(row.patient, Purpose::View, row.id.0, row.revision, &row.view).await?;
    serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("a task is not JSON"))
}

/// A task as the batch has it; none of that id.
pub(super) async fn get(ledger: &mut Ledger, task: ThingId) -> Result<Option<Task>, Fault> {
    let vault = ledger.vault().clone();
    match sql::get(ledger.tx(), task).await? {
        Some(row) => opened(&vault, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn row(ledger: &Ledger, task: &Task, ended: Option<i64>, revision: i64) -> Result<TaskRow, Fault> {
    let plain = serde_json::to_vec(task).map_err(|_| Fault::Defect("a task is not JSON"))?;
    let (owner_user, owner_responsibility) = match task.owner {
        Holder::User(user) => (Some(user), None),
        Holder::Responsibility { responsibility } => (None, Some(responsibility.number())),
    };
    Ok(TaskRow {
        id: task.id,
        patient: task.patient,
        channel: task.channel,
        item: task.item,
        item_version: task.item_version,
        state: task.state.number(),
        owner_user,
        owner_responsibility,
        place: task.place.clone(),
        ended,
        origin: task.from_message.or(task.from_note),
        revision,
        view: ledger.seal_view(task.patient, task.id.0, revision, &plain).await?,
    })
}

/// Follows an event of this feature.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    match &*fact.event {
        CREATED => project_created(ledger, fact).await,
        CHANGED => project_changed(ledger, fact).await,
        _ => Err(Fault::Defect("an event of another feature")),
    }
}

async fn project_created(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Created = fact.read()?;
    let origin = Origin { patient: fact.patient, channel: fact.channel, seq: fact.seq, by: fact.by, at: fact.at };
    let task = Task::created(body, &origin);
    let row = row(ledger, &task, None, fact.seq).await?;
    sql::add(ledger.change(), &row).await?;
    ledger.name_thing(Thing::made(fact, task.id, ThingKind::Task, task.state.number()));
    follow(ledger, &task, fact).await
}

async fn project_changed(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    const MISSING: Fault = Fault::Integrity("an entry about a task that is not there");
    let body: Changed = fact.read()?;
    let mut task = get(ledger, body.task).await?.ok_or(MISSING)?;
    task.apply(body);
    let ended = task.state.is_final().then_some(fact.at);
    let row = row(ledger, &task, ended, fact.seq).await?;
    sql::set(ledger.change(), &row).await?;
    let thing = ledger.thing(task.id).await?.ok_or(MISSING)?;
    let item: Option<ItemId> = Some(task.item);
    let open = !task.state.is_final();
    ledger.change_thing(Thing { item, open, state: task.state.number(), ..thing }).await?;
    follow(ledger, &task, fact).await
}

/// What else follows from how a task stands: when the clock has something to say of it, and who is next in line for its plan item.
async fn follow(ledger: &mut Ledger, task: &Task, fact: &Fact) -> Result<(), Fault> {
    clock::set(ledger, task, fact.at).await?;
    if task.state.is_final() {
        return care_plan::release(ledger, task.id).await;
    }
    // Whoever asked has to ask somebody else.
    let holder = if task.state == State::Rejected { Holder::User(task.by) } else { task.owner };
    let weight = match task.priority.unwrap_or_default() {
        Priority::Stat => Weight::Stat,
        Priority::Urgent => Weight::Urgent,
        Priority::Routine => Weight::Routine,
    };
    let Task { id: source, item, patient, channel, seq, .. } = *task;
    let claim = Claim { source, item, patient, channel, seq, holder, due: views::ends(task), weight, why: Why::Task };
    care_plan::claim(ledger, &claim).await
}
