//! When a task is due, from the words it was given in, and when it comes again. Pure.
//! Invariant: a day ends where its zone says; a task comes again after now and after it was due.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::entries::Repeat;
use crate::kernel::base::recurrence::{Recurrence, named_zone};
use crate::kernel::base::world::{MINUTE, parse_rfc3339, rfc3339};
use crate::kernel::base::{Micros, Refusal};
use crate::kernel::engine::fields::{Fields, bounded};

/// Characters of a day.
const DAY_CHARS: usize = 10;
/// How long before a time somebody is reminded of it unless told otherwise. Of a day nobody is reminded but by its end.
const REMIND_MINUTES: i64 = 60;
/// The longest such time: a year.
pub const REMIND_MINUTES_MAX: i64 = 366 * 24 * 60;

const WRONG: &str = "This field is a day, 2026-12-01, or a time, 2026-12-01T09:30:00Z (RFC 3339).";

fn day(due: &str) -> Option<Date> {
    (due.len() == DAY_CHARS).then(|| due.parse().ok()).flatten()
}

fn midnight(day: Date, zone: Option<&str>) -> Option<Micros> {
    let zone = zone.map_or(Some(TimeZone::UTC), |zone| named_zone("due_zone", zone).ok())?;
    Some(day.to_zoned(zone).ok()?.timestamp().as_microsecond())
}

/// When a task that was given so is overdue: a day at its end. None if it is no time, which none that was taken is.
#[must_use]
pub fn ends(due: &str, zone: Option<&str>) -> Option<Micros> {
    match day(due) {
        Some(day) => midnight(day.checked_add(1.day()).ok()?, zone),
        None => parse_rfc3339(due).ok(),
    }
}

/// When the owner is reminded of it; none if that is not asked for.
#[must_use]
pub fn reminds(due: &str, zone: Option<&str>, minutes: Option<i64>) -> Option<Micros> {
    let minutes = minutes.unwrap_or(if day(due).is_some() { 0 } else { REMIND_MINUTES });
    let before = ends(due, zone)?.checked_sub(minutes.checked_mul(MINUTE)?)?;
    (minutes > 0).then_some(before)
}

/// A due time as it was given.
///
/// # Errors
/// `invalid`, field `due`.
pub fn parse(fields: Fields<'_>) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.string("due")? else { return Ok(None) };
    match ends(text, None) {
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(Refusal::invalid("due", WRONG)),
    }
}

/// A zone by its name.
///
/// # Errors
/// `invalid`, field `due_zone`.
pub fn parse_zone(fields: Fields<'_>) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.string("due_zone")? else { return Ok(None) };
    named_zone("due_zone", text)?;
    Ok(Some(text.to_owned()))
}

/// How long before it is due somebody is reminded; 0 is never.
///
/// # Errors
/// `invalid`, field `remind_minutes`.
pub fn parse_minutes(fields: Fields<'_>) -> Result<Option<i64>, Refusal> {
    let minutes = fields.integer("remind_minutes")?;
    if minutes.is_some_and(|minutes| !(0..=REMIND_MINUTES_MAX).contains(&minutes)) {
        return Err(Refusal::invalid("remind_minutes", "This field is a number of minutes, from 0 to a year of them."));
    }
    Ok(minutes)
}

/// A rule, and the zone it is kept in.
///
/// # Errors
/// `invalid`, field `repeat`.
pub fn parse_repeat(fields: Fields<'_>) -> Result<Option<Repeat>, Refusal> {
    const FIELD: &str = "repeat";
    let wrong = || Refusal::invalid(FIELD, "This field is {\"rrule\": \"FREQ=WEEKLY\", \"zone\": \"Europe/Berlin\"}.");
    let Some(value) = fields.get(FIELD) else { return Ok(None) };
    let members = Fields(value.as_object().ok_or_else(wrong)?);
    let text = |name| members.string(name).map_err(|_| wrong());
    let rrule = bounded(FIELD, text("rrule")?.ok_or_else(wrong)?, crate::kernel::base::recurrence::RULE_CHARS_MAX)?;
    let zone = text("zone")?.map_or_else(|| fields.string("due_zone"), |zone| Ok(Some(zone)))?;
    let zone = zone.unwrap_or("UTC").to_owned();
    Recurrence::parse(FIELD, &rrule, &zone, 0)?;
    Ok(Some(Repeat { rrule, zone, start: None }))
}

/// Where a rule counts from: the time a task is due, or the beginning of the day.
fn start(due: &str, zone: &str) -> Option<Micros> {
    day(due).map_or_else(|| parse_rfc3339(due).ok(), |day| midnight(day, Some(zone)))
}

