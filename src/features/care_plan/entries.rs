//! Bodies of the entries about plan items: a file format, never changed, only joined by new members.
//! No `Debug`: they hold what is planned for a patient.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kernel::base::{Fault, ItemId, PatientId, ThingId};
use crate::kernel::engine::{Event, Utterance};
use crate::kernel::log::scan::Line;
use crate::kernel::policy::Holder;

/// The events of this feature.
pub const EVENTS: &[Event] = &[Event::of::<Added>(ADDED), Event::of::<Changed>(CHANGED), Event::of::<Closed>(CLOSED)];
/// An item is there.
pub const ADDED: &str = "plan_item.added";
/// Something of it changed.
pub const CHANGED: &str = "plan_item.changed";
/// It is over.
pub const CLOSED: &str = "plan_item.closed";

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member:meta])* $variant:ident $number:literal $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$member])* $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number in the database.
            #[must_use]
            pub const fn number(self) -> i16 { match self { $(Self::$variant => $number,)* } }

            /// From the number in the database.
            #[must_use]
            pub fn from_number(number: i16) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.number() == number)
            }

            /// As on the wire.
            #[must_use]
            pub const fn text(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// From the wire.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|one| one.text() == text) }
        }
    )*};
}

words! {
    /// What an item is.
    Kind {
        /// Something wrong with the patient.
        Problem 1 "problem",
        /// What is to be reached.
        Goal 2 "goal",
        /// What is done for it.
        Activity 3 "activity",
        /// What stands in the way.
        Barrier 4 "barrier",
    }
    /// The two items every plan has.
    Standing {
        /// "Plan as a whole".
        Whole 1 "whole",
        /// "Unsorted": to be re-linked.
        Unsorted 2 "unsorted",
    }
}

/// One coding of what an item is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Code {
    /// The code system: a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// Where an imported item came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Type of the resource there.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id there, or what tells it apart where it has none.
    pub id: String,
    /// The source's own word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The source only named it: there is no resource behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named_only: bool,
    /// The source has it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// A note of the source, to be read and never changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceNote {
    /// Who wrote it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When, as the source wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The words.
    pub text: String,
}

/// What an item says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Content {
    /// In one line.
    pub title: String,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it is coded as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<Code>,
    /// Who it rests with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Holder>,
    /// A day, or a time in RFC 3339, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Items it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ItemId>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Notes of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<SourceNote>,
}

/// Body of `plan_item.added`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Added {
    /// The item.
    pub id: ItemId,
    /// Whose plan.
    pub patient: PatientId,
    /// What it is; none for a standing item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Which of the standing items, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// Family sees it.
    pub shared: bool,
    /// Its state in a word.
    pub status: String,
    /// It was over when it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// Body of `plan_item.changed`: what is absent stays, what is null is no more. In a shared channel an item that becomes shared stands
/// whole, and one that is no longer shared says nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The item.
    pub item: ItemId,
    /// Its number after this change.
    pub rev: i64,
    /// What it is, where the item stands whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// In one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What else there is to say.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub detail: Option<Option<String>>,
    /// What it is coded as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<Vec<Code>>,
    /// Who it rests with.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Option<Holder>>,
    /// When it is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub due: Option<Option<String>>,
    /// Items it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<ItemId>>,
    /// Family sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Its state in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It was over, and is open again: its source says so. Said where it is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reopened: bool,
    /// Where an imported item came from; not for family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Notes of the source; not for family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<SourceNote>>,
}

/// Body of `plan_item.closed`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// The item.
    pub item: ItemId,
    /// Its number after this.
    pub rev: i64,
    /// How it ended.
    pub status: String,
    /// Why; said to staff only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an entry about an item says, for a search. Notes of the source are for staff, and an entry may stand where family reads.
pub(super) fn words(line: &Line) -> Result<Option<Utterance>, Fault> {
    let displays = |codes: Vec<Code>| codes.into_iter().filter_map(|code| code.display);
    Ok(match &*line.event {
        ADDED => {
            let Added { id, content: Content { title, detail, codes, .. }, .. } = line.read()?;
            let said = Utterance::first(ThingId(id.0)).has("title", [title]).has("detail", detail);
            Some(said.has("codes", displays(codes)))
        }
        CHANGED => {
            let Changed { item, title, detail, codes, .. } = line.read()?;
            let mut said = Utterance::more(ThingId(item.0));
            if let Some(title) = title {
                said = said.has("title", [title]);
            }
            if let Some(detail) = detail {
                said = said.has("detail", detail);
            }
            if let Some(codes) = codes {
                said = said.has("codes", displays(codes));
            }
            Some(said)
        }
        _ => None,
    })
}

/// A member that is there, null or not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

impl Changed {
    /// Nothing but the item and its number.
    #[must_use]
    pub const fn of(item: ItemId, rev: i64) -> Self {
        Self {
            item,
            rev,
            kind: None,
            title: None,
            detail: None,
            codes: None,
            owner: None,
            due: None,
            addresses: None,
            shared: None,
            status: None,
            reason: None,
            reopened: false,
            source: None,
            notes: None,
        }
    }

    /// The whole of an item.
    #[must_use]
    pub fn whole(item: ItemId, rev: i64, kind: Option<Kind>, content: Content, shared: bool, status: String) -> Self {
        let Content { title, detail, codes, owner, due, addresses, .. } = content;
        Self {
            kind,
            title: Some(title),
            detail: Some(detail),
            codes: Some(codes),
            owner: Some(owner),
            due: Some(due),
            addresses: Some(addresses),
            shared: Some(shared),
            status: Some(status),
            ..Self::of(item, rev)
        }
    }

    /// Lays the change over what an item said.
    pub fn lay_over(&self, content: &mut Content) {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        set(&mut content.title, self.title.as_ref());
        set(&mut content.detail, self.detail.as_ref());
        set(&mut content.codes, self.codes.as_ref());
        set(&mut content.owner, self.owner.as_ref());
        set(&mut content.due, self.due.as_ref());
        set(&mut content.addresses, self.addresses.as_ref());
        set(&mut content.notes, self.notes.as_ref());
        if self.source.is_some() {
            content.source.clone_from(&self.source);
        }
    }
}
