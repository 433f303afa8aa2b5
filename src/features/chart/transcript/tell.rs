//! One entry as a person reads it. Pure: from the entry, what was gathered, and what was looked up for its page.
//! Invariant: words that were taken back or withheld are replaced by what says so, and every kind of entry is told, known here or not.

use std::collections::BTreeMap;

use super::block::{Entry, Line, Part, Sort};
use super::body::{Body, span, time, told_time};
use super::details::details;
use super::gather::Gathered;
use super::page::Beside;
use crate::features::channels::{Amended, Retracted, Words};
use crate::kernel::base::world::{MINUTE, parse_rfc3339};
use crate::kernel::base::{ChannelId, Fault, ItemId, ThingId, UserId};
use crate::kernel::log::Fact;

/// What stands for what went to the wrong patient.
pub const WITHHELD: &str =
    "Withheld: it went to the wrong patient and was moved. It stands in the record of the patient it is about.";
/// What stands for what was taken back (contract of every form for people and charts).
pub const RETRACTED: &str = "Retracted by author";

/// What became of a message or note.
#[derive(Default)]
pub struct Fate<'g> {
    /// The words from the last amendment on.
    pub words: Option<Words>,
    /// Amendments, oldest first.
    pub amended: Vec<&'g Fact>,
    /// It was taken back.
    pub retracted: Option<(&'g Fact, String)>,
}

/// What it is told with.
pub struct Telling<'t> {
    pub gathered: &'t Gathered,
    pub beside: &'t Beside,
}

/// What is told of an entry beside who, when and where.
pub struct Told {
    pub sort: Sort,
    pub heading: Line,
    pub marks: Vec<Line>,
    pub parts: Vec<Part>,
    /// As it stands now.
    pub later: Vec<Part>,
}

impl Told {
    /// Nothing but a heading.
    pub fn new(sort: Sort, heading: impl Into<String>) -> Self {
        Self { sort, heading: Line::ours(heading), marks: Vec::new(), parts: Vec::new(), later: Vec::new() }
    }

    /// With something to be known.
    pub fn mark(mut self, mark: Line) -> Self {
        self.marks.push(mark);
        self
    }

    /// With what became of it.
    pub fn later(mut self, state: Line) -> Self {
        self.later.push(Part::Notice(state));
        self
    }

    /// With who was sent it, read it, answered it.
    pub fn received(mut self, lines: Vec<Line>) -> Self {
        if !lines.is_empty() {
            self.later.push(Part::List { name: "Receipts".into(), lines });
        }
        self
    }

    /// With words somebody wrote, if there are any.
    pub fn says(mut self, name: Option<&str>, text: &str) -> Self {
        if !text.trim().is_empty() {
            self.parts.push(Part::Words { name: name.map(str::to_owned), text: text.to_owned() });
        }
        self
    }

    /// With a list, if anything is in it.
    pub fn lists(mut self, name: &str, lines: Vec<Line>) -> Self {
        if !lines.is_empty() {
            self.parts.push(Part::List { name: name.to_owned(), lines });
        }
        self
    }
}

impl<'t> Telling<'t> {
    /// The entry.
    pub fn entry(&self, fact: &Fact) -> Result<Entry, Fault> {
        let body = Body::of(fact)?;
        let told = match fact.event.split_once('.') {
            Some(("message", what)) => self.message(fact, &body, what)?,
            Some(("note", what)) => self.note(fact, &body, what)?,
            Some(("handoff" | "task" | "checkin", _)) => self.work(fact, &body),
            _ => details(self, fact, &body),
        };
        let Told { sort, heading, marks, parts, later } = told;
        let item = self.gathered.current_item(ThingId(fact.id.0)).or(fact.item);
        Ok(Entry {
            anchor: format!("e-{}", fact.id),
            channel: fact.channel,
            sort,
            number: fact.seq,
            time: time(fact.at),
            author: self.author(fact.by),
            item: item.map(|item| self.item(item)),
            heading,
            marks,
            parts,
            later,
        })
    }

    /// A person with profession and role.
    pub fn author(&self, user: UserId) -> Line {
        let role = self.gathered.survey.roles.get(&user).map(|role| role.text.as_str());
        self.gathered.people.described(user, role)
    }

    /// A plan item by its title.
    pub fn item(&self, id: ItemId) -> Line {
        let item = self.gathered.survey.item(id);
        item.map_or_else(|| Line::ours(id.to_string()), |item| Line::theirs(&item.current.content.title))
    }

