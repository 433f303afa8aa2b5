//! The care team in a transcript: who is on it now, as what, since when, and how it came to be so.

use super::block::{Line, Sheet};
use super::body::{Body, time};
use super::chapters::table;
use super::details;
use super::tell::Telling;
use crate::features::chart::source::Part;
use crate::kernel::base::{Fault, UserId};
use crate::kernel::log::Fact;

/// As it stands, then what changed in it of what whoever exports may read.
pub fn team(telling: &Telling<'_>, parts: &[Part], sheet: &mut dyn Sheet) -> Result<(), Fault> {
    let gathered = telling.gathered;
    let members = gathered.access.members.iter().filter(|(_, member)| member.holds(gathered.now));
    let mut members: Vec<UserId> = members.map(|(user, _)| *user).collect();
    members.sort_unstable();
    let rows = members.into_iter().map(|user| {
        let role = gathered.survey.roles.get(&user);
        let lead = gathered.access.members.get(&user).is_some_and(|member| member.lead);
        vec![
            telling.author(user),
            Line::theirs(role.map(|role| role.text.clone()).unwrap_or_default()),
            Line::ours(if lead { "team lead" } else { "" }),
            Line::ours(role.map(|role| time(role.since)).unwrap_or_default()),
        ]
    });
    let columns = ["Who", "Part in the team", "Accountable", "Member since"];
    table(sheet, "The care team at the time of this transcript", &columns, rows.collect())?;
    let plan = gathered.access.plan_channel();
    let readable = parts.iter().find(|part| Some(part.begun.id) == plan).map(|part| &part.begun.readable);
    let is_read =
        |fact: &&Fact| readable.is_some_and(|spans| spans.iter().any(|[from, to]| (*from..=*to).contains(&fact.seq)));
    let rows = gathered.survey.team.iter().filter(is_read).map(|fact| change(telling, fact));
    let rows = rows.collect::<Result<Vec<_>, Fault>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    table(sheet, "How the care team changed", &["When", "Who", "What", "By whom"], rows)
}

fn change(telling: &Telling<'_>, fact: &Fact) -> Result<Vec<Line>, Fault> {
    let (body, people) = (Body::of(fact)?, &telling.gathered.people);
    let (role, held) = (Line::theirs(body.text("role")), Line::joined(details::responsibilities(&body), ", "));
    let what = match &*fact.event {
        "team.joined" => Line::ours("Joined as ").with(role),
        "team.changed" => Line::ours("Changed: ").with(role),
        _ => Line::ours("Left"),
    };
    let what = if held.is_empty() { what } else { what.and(", answers for: ").with(held) };
    let who = body.id::<UserId>("user").map(|user| people.name(user)).unwrap_or_default();
    Ok(vec![Line::ours(time(fact.at)), who, what, people.name(fact.by)])
}