/// A rule with what it counts from, and when the task that has it is due: at the first time after now where nothing else was said.
///
/// # Errors
/// `invalid`, field `repeat`: the rule cannot be counted from there, or nothing comes of it.
pub fn begun(repeat: Repeat, due: Option<String>, now: Micros) -> Result<(Repeat, String), Refusal> {
    let from = due.as_deref().map_or(Some(now), |due| start(due, &repeat.zone));
    let from = from.ok_or_else(|| Refusal::invalid("due", WRONG))?;
    let rule = Recurrence::parse("repeat", &repeat.rrule, &repeat.zone, from)?;
    let first = match due {
        Some(due) => Some(due),
        None => rule.next_after(now).map(rfc3339),
    };
    let first = first.ok_or_else(|| Refusal::invalid("repeat", "Nothing comes of this rule within ten years."))?;
    Ok((Repeat { start: Some(rfc3339(from)), ..repeat }, first))
}

/// When a task that was due then comes again: after now and after it was due. None when its rule is over.
#[must_use]
pub fn again(repeat: &Repeat, due: &str, now: Micros) -> Option<String> {
    let due_at = start(due, &repeat.zone)?;
    let from = repeat.start.as_deref().and_then(|start| parse_rfc3339(start).ok()).unwrap_or(due_at);
    let rule = Recurrence::parse("repeat", &repeat.rrule, &repeat.zone, from).ok()?;
    let next = rule.next_after(now.max(due_at))?;
    if day(due).is_none() {
        return Some(rfc3339(next));
    }
    let zone = named_zone("repeat", &repeat.zone).ok()?;
    Some(Timestamp::from_microsecond(next).ok()?.to_zoned(zone).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_day_ends_where_its_zone_says() {
        assert_eq!(ends("2026-12-01", None), Some(at("2026-12-02T00:00:00Z")));
        assert_eq!(ends("2026-12-01", Some("Europe/Berlin")), Some(at("2026-12-01T23:00:00Z")));
        assert_eq!(ends("2026-12-01T09:30:00+01:00", Some("Asia/Tokyo")), Some(at("2026-12-01T08:30:00Z")));
        for wrong in ["2026-13-01", "2026-12-1", "tomorrow", "2026-12-01T09:30", ""] {
            assert_eq!(ends(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn reminders_come_before_times_and_not_before_days_unless_asked() {
        let time = "2026-12-01T09:30:00Z";
        assert_eq!(reminds(time, None, None), Some(at("2026-12-01T08:30:00Z")));
        assert_eq!(reminds(time, None, Some(5)), Some(at("2026-12-01T09:25:00Z")));
        assert_eq!(reminds(time, None, Some(0)), None);
        assert_eq!(reminds("2026-12-01", None, None), None);
        assert_eq!(reminds("2026-12-01", None, Some(60)), Some(at("2026-12-01T23:00:00Z")));
    }

    fn weekly(rrule: &str, due: Option<&str>, now: &str) -> (Repeat, String) {
        let repeat = Repeat { rrule: rrule.into(), zone: "Europe/Berlin".into(), start: None };
        begun(repeat, due.map(str::to_owned), at(now)).unwrap()
    }

    #[test]
    fn it_comes_again_after_now_and_after_it_was_due() {
        let (repeat, due) = weekly("FREQ=WEEKLY", Some("2026-10-19T07:00:00Z"), "2026-10-17T00:00:00Z");
        // Nine in the morning stays nine in the morning when the clocks go back.
        let next = again(&repeat, &due, at("2026-10-18T10:00:00Z")).unwrap();
        assert_eq!(at(&next), at("2026-10-26T08:00:00Z"));
        assert_eq!(at(&again(&repeat, &due, at("2026-11-10T00:00:00Z")).unwrap()), at("2026-11-16T08:00:00Z"));
        let (repeat, due) = weekly("FREQ=DAILY;INTERVAL=3", Some("2026-10-24"), "2026-10-20T00:00:00Z");
        assert_eq!(again(&repeat, &due, at("2026-10-24T15:00:00Z")).unwrap(), "2026-10-27");
        let (_, due) = weekly("FREQ=DAILY;BYHOUR=9;BYMINUTE=0", None, "2026-10-20T10:00:00Z");
        assert_eq!(at(&due), at("2026-10-21T07:00:00Z"));
    }

    #[test]
    fn a_rule_that_counts_ends() {
        let (repeat, due) = weekly("FREQ=DAILY;COUNT=2", Some("2026-10-19"), "2026-10-17T00:00:00Z");
        let second = again(&repeat, &due, at("2026-10-19T09:00:00Z")).unwrap();
        assert_eq!(second, "2026-10-20");
        assert_eq!(again(&repeat, &second, at("2026-10-20T09:00:00Z")), None);
    }
}
