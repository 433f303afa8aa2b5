//! The chapters around the conversations: what stands before and behind them.

use super::block::{Block, Chapter, Line, Sheet};
use super::body::{count, time, told_time};
use super::gather::{Gathered, is_fresh};
use super::team::team;
use super::tell::{RETRACTED, Telling, WITHHELD};
use super::{Part, Source};
use crate::features::channels::{Amended, Words};
use crate::features::chart::ExportRequest;
use crate::features::chart::vouched::NOBODY;
use crate::kernel::base::{ChannelId, Fault, ItemId, Stop, UserId};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Audience, ChannelKind, Holder};

const CONTENTS: [(&str, &str); 5] = [
    ("tasks", "Tasks"),
    ("participants", "Participants and receipts"),
    ("changes", "Changes and retractions"),
    ("gaps", "Gaps"),
    ("verification", "How to verify this transcript"),
];

/// The id of a conversation's section.
pub fn anchor(channel: ChannelId) -> String {
    format!("c-{channel}")
}

fn section(sheet: &mut dyn Sheet, chapter: Chapter, at: usize) -> Result<(), Fault> {
    let (anchor, title) = CONTENTS[at];
    sheet.put(Block::Section { chapter, anchor: anchor.into(), title: Line::ours(title) })
}

/// A table with all of its rows.
pub fn table(sheet: &mut dyn Sheet, caption: &str, columns: &[&str], rows: Vec<Vec<Line>>) -> Result<(), Fault> {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    sheet.put(Block::Table { caption: caption.into(), columns })?;
    rows.into_iter().try_for_each(|row| sheet.put(Block::Row(row)))?;
    sheet.put(Block::TableEnd)
}

/// Title, contents, patient, period, who exported.
pub fn head(
    telling: &Telling<'_>,
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[&Part],
    sheet: &mut dyn Sheet,
) -> Result<(), Fault> {
    let gathered = telling.gathered;
    let identity = gathered.survey.identity.as_ref();
    let name = identity.map(|identity| identity.name.clone()).unwrap_or_default();
    let mut contents = vec![
        ("about".to_owned(), Line::ours("About this transcript")),
        ("attestation".to_owned(), Line::ours("Attestation")),
        ("items".to_owned(), Line::ours("Care plan items discussed")),
    ];
    contents
        .extend(parts.iter().map(|part| (anchor(part.begun.id), Line::theirs(gathered.channel_name(part.begun.id)))));
    contents.extend(CONTENTS.iter().map(|(anchor, title)| ((*anchor).to_owned(), Line::ours(*title))));
    sheet.put(Block::Title(Line::ours("Care team transcript: ").told(name.as_str()), contents))?;
    let title = Line::ours("About this transcript");
    sheet.put(Block::Section { chapter: Chapter::Head, anchor: "about".into(), title })?;
    let mut facts = vec![("Patient".to_owned(), Line::theirs(name))];
    let mut fact = |name: &str, value: Option<Line>| facts.extend(value.map(|value| (name.to_owned(), value)));
    let identifiers = identity.into_iter().flat_map(|identity| &identity.identifiers);
    let identifiers = identifiers.map(|one| Line::theirs(&one.value).and(" (").told(&one.system).and(")"));
    fact("Identifiers", Some(Line::joined(identifiers, "; ")).filter(|line| !line.is_empty()));
    fact("Born", identity.and_then(|identity| identity.birth_date.as_deref()).map(Line::theirs));
    fact("Gender", identity.and_then(|identity| identity.gender.as_deref()).map(Line::ours));
    fact("Number in this record", Some(Line::ours(source.patient.to_string())));
    fact("Organization", gathered.people.custodian.as_ref().map(|custodian| Line::theirs(&custodian.name)));
    fact(
        "Entries",
        Some(Line::ours(count(gathered.summary.entries, "entry", "entries")).and(" in ").and(count(
            gathered.summary.channels,
            "channel",
            "channels",
        ))),
    );
    let period = gathered.period.map(|[first, last]| Line::ours(format!("{} to {}", time(first), time(last))));
    fact("First and last entry", period);
    fact("Asked for", Some(Line::ours(asked(request))));
    let done = if request.preview { "Preview made" } else { "Exported" };
    fact(done, Some(Line::ours(time(gathered.now)).and(" by ").with(telling.author(source.subject.user))));
    let deployment = source.engine.shared().vault.deployment();
    fact("Deployment", Some(Line::ours(deployment.to_string())));
    sheet.put(Block::Facts(facts))?;
    sheet.put(Block::Paragraph(Line::ours("All times are UTC. Each entry has its number in its channel and shows what it says now; earlier versions stand under \"Changes and retractions\".")))
}

