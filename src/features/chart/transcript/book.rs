//! What other forms take of a transcript: its entries one by one, and what is known around them.

use super::block::Entry;
use super::gather::Gathered;
use super::page::Beside;
use super::tell::Telling;
use crate::features::care_plan::Standing;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::{ExportRequest, ExportSummary};
use crate::features::patients::Identity;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, Stop, ThingId, UserId};
use crate::kernel::log::Fact;
use crate::kernel::policy::Access;

/// A record after its first reading.
pub struct Book(Gathered);

impl Book {
    /// Reads what may be read once.
    pub async fn open(source: &Source<'_>, request: &ExportRequest, parts: &[Part]) -> Result<Self, Stop> {
        Ok(Self(Gathered::from(source, request, parts).await?))
    }

    /// Entries and channels of the export.
    pub fn summary(&self) -> ExportSummary {
        self.0.summary
    }

    /// Who the patient is.
    pub fn identity(&self) -> Option<&Identity> {
        self.0.survey.identity.as_ref()
    }

    /// Who may read what.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// When it was read.
    pub fn now(&self) -> Micros {
        self.0.now
    }

    /// What a channel is called.
    pub fn channel_name(&self, id: ChannelId) -> String {
        self.0.channel_name(id)
    }

    /// Name and profession.
    pub fn person(&self, user: UserId) -> (String, Option<String>) {
        (self.0.people.name(user).plain(), self.0.people.profession(user).map(str::to_owned))
    }

    /// What others know them by: system and number.
    pub fn number(&self, user: UserId) -> Option<(String, String)> {
        self.0.people.number(user)
    }

    /// Whether an entry is asked for.
    pub fn takes(&self, request: &ExportRequest, fact: &Fact) -> bool {
        request.takes(fact, self.0.about.item(fact))
    }

    /// The item an entry is about now.
    pub fn item(&self, fact: &Fact) -> Option<ItemId> {
        self.0.current_item(ThingId(fact.id.0)).or(fact.item)
    }

    /// The item that stands for the plan as a whole.
    pub fn whole(&self) -> Option<ItemId> {
        let mut items = self.0.survey.items.iter();
        items.find(|item| item.current.standing == Some(Standing::Whole)).map(|item| item.current.id)
    }

    /// What an item is called.
    pub fn item_title(&self, id: ItemId) -> Option<&str> {
        self.0.survey.item(id).map(|item| item.current.content.title.as_str())
    }

    /// The newest entry that corrects this one; answers and receipts are no corrections.
    pub fn newest_change(&self, id: ThingId) -> Option<i64> {
        let changes = self.0.survey.changes.get(&id)?;
        changes.iter().filter(|change| Gathered::corrects(change)).map(|change| change.seq).max()
    }

    /// Whether something of a part that its receiver has was corrected since.
    pub fn is_changed_again(&self, part: &Part) -> bool {
        let here = self.0.corrected.range((part.begun.id, i64::MIN)..=(part.begun.id, i64::MAX));
        here.into_iter().any(|((_, seq), id)| {
            let (had, newest) = (part.coverage.horizon(*seq), self.newest_change(*id));
            had.is_some_and(|had| newest.is_some_and(|newest| newest > had))
        })
    }

    /// Whether the words of an entry are taken back or withheld, or it never had any.
    pub fn is_gone(&self, fact: &Fact) -> bool {
        let changes = self.0.survey.changes.get(&ThingId(fact.id.0)).into_iter().flatten();
        let retracted = changes.into_iter().any(|change| &*change.event == "message.retracted");
        let speaks =
            matches!(&*fact.event, "message.posted" | "message.checked_back") || !fact.event.starts_with("message.");
        fact.withheld || retracted || !speaks
    }
}

/// What some entries of one channel need beside themselves.
pub struct Page(Beside);

impl Page {
    /// Looks it up.
    pub async fn read(source: &Source<'_>, book: &Book, facts: &[&Fact]) -> Result<Self, Stop> {
        Ok(Self(Beside::of(source, &book.0, facts).await?))
    }

    /// One of them, as a person reads it.
    pub fn entry(&self, book: &Book, fact: &Fact) -> Result<Entry, Fault> {
        Telling { gathered: &book.0, beside: &self.0 }.entry(fact)
    }
}