    /// Where a thing that is named stands.
    pub fn place(&self, here: ChannelId, id: Option<ThingId>) -> Line {
        match id.and_then(|id| self.beside.places.get(&id)) {
            Some((channel, seq)) if *channel == here => Line::ours(format!("No. {seq}")),
            Some((channel, seq)) if self.gathered.counts.contains_key(channel) => {
                Line::ours(format!("No. {seq} of ")).told(self.gathered.channel_name(*channel))
            }
            _ => Line::ours("an entry that is not in this transcript"),
        }
    }

    /// What became of a message.
    pub fn fate(&self, id: ThingId) -> Result<Fate<'t>, Fault> {
        let mut fate = Fate::default();
        for fact in self.gathered.survey.changes.get(&id).into_iter().flatten() {
            match &*fact.event {
                "message.amended" if !fact.withheld => {
                    fate.words = Some(fact.read::<Amended>()?.words);
                    fate.amended.push(fact);
                }
                "message.amended" => fate.amended.push(fact),
                "message.retracted" => {
                    let retracted: Retracted = fact.read()?;
                    // What was moved has a word of the protocol for a reason.
                    let moved = !retracted.withholds.is_empty();
                    fate.retracted = Some((fact, if moved { "Wrong patient".into() } else { retracted.reason }));
                }
                _ => {}
            }
        }
        Ok(fate)
    }

    fn message(&self, fact: &Fact, body: &Body, what: &str) -> Result<Told, Fault> {
        let named = self.place(fact.channel, body.id("message"));
        let mark = |heading: &str| Told {
            heading: Line::ours(heading).and(": ").with(named.clone()),
            ..Told::new(Sort::Mark, heading)
        };
        let reason = body.some("reason").map(|reason| Line::ours("Reason: ").told(reason));
        let to = |told: Told| told.mark(Line::ours("To: ").with(self.gathered.people.names(&body.ids("to"))));
        Ok(match what {
            "posted" => self.posted(fact, body)?,
            "checked_back" => self.checked_back(fact, body, named)?,
            "amended" => mark("Message amended"),
            "retracted" if body.get("withholds").is_array() => {
                mark("Message retracted").mark(Line::ours("Reason: Wrong patient"))
            }
            "retracted" => Told { marks: reason.into_iter().collect(), ..mark("Message retracted") },
            "relinked" => {
                let item = body
                    .id::<ItemId>("item")
                    .map(|item| Line::ours("Care plan item from here on: ").with(self.item(item)));
                Told { marks: item.into_iter().chain(reason).collect(), ..mark("Message linked to a care plan item") }
            }
            "acknowledged" => mark("Acknowledged"),
            "confirmed" => mark("Check-back confirmed by the author"),
            "reminded" => to(mark("Said again, for want of an answer")),
            "escalated" => to(mark("Escalated, for want of an answer")),
            "settled" => Told { marks: reason.into_iter().collect(), ..mark("Waiting for an answer ended") },
            _ => details(self, fact, body),
        })
    }

    /// Words as they stand, or what stands for them.
    fn said(&self, told: Told, fact: &Fact, words: Option<&Words>, fate: &Fate<'_>) -> Told {
        if fact.withheld {
            let notice = Part::Notice(Line::ours(WITHHELD));
            return Told { parts: vec![notice], ..told };
        }
        if let Some((retraction, reason)) = &fate.retracted {
            let by = Line::ours("Retracted on ")
                .and(time(retraction.at))
                .and(" by ")
                .with(self.gathered.people.name(retraction.by));
            let told = told.mark(by.and(". Reason: ").told(reason.as_str()));
            return Told { parts: vec![Part::Notice(Line::ours(RETRACTED))], ..told };
        }
        let told = match fate.amended.last() {
            Some(last) => told.mark(Line::ours(format!("Amended, last on {}: see Changes", time(last.at)))),
            None => told,
        };
        told.says(None, &fate.words.as_ref().or(words).map(Words::plain).unwrap_or_default())
    }

    fn posted(&self, fact: &Fact, body: &Body) -> Result<Told, Fault> {
        let id = ThingId(fact.id.0);
        let fate = self.fate(id)?;
        let words: Option<Words> = fact.read().ok();
        let mut told = Told::new(Sort::Message, "Message");
        told.marks.extend(self.message_marks(fact, body));
        let mut told = self.said(told, fact, words.as_ref(), &fate);
        if fate.retracted.is_none() && !fact.withheld {
            told = told.lists("Files", self.beside.files.get(&fact.seq).cloned().unwrap_or_default());
        }
        let relinked = self.gathered.current_item(id).filter(|item| Some(*item) != fact.item);
        if relinked.is_some()
            && let Some(first) = fact.item
        {
            told = told.mark(
                Line::ours("Linked to another care plan item after it was posted; first: ").with(self.item(first)),
            );
        }
        Ok(told.received(self.receipts(fact)))
    }

    fn message_marks(&self, fact: &Fact, body: &Body) -> Vec<Line> {
        let people = &self.gathered.people;
        let mut marks = Vec::new();
        match body.text("priority") {
            "urgent" => marks.push(Line::ours("Urgent")),
            "stat" => marks.push(Line::ours("Stat: at once")),
            _ => {}
        }
        if let Some(to) = body.id("reply_to") {
            marks.push(Line::ours("In reply to ").with(self.place(fact.channel, Some(to))));
        }
        if let Some(task) = body.id::<ThingId>("task") {
            let title = self.gathered.task_of(task).and_then(|task| task.members["title"].as_str()).unwrap_or_default();
            marks.push(Line::ours("In the thread of the task ").told(title));
        }
        let mentions = body.ids("mentions");
        if !mentions.is_empty() {
            marks.push(Line::ours("To the attention of ").with(people.names(&mentions)));
        }
        let minutes = body.number("respond_minutes").map(|minutes| format!(", within {}", span(minutes * MINUTE)));
        let asks = match body.text("ask") {
            "acknowledge" => Some("Asks every reader to acknowledge"),
            "check_back" => Some("Asks every reader to say back what they understood"),
            _ => None,
        };
        marks.extend(asks.map(|asks| Line::ours(asks).and(minutes.unwrap_or_default())));
        if let Some(since) = body.some("held_since") {
            marks.push(Line::ours(format!("Written on {}, held until the check-in", told_time(since))));
        }
        if let Some(class) = body.some("class").filter(|class| *class != "care_record") {
            marks.push(Line::ours(format!("Record class: {class}")));
        }
        marks
    }

    fn checked_back(&self, fact: &Fact, body: &Body, named: Line) -> Result<Told, Fault> {
        let mut fate = self.fate(ThingId(fact.id.0))?;
        let told = Told { heading: Line::ours("Check-back of ").with(named), ..Told::new(Sort::Message, "") };
        let told = self.said(told, fact, None, &fate);
        let gone = fact.withheld || fate.retracted.take().is_some();
        Ok(if gone { told } else { told.says(None, body.text("text")) })
    }

    /// A line a person: delivered, read, acknowledged, checked back, confirmed; then who is without.
    fn receipts(&self, fact: &Fact) -> Vec<Line> {
        let Some(channel) = self.gathered.access.channels.get(&fact.channel) else { return Vec::new() };
        let there = |user: &UserId| {
            let spans = channel.readers.get(user).into_iter().flatten();
            *user != fact.by
                && spans.into_iter().any(|span| span.from <= fact.seq && span.to.is_none_or(|to| fact.seq <= to))
        };
        let mut told: BTreeMap<UserId, Vec<String>> =
            channel.readers.keys().filter(|user| there(user)).map(|user| (*user, Vec::new())).collect();
        for (user, receipt) in self.beside.receipts.get(&fact.seq).into_iter().flatten() {
            let words = told.entry(*user).or_default();
            words.extend(receipt.delivered_at.map(|at| format!("delivered {}", time(at))));
            words.extend(receipt.read_at.map(|at| format!("read {}", time(at))));
        }
        for change in self.changes(fact) {
            let words = match &*change.event {
                "message.acknowledged" => "acknowledged",
                "message.checked_back" => "checked back",
                "note.confirmed" => "confirmed",
                "note.disputed" => "disputed",
                "message.confirmed" => "confirmed the check-back",
                _ => continue,
            };
            told.entry(change.by).or_default().push(format!("{words} {}", time(change.at)));
        }
        let people = &self.gathered.people;
        let (with, without): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, words)| !words.is_empty());
        let mut lines: Vec<Line> =
            with.into_iter().map(|(user, words)| people.name(user).and(format!(": {}", words.join(", ")))).collect();
        if !without.is_empty() {
            let names: Vec<UserId> = without.into_iter().map(|(user, _)| user).collect();
            lines.push(Line::ours("Without a receipt: ").with(people.names(&names)));
        }
        lines
    }

    fn note(&self, fact: &Fact, body: &Body, what: &str) -> Result<Told, Fault> {
        let named = self.place(fact.channel, body.id("note"));
        let about = |heading: &str, sort: Sort| Told {
            heading: Line::ours(heading).and(": ").with(named.clone()),
            ..Told::new(sort, heading)
        };
        Ok(match what {
            "logged" => self.logged(fact, body),
            "opened" => Told::new(Sort::Mark, format!("{} outside, to be documented", medium(body.text("medium"))))
                .lists("Took part", participants(body)),
            "addended" => {
                let words: Words = fact.read()?;
                about("Addendum to the note", Sort::Discussion).says(None, &words.plain())
            }
            "confirmed" => about("Note confirmed by a participant", Sort::Mark),
            "disputed" => {
                about("Note disputed by a participant", Sort::Discussion).says(Some("Reason"), body.text("reason"))
            }
            "dismissed" => about("Nothing to be documented", Sort::Mark).says(Some("Reason"), body.text("reason")),
            "reminded" => about("Reminder to document the discussion", Sort::Mark),
            _ => details(self, fact, body),
        })
    }

    /// A discussion outside.
    fn logged(&self, fact: &Fact, body: &Body) -> Told {
        let mut told = Told::new(Sort::Discussion, format!("{}, documented here", medium(body.text("medium"))));
        let guessed = if body.is("held_at_guessed") { " (the time of receipt: the mail names none)" } else { "" };
        let ended = body.some("ended_at").map(|ended| format!(", ended {}", told_time(ended))).unwrap_or_default();
        told = told.mark(Line::ours(format!("Held {}{ended}{guessed}", told_time(body.text("held_at")))));
        if body.is("late") {
            told = told
                .mark(Line::ours(format!("Late entry: documented {} after the discussion", self.delay(fact, body))));
        }
        let (disputed, confirmed) = (self.has(fact, "note.disputed"), self.has(fact, "note.confirmed"));
        if disputed {
            told = told.later(Line::ours("Disputed by a participant: see below in this conversation"));
        } else if confirmed {
            told = told.later(Line::ours("Confirmed by a participant"));
        }
        if body.id::<ThingId>("note").is_some() {
            told = told.mark(Line::ours("Documents ").with(self.place(fact.channel, body.id("note"))));
        }
        let words: Option<Words> = fact.read().ok();
        let told = told
            .lists("Took part", participants(body))
            .says(None, &words.as_ref().map(Words::plain).unwrap_or_default())
            .lists("Decisions", body.texts("decisions").map(Line::theirs).collect())
            .lists("E-mail", mail(body))
            .lists("Files", self.beside.files.get(&fact.seq).cloned().unwrap_or_default());
        let tasks = body.ids::<ThingId>("tasks");
        let titles =
            tasks.iter().filter_map(|task| self.gathered.task_of(*task)?.members["title"].as_str()).map(Line::theirs);
        told.lists("Tasks that follow", titles.collect()).received(self.receipts(fact))
    }

    /// Later entries about it; a note that was documented after a marker has the marker's name.
    fn changes(&self, fact: &Fact) -> &'t [Fact] {
        let id = Body::of(fact).ok().and_then(|body| body.id("note")).unwrap_or(ThingId(fact.id.0));
        self.gathered.survey.changes.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    fn has(&self, fact: &Fact, event: &str) -> bool {
        self.changes(fact).iter().any(|change| &*change.event == event)
    }

    /// From the end of the discussion to its documentation.
    fn delay(&self, fact: &Fact, body: &Body) -> String {
        let ended = parse_rfc3339(body.some("ended_at").unwrap_or(body.text("held_at"))).unwrap_or(fact.at);
        span(body.number("late_minutes").map_or(fact.at.saturating_sub(ended), |minutes| minutes * MINUTE))
    }
}

/// How people talked.
pub fn medium(word: &str) -> &'static str {
    match word {
        "phone" => "Telephone call",
        "in_person" => "Conversation in person",
        "video" => "Video call",
        "email" => "E-mail",
        "fax" => "Fax",
        "letter" => "Letter",
        _ => "Discussion",
    }
}

fn participants(body: &Body) -> Vec<Line> {
    let one = |with: &serde_json::Value| {
        let name = Line::theirs(with["name"].as_str().unwrap_or_default());
        with["role"].as_str().map_or(name.clone(), |role| name.and(", ").told(role))
    };
    body.list("with").iter().map(one).collect()
}

/// Where a mail came from, as it was told.
fn mail(body: &Body) -> Vec<Line> {
    let mail = body.get("mail");
    let named = [("Subject", "subject"), ("Message-ID", "message_id"), ("Authentication", "authentication")];
    let lines =
        named.into_iter().filter_map(|(words, name)| Some(Line::ours(format!("{words}: ")).told(mail[name].as_str()?)));
    let cut = body.is("text_cut").then(|| Line::ours("The text is cut; the original file holds all of it"));
    lines.chain(cut).collect()
}