fn asked(request: &ExportRequest) -> String {
    let mut asked = Vec::new();
    asked.extend(request.from.map(|from| format!("from {}", time(from))));
    asked.extend(request.to.map(|to| format!("to {}", time(to))));
    let mut chosen =
        |count: Option<usize>, what: &str| asked.extend(count.map(|count| format!("{count} chosen {what}")));
    chosen(request.channels.as_ref().map(Vec::len), "channels");
    chosen(request.items.as_ref().map(Vec::len), "care plan items");
    chosen(request.classes.as_ref().map(Vec::len), "record classes");
    chosen(request.entries.as_ref().map(Vec::len), "entries");
    if request.since_last {
        asked.push("what this form has not had before".into());
    }
    if asked.is_empty() { "the whole record".into() } else { asked.join(", ") }
}

/// Who stands for it, since when, in which words; that nobody does.
pub fn attestation(telling: &Telling<'_>, request: &ExportRequest, sheet: &mut dyn Sheet) -> Result<(), Fault> {
    let title = Line::ours("Attestation");
    sheet.put(Block::Section { chapter: Chapter::Attestation, anchor: "attestation".into(), title })?;
    for one in request.attestations() {
        let who = Line::ours("Attested by ").with(telling.author(one.by));
        sheet.put(Block::Paragraph(who.and(format!(" on {}: ", told_time(&one.at))).told(&one.statement)))?;
    }
    if request.attestations().is_empty() {
        sheet.put(Block::Paragraph(Line::ours(NOBODY)))?;
    }
    if request.preview {
        sheet.put(Block::Paragraph(Line::ours(PREVIEW)))?;
    }
    Ok(())
}

/// What whoever drafted it says in short of its items.
fn summaries(telling: &Telling<'_>, request: &ExportRequest, sheet: &mut dyn Sheet) -> Result<(), Fault> {
    let summaries = request.vouched.iter().flat_map(|vouched| &vouched.summaries);
    let rows: Vec<Vec<Line>> = summaries
        .map(|one| {
            let by = one.by.map(|by| telling.author(by)).unwrap_or_default();
            vec![telling.item(one.item), Line::theirs(&one.text), by]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    table(sheet, "In short, by whoever drafted this", &["Care plan item", "Summary", "Written by"], rows)
}

fn owner(telling: &Telling<'_>, owner: Option<&Holder>) -> Line {
    match owner {
        Some(Holder::User(user)) => telling.gathered.people.name(*user),
        Some(Holder::Responsibility { responsibility }) => {
            let word = serde_json::to_value(responsibility).unwrap_or_default();
            Line::ours(format!("whoever holds {}", word.as_str().unwrap_or_default()))
        }
        None => Line::default(),
    }
}

/// Care plan items discussed.
pub fn items(telling: &Telling<'_>, request: &ExportRequest, sheet: &mut dyn Sheet) -> Result<(), Fault> {
    let gathered = telling.gathered;
    let title = Line::ours("Care plan items discussed");
    sheet.put(Block::Section { chapter: Chapter::Items, anchor: "items".into(), title })?;
    summaries(telling, request, sheet)?;
    let discussed: Vec<(ItemId, u64)> = gathered
        .survey
        .items
        .iter()
        .filter_map(|item| {
            let id = item.current.id;
            Some((id, *gathered.discussed.get(&id)?))
        })
        .collect();
    if discussed.is_empty() {
        return sheet.put(Block::Paragraph(Line::ours("No care plan item is discussed in these entries.")));
    }
    let mut rows = Vec::with_capacity(discussed.len());
    for (id, entries) in &discussed {
        let Some(item) = gathered.survey.item(*id) else { continue };
        let kind = serde_json::to_value(item.current.kind).unwrap_or_default();
        rows.push(vec![
            Line::theirs(&item.current.content.title),
            Line::ours(kind.as_str().unwrap_or("standing item")),
            Line::ours(item.current.status.as_str()),
            owner(telling, item.current.content.owner.as_ref()),
            Line::ours(item.current.content.due.as_deref().map(told_time).unwrap_or_default()),
            Line::ours(entries.to_string()),
        ]);
    }
    let columns = ["Care plan item", "Kind", "Status", "Owner", "Due", "Messages, notes, tasks, answers here"];
    table(sheet, "As the plan stands at the time of this transcript", &columns, rows)?;
    let others = gathered.survey.items.len().saturating_sub(discussed.len());
    let others =
        count(u64::try_from(others).unwrap_or(u64::MAX), "other item of the plan is", "other items of the plan are");
    sheet.put(Block::Paragraph(Line::ours(format!("{others} not discussed in these entries."))))
}

/// What is said of what is only looked at.
const PREVIEW: &str = "This is a preview. It has not been filed, and it is not part of the chart.";

/// For whom a channel is, and who reads it now.
pub fn readers(gathered: &Gathered, part: &Part) -> Line {
    let Some(channel) = gathered.access.channels.get(&part.begun.id) else { return Line::default() };
    let audience = match (channel.kind, channel.audience) {
        (ChannelKind::Plan, _) => "Events of the plan, the team and the patient, and handoffs.",
        (_, Audience::Staff) => "A conversation of the staff.",
        (_, Audience::Shared) => "A conversation with patient and family.",
        (_, Audience::Named) => "A conversation of a listed part of the team.",
    };
    let mut now: Vec<UserId> = channel
        .readers
        .iter()
        .filter(|(_, spans)| spans.last().is_some_and(|last| last.to.is_none()))
        .map(|(user, _)| *user)
        .collect();
    now.sort_unstable();
    Line::ours(format!("{audience} Read by: ")).with(gathered.people.names(&now)).and(".")
}

/// Tasks as they stand.
pub fn tasks(telling: &Telling<'_>, sheet: &mut dyn Sheet) -> Result<(), Fault> {
    section(sheet, Chapter::Tasks, 0)?;
    let gathered = telling.gathered;
    let shown = gathered.tasks.iter().filter(|(_, task)| gathered.counts_of(task.channel).taken > 0);
    let rows: Vec<Vec<Line>> = shown.map(|(_, task)| telling.task_row(task)).collect();
    if rows.is_empty() {
        return sheet.put(Block::Paragraph(Line::ours("There are no tasks in these channels.")));
    }
    let columns = ["Task", "Care plan item", "State", "Owner", "Due", "Made", "Last changed"];
    table(sheet, "Tasks of these channels as they stand at the time of this transcript", &columns, rows)
}

/// The team, then everyone who wrote or could read, and from when to when.
pub fn participants(telling: &Telling<'_>, parts: &[Part], sheet: &mut dyn Sheet) -> Result<(), Fault> {
    section(sheet, Chapter::Participants, 1)?;
    team(telling, parts, sheet)?;
    let gathered = telling.gathered;
    let channels =
        || parts.iter().filter_map(|part| Some((part.begun.id, gathered.access.channels.get(&part.begun.id)?)));
    let mut people: Vec<UserId> = channels()
        .flat_map(|(_, channel)| channel.readers.keys().copied())
        .chain(gathered.wrote.keys().copied())
        .collect();
    people.sort_unstable();
    people.dedup();
    let rows = people.into_iter().map(|user| {
        let spans = channels().filter_map(|(id, channel)| {
            let spans = channel.readers.get(&user)?.iter().map(|span| {
                span.to.map_or_else(|| format!("from No. {}", span.from), |to| format!("No. {} to {to}", span.from))
            });
            Some(Line::theirs(gathered.channel_name(id)).and(format!(": {}", spans.collect::<Vec<_>>().join(", "))))
        });
        let wrote = gathered.wrote.get(&user).copied().unwrap_or_default();
        vec![telling.author(user), Line::ours(wrote.to_string()), Line::joined(spans, "; ")]
    });
    table(
        sheet,
        "Everyone who wrote or could read",
        &["Who", "Entries written here", "Reads, or read"],
        rows.collect(),
    )?;
    sheet.put(Block::Paragraph(Line::ours("Who was sent a message or note, read it, acknowledged it or checked back stands with it under \"Receipts\". Delivered means that it was written out to a device of the person.")))
}

/// What was corrected: superseded versions, retractions, links to other items.
pub async fn changes(
    source: &Source<'_>,
    telling: &Telling<'_>,
    parts: &[Part],
    sheet: &mut dyn Sheet,
) -> Result<(), Stop> {
    section(sheet, Chapter::Changes, 2)?;
    let gathered = telling.gathered;
    let mut any = false;
    for ((channel, seq), id) in &gathered.corrected {
        let Some(part) = parts.iter().find(|part| part.begun.id == *channel) else { continue };
        let changes = gathered.survey.changes.get(id).map(Vec::as_slice).unwrap_or_default();
        let told = is_fresh(part, *seq) || changes.iter().any(|change| is_fresh(part, change.seq));
        if !told || gathered.counts_of(*channel).taken == 0 {
            continue;
        }
        for fact in source.page(*channel, seq - 1, *seq).await? {
            if !any {
                let columns = ["Entry", "When and who", "What", "It said until the next change"];
                let columns = columns.into_iter().map(str::to_owned).collect();
                sheet.put(Block::Table { caption: "Every version, oldest first".into(), columns })?;
                any = true;
            }
            versions(telling, &fact, changes, sheet)?;
        }
    }
    sheet.put(if any {
        Block::TableEnd
    } else {
        Block::Paragraph(Line::ours("Nothing was changed or taken back."))
    })?;
    Ok(())
}

/// Every version of one message.
fn versions(telling: &Telling<'_>, fact: &Fact, changes: &[Fact], sheet: &mut dyn Sheet) -> Result<(), Fault> {
    let gathered = telling.gathered;
    let named = Line::ours(format!("No. {} of ", fact.seq)).told(gathered.channel_name(fact.channel));
    let fate = telling.fate(crate::kernel::base::ThingId(fact.id.0))?;
    let hidden = if fact.withheld { Some(WITHHELD) } else { fate.retracted.as_ref().map(|_| RETRACTED) };
    let words = |words: Option<Words>| {
        hidden.map_or_else(|| Line::theirs(words.map(|words| words.plain()).unwrap_or_default()), Line::ours)
    };
    let mut put = |fact: &Fact, what: Line, text: Line| {
        let who = Line::ours(format!("{}, ", time(fact.at))).with(gathered.people.name(fact.by));
        sheet.put(Block::Row(vec![named.clone(), who, what, text]))
    };
    let first: Option<Words> = if fact.withheld { None } else { fact.read().ok() };
    put(fact, Line::ours("Written"), words(first))?;
    for change in changes {
        let body = super::body::Body::of(change)?;
        match &*change.event {
            "message.amended" => {
                let amended = if change.withheld { None } else { Some(change.read::<Amended>()?.words) };
                put(change, Line::ours("Amended"), words(amended))?;
            }
            "message.retracted" => {
                let moved = body.get("withholds").is_array();
                let reason = if moved { Line::ours("Wrong patient") } else { Line::theirs(body.text("reason")) };
                put(change, Line::ours("Retracted. Reason: ").with(reason), Line::default())?;
            }
            "message.relinked" => {
                let item = body.id::<ItemId>("item").map(|item| telling.item(item)).unwrap_or_default();
                put(change, Line::ours("Linked to the care plan item ").with(item), Line::default())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is said where there are no gaps.
pub const NOTHING_LEFT_OUT: &str = "Nothing is left out.";

/// What is not here, and why.
pub fn gaps(telling: &Telling<'_>, parts: &[Part], files: &[Line], sheet: &mut dyn Sheet) -> Result<(), Fault> {
    section(sheet, Chapter::Gaps, 3)?;
    let gathered = telling.gathered;
    let mut lines: Vec<Line> = Vec::new();
    let unread = gathered.access.channels.keys().filter(|id| !gathered.readable.contains(id)).count();
    if unread > 0 {
        let unread = count(u64::try_from(unread).unwrap_or(u64::MAX), "channel", "channels");
        lines.push(Line::ours(format!("{unread} of this patient that whoever exported this may not read.")));
    }
    let unasked = gathered.readable.iter().filter(|id| !parts.iter().any(|part| part.begun.id == **id)).count();
    if unasked > 0 {
        let unasked = count(u64::try_from(unasked).unwrap_or(u64::MAX), "channel", "channels");
        lines.push(Line::ours(format!("{unasked} of this patient that were not asked for.")));
    }
    for part in parts {
        let name = || Line::theirs(gathered.channel_name(part.begun.id));
        for [from, to] in missing(&part.begun.readable, part.begun.size) {
            let of = count(u64::try_from(to - from + 1).unwrap_or_default(), "entry", "entries");
            lines.push(name().and(format!(
                ": No. {from} to {to} ({of}): whoever exported this may not read them, not being a member then."
            )));
        }
        let counts = gathered.counts_of(part.begun.id);
        if counts.unasked > 0 {
            lines.push(name().and(format!(": {} not asked for.", count(counts.unasked, "entry", "entries"))));
        }
        if counts.withheld > 0 {
            lines.push(name().and(format!(
                ": the content of {} is withheld, because it went to the wrong patient.",
                count(counts.withheld, "entry", "entries")
            )));
        }
    }
    if lines.is_empty() {
        lines.push(Line::ours(NOTHING_LEFT_OUT));
    }
    lines.extend_from_slice(files);
    lines.into_iter().try_for_each(|line| sheet.put(Block::Paragraph(line)))
}

/// The spans of 1 to `size` that are not among these ascending ones.
pub fn missing(readable: &[[i64; 2]], size: i64) -> Vec<[i64; 2]> {
    let (mut missing, mut next) = (Vec::new(), 1);
    for [from, to] in readable {
        if *from > next {
            missing.push([next, from - 1]);
        }
        next = next.max(to + 1);
    }
    if next <= size {
        missing.push([next, size]);
    }
    missing
}

/// What to hold it against.
pub fn verification(
    telling: &Telling<'_>,
    request: &ExportRequest,
    parts: &[Part],
    sheet: &mut dyn Sheet,
) -> Result<(), Fault> {
    section(sheet, Chapter::Verification, 4)?;
    if request.preview {
        return sheet.put(Block::Paragraph(Line::ours(
            "The heads of its channels are signed once it is filed; then they stand here.",
        )));
    }
    sheet.put(Block::Paragraph(Line::ours("This transcript is for reading. The record is a hash chain in each channel, and the server signed its end before this transcript was written: the signed heads stand below. The SHA-256 of this file is in the entry \"Filed\" that follows in the plan channel. To prove what an entry said, ask for an export of the form \"proof\" and check it by \"carethread verify\" or by the page verify.html in it, without this server: its chains must lead through the heads below.")))?;
    for part in parts.iter().filter(|part| telling.gathered.counts_of(part.begun.id).taken > 0) {
        sheet.put(Block::Paragraph(Line::theirs(telling.gathered.channel_name(part.begun.id))))?;
        sheet.put(Block::Verbatim(part.begun.note.clone()))?;
    }
    Ok(())
}
