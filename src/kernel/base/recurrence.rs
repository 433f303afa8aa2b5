//! What comes again: a rule of RFC 5545 (RRULE) in a time zone, and when it comes next. Floor 0.
//! Does not know: what is repeated. The calendar arithmetic is the crate's; zones are jiff's, as everywhere else.
//! Invariant: a rule is counted on the wall clock of its zone, so that nine in the morning stays nine in the morning, and only what
//! it answers becomes an instant. Whatever the rule says, one answer costs a bounded amount of work.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use rrule::{Frequency, NWeekday, RRule, RRuleSet, RRuleSetIter, Unvalidated};

use super::{Micros, Refusal};

/// Characters of a rule: every part of RFC 5545 with room to spare, far below what parsing would feel.
pub const RULE_CHARS_MAX: usize = 500;
/// Times of one day: once an hour is the shortest rhythm people can be asked to keep.
pub const TIMES_A_DAY_MAX: usize = 24;
/// Times in all (`COUNT`): three years of every day; a rule that counts is walked from its start.
pub const COUNT_MAX: u32 = 1000;
/// Periods from one time to the next (`INTERVAL`): ten years of days.
pub const INTERVAL_MAX: u16 = 3660;
/// Characters of a zone's name: the longest has 32.
pub const ZONE_CHARS_MAX: usize = 64;
/// Years looked ahead: what does not come within them does not come.
pub const YEARS_AHEAD: i16 = 10;

/// The parts a rule may have. Seconds and what is faster than a day are left out: nobody can be asked at that rhythm.
const PARTS: &[&str] = &[
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "WKST",
    "BYDAY",
    "BYMONTHDAY",
    "BYMONTH",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYSETPOS",
    "BYHOUR",
    "BYMINUTE",
];

/// A rule that was understood, with its start and its zone.
#[derive(Clone, Debug)]
pub struct Recurrence {
    rule: RRule,
    zone: TimeZone,
    start: DateTime,
    until: Option<Micros>,
}

impl Recurrence {
    /// Reads a rule such as `FREQ=WEEKLY;BYDAY=MO` that starts at `start`, in a zone such as `Europe/Berlin`. What the rule leaves
    /// open (hour, weekday, day of the month) is that of the start, in the zone.
    ///
    /// # Errors
    /// `invalid`, field `field`: not such a rule, faster than daily, over a limit, or not a zone.
    pub fn parse(field: &'static str, rrule: &str, zone: &str, start: Micros) -> Result<Self, Refusal> {
        let zone = named_zone(field, zone)?;
        let parts = parts(rrule).ok_or_else(|| Refusal::invalid(field, NOT_A_RULE))?;
        let start = wall(&zone, start)
            .filter(|start| start.year() >= 1970)
            .ok_or_else(|| Refusal::invalid(field, NOT_A_RULE))?;
        let until = parts.iter().find(|(name, _)| name == "UNTIL").map(|(_, value)| ends_at(value, &zone));
        let until = until
            .map(|until| until.ok_or_else(|| Refusal::invalid(field, "UNTIL is a day or a time in UTC")))
            .transpose()?;
        let bare: Vec<String> =
            parts.iter().filter(|(name, _)| name != "UNTIL").map(|(name, value)| format!("{name}={value}")).collect();
        let read = bare.join(";").parse::<RRule<Unvalidated>>().map_err(|_| Refusal::invalid(field, NOT_A_RULE))?;
        within_limits(&read, until.is_some()).map_err(|detail| Refusal::invalid(field, detail))?;
        let rule = anchor(start)
            .and_then(|anchor| read.validate(*anchor.get_dt_start()).ok())
            .ok_or_else(|| Refusal::invalid(field, NOT_A_RULE))?;
        Ok(Self { rule, zone, start, until })
    }

    /// The first time after `at` (never `at` itself); `None` when the rule has ended or brings nothing within ten years.
    ///
    /// A wall time that a change of the clock leaves out is taken as much later; of one that comes twice, the first counts.
    #[must_use]
    pub fn next_after(&self, at: Micros) -> Option<Micros> {
        // A day before, as no change of the clock moves a wall time further than that.
        let from = wall(&self.zone, at)?.checked_sub(1.day()).ok()?.max(self.start);
        let last = from.checked_add(i64::from(YEARS_AHEAD).years()).ok()?;
        let mut first: Option<Micros> = None;
        let (times, ahead) = self.times(from)?;
        for time in times {
            let second = Timestamp::from_second(time.timestamp() - ahead * CALENDAR_SECONDS).ok()?;
            let time = TimeZone::UTC.to_datetime(second);
            if time > last {
                break;
            }
            let possible = self.zone.to_ambiguous_zoned(time);
            // Only a time that was left out can come after one that is later on the wall.
            let left_out = matches!(possible.offset(), AmbiguousOffset::Gap { .. });
            let instant = possible.compatible().ok()?.timestamp().as_microsecond();
            if instant > at {
                first = Some(first.map_or(instant, |first| first.min(instant)));
                if !left_out {
                    break;
                }
            }
        }
        first.filter(|first| self.until.is_none_or(|until| *first <= until))
    }

    /// The wall times of the rule, as if they were UTC, from the period before that of `from` on, and by how many rounds of the
    /// calendar they are ahead. A rule that counts is walked from its start; any other one from a start moved on by whole periods,
    /// so that an old rule costs no more than a new one.
    fn times(&self, from: DateTime) -> Option<(RRuleSetIter, i64)> {
        let start = if self.rule.get_count().is_some() { self.start } else { self.moved(from)? };
        // The crate looks for a match until the year 10000. Near that end a search in vain is over after 419 years, not after 8000.
        let ahead = (LAST_START - start.year()).max(0) / CALENDAR_YEARS;
        let start = start.checked_add((ahead * CALENDAR_YEARS).years()).ok()?;
        let set = RRuleSet::new(*anchor(start)?.get_dt_start()).rrule(self.rule.clone()).limit();
        Some(((&set).into_iter(), i64::from(ahead)))
    }

    /// The start moved on by as many whole periods as leave at least one before `from`.
    fn moved(&self, from: DateTime) -> Option<DateTime> {
        let interval = i64::from(self.rule.get_interval());
        let (start, until) = (self.start.date(), from.date());
        let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
        let days = i64::from(start.until(until).ok()?.get_days());
        let periods = |units: i64| (units / interval - 1).max(0) * interval;
        let moved = match self.rule.get_freq() {
            Frequency::Yearly => match periods(i64::from(until.year()) - i64::from(start.year())) {
                0 => return Some(self.start),
                years => {
                    return Some(start.first_of_year().checked_add(years.years()).ok()?.to_datetime(Time::midnight()));
                }
            },
            Frequency::Monthly => match periods(months(until) - months(start)) {
                0 => return Some(self.start),
                on => return Some(start.first_of_month().checked_add(on.months()).ok()?.to_datetime(Time::midnight())),
            },
            Frequency::Weekly => periods(days / 7) * 7,
            _ => periods(days),
        };
        self.start.checked_add(moved.days()).ok()
    }
}

/// After so many years dates fall on the same weekdays again, leap days included.
const CALENDAR_YEARS: i16 = 400;
/// Their length: 146,097 days.
const CALENDAR_SECONDS: i64 = 146_097 * 86_400;
/// A start up to this year sees the years ahead before the crate's calendar ends.
const LAST_START: i16 = 9980;

const NOT_A_RULE: &str = "an RRULE of RFC 5545, daily or slower, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0";

/// A zone by its IANA name.
///
/// # Errors
/// `invalid`, field `field`: there is no zone of that name.
pub fn named_zone(field: &'static str, zone: &str) -> Result<TimeZone, Refusal> {
    let known = if zone.len() <= ZONE_CHARS_MAX { TimeZone::get(zone).ok() } else { None };
    known.ok_or_else(|| Refusal::invalid(field, "the zone is an IANA name such as Europe/Berlin"))
}

/// The parts of a rule, names in capitals, each once; `None` when it is not a list of known parts.
fn parts(rrule: &str) -> Option<Vec<(String, String)>> {
    if rrule.len() > RULE_CHARS_MAX {
        return None;
    }
    let mut parts: Vec<(String, String)> = Vec::new();
    for part in rrule.split(';') {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.to_ascii_uppercase(), value.to_ascii_uppercase());
        let plain =
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b",+-".contains(&byte));
        if !plain || !PARTS.contains(&name.as_str()) || parts.iter().any(|(other, _)| *other == name) {
            return None;
        }
        parts.push((name, value));
    }
    Some(parts)
}

/// When `UNTIL` ends: a day at its end in the zone, a time in UTC, or one on the wall of the zone.
fn ends_at(value: &str, zone: &TimeZone) -> Option<Micros> {
    let on_the_wall = |time: DateTime| Some(zone.to_zoned(time).ok()?.timestamp().as_microsecond());
    match value.len() {
        8 => on_the_wall(Date::strptime("%Y%m%d", value).ok()?.to_datetime(Time::MAX)),
        15 => on_the_wall(DateTime::strptime("%Y%m%dT%H%M%S", value).ok()?),
        16 => Some(
            DateTime::strptime("%Y%m%dT%H%M%SZ", value)
                .ok()?
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_microsecond(),
        ),
        _ => None,
    }
}

fn within_limits(rule: &RRule<Unvalidated>, until: bool) -> Result<(), &'static str> {
    let counted = rule.get_count();
    if matches!(rule.get_freq(), Frequency::Hourly | Frequency::Minutely | Frequency::Secondly) {
        return Err(NOT_A_RULE);
    }
    if !(1..=INTERVAL_MAX).contains(&rule.get_interval()) {
        return Err("INTERVAL is 1 to 3660");
    }
    if counted.is_some_and(|count| !(1..=COUNT_MAX).contains(&count)) {
        return Err("COUNT is 1 to 1000");
    }
    if counted.is_some() && until {
        return Err("COUNT and UNTIL exclude each other");
    }
    if rule.get_by_hour().len().max(1) * rule.get_by_minute().len().max(1) > TIMES_A_DAY_MAX {
        return Err("at most 24 times a day");
    }
    let numbered = rule.get_by_weekday().iter().any(|day| matches!(day, NWeekday::Nth(..)));
    if numbered && !matches!(rule.get_freq(), Frequency::Monthly | Frequency::Yearly) {
        return Err("a numbered weekday needs FREQ=MONTHLY or YEARLY");
    }
    Ok(())
}

/// What the wall of a zone shows at an instant, to the second.
fn wall(zone: &TimeZone, at: Micros) -> Option<DateTime> {
    let at = Timestamp::from_second(at.div_euclid(1_000_000)).ok()?;
    Some(zone.to_datetime(at))
}

/// The crate's form of a wall time. It takes a start only together with a date, which is not used.
fn anchor(start: DateTime) -> Option<RRuleSet> {
    let stamp = start.strftime("%Y%m%dT%H%M%SZ");
    format!("DTSTART:{stamp}\nRDATE:{stamp}").parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::base::world::{parse_rfc3339, rfc3339};

    fn at(text: &str) -> Micros {
        parse_rfc3339(text).unwrap()
    }

    fn rule(rrule: &str, zone: &str, start: &str) -> Recurrence {
        Recurrence::parse("rrule", rrule, zone, at(start)).unwrap()
    }

    /// The first `n` times after the start, as they are written.
    fn first(rule: &Recurrence, from: &str, n: usize) -> Vec<String> {
        let mut now = at(from);
        let mut times = Vec::new();
        while let Some(next) = rule.next_after(now).filter(|_| times.len() < n) {
            times.push(rfc3339(next).replace(":00.000000Z", ""));
            now = next;
        }
        times
    }

    fn refused(rrule: &str, zone: &str) -> Refusal {
        Recurrence::parse("rrule", rrule, zone, at("2026-01-01T08:00:00Z")).expect_err("refused")
    }

    #[test]
    fn nine_in_the_morning_stays_nine_over_daylight_saving() {
        let weekly = rule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0", "Europe/Berlin", "2026-03-18T12:00:00Z");
        let seen = first(&weekly, "2026-03-18T12:00:00Z", 3);
        assert_eq!(
            seen,
            ["2026-03-23T08:00", "2026-03-30T07:00", "2026-04-06T07:00"],
            "the clocks went forward on the 29th"
        );
    }

    #[test]
    fn a_wall_time_that_is_left_out_comes_as_much_later_and_one_that_comes_twice_comes_once() {
        let daily = rule("FREQ=DAILY", "Europe/Berlin", "2026-03-27T01:30:00Z");
        assert_eq!(
            first(&daily, "2026-03-27T02:00:00Z", 3),
            ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]
        );
        let twice = rule("FREQ=DAILY", "Europe/Berlin", "2026-10-23T00:30:00Z");
        assert_eq!(first(&twice, "2026-10-24T00:30:00Z", 2), ["2026-10-25T00:30", "2026-10-26T01:30"]);
        let gap = rule("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30", "Europe/Berlin", "2026-03-28T20:00:00Z");
        assert_eq!(
            first(&gap, "2026-03-28T20:00:00Z", 3),
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
            "two and three o'clock are one that night"
        );
    }

    #[test]
    fn rules_of_daily_life_are_understood() {
        let start = "2026-11-28T08:15:00Z";
        let of = |text: &str| first(&rule(text, "UTC", start), start, 3);
        assert_eq!(of("FREQ=DAILY;INTERVAL=3"), ["2026-12-01T08:15", "2026-12-04T08:15", "2026-12-07T08:15"]);
        assert_eq!(
            of("FREQ=DAILY;COUNT=3"),
            ["2026-11-29T08:15", "2026-11-30T08:15"],
            "the start was the first of three"
        );
        assert_eq!(of("FREQ=MONTHLY;BYDAY=-1FR"), ["2026-12-25T08:15", "2027-01-29T08:15", "2027-02-26T08:15"]);
        assert_eq!(of("FREQ=MONTHLY;BYMONTHDAY=31"), ["2026-12-31T08:15", "2027-01-31T08:15", "2027-03-31T08:15"]);
        assert_eq!(of("FREQ=DAILY;UNTIL=20261129"), ["2026-11-29T08:15"], "a day is until its end");
        assert_eq!(of("FREQ=DAILY;UNTIL=20261129T081500Z"), ["2026-11-29T08:15"], "the end belongs to it");
        assert_eq!(of("FREQ=DAILY;UNTIL=20261129T081459Z"), Vec::<String>::new());
        assert_eq!(
            of("freq=weekly;byday=mo,th;byhour=7"),
            ["2026-11-30T07:15", "2026-12-03T07:15", "2026-12-07T07:15"]
        );
        let last_workday = of("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1");
        assert_eq!(last_workday, ["2026-11-30T08:15", "2026-12-31T08:15", "2027-01-29T08:15"]);
    }

    #[test]
    fn an_old_rule_answers_as_a_young_one_does() {
        for text in [
            "FREQ=DAILY;INTERVAL=3",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU",
            "FREQ=MONTHLY;INTERVAL=5",
            "FREQ=YEARLY;INTERVAL=2",
        ] {
            let old = rule(text, "America/New_York", "1990-01-31T14:00:00Z");
            let mut now = at("1990-02-01T00:00:00Z");
            while let Some(next) = old.next_after(now).filter(|next| *next < at("2026-11-28T00:00:00Z")) {
                now = next;
            }
            assert_eq!(old.next_after(at("2026-11-28T00:00:00Z")), old.next_after(now), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_field() {
        let too_long = format!("FREQ=DAILY;BYMONTHDAY={}1", "1,".repeat(300));
        for text in [
            "",
            "DAILY",
            "FREQ=HOURLY",
            "FREQ=MINUTELY",
            "FREQ=SECONDLY",
            "FREQ=DAILY;BYSECOND=1",
            "FREQ=DAILY;FREQ=DAILY",
            "FREQ=DAILY;",
            "FREQ=DAILY;INTERVAL=0",
            "FREQ=DAILY;INTERVAL=4000",
            "FREQ=DAILY;COUNT=0",
            "FREQ=DAILY;COUNT=1001",
            "FREQ=DAILY;BYMONTH=13",
            "FREQ=DAILY;COUNT=2;UNTIL=20270101",
            "FREQ=DAILY;UNTIL=tomorrow",
            "FREQ=DAILY;BYHOUR=24",
            "FREQ=WEEKLY;BYMONTHDAY=1",
            "FREQ=WEEKLY;BYDAY=1MO",
            "FREQ=DAILY;X-NAME=1",
            "RRULE:FREQ=DAILY",
            "FREQ=DAILY\nDTSTART:19700101T000000Z",
            "FREQ=YEARLY;BYEASTER=0",
            "FREQ=DAILY;BYHOUR=0,1,2,3,4;BYMINUTE=0,10,20,30,40",
            &too_long,
        ] {
            let refusal = refused(text, "UTC");
            assert_eq!((refusal.code.text(), refusal.field), ("invalid", Some("rrule")), "{text}");
        }
        for zone in ["", "Mars/Olympus", "../../etc/passwd", "CET-1CEST", &"x".repeat(100)] {
            assert_eq!(refused("FREQ=DAILY", zone).field, Some("rrule"), "{zone}");
        }
    }

    #[test]
    fn a_rule_that_brings_nothing_says_so_quickly() {
        for text in [
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=4,6,9,11",
            "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
            "FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1",
            "FREQ=YEARLY;INTERVAL=3660",
            "FREQ=DAILY;INTERVAL=3660;UNTIL=20300101",
            "FREQ=MONTHLY;BYSETPOS=31;BYDAY=MO",
            "FREQ=WEEKLY;BYMONTH=2;BYSETPOS=8;BYDAY=MO",
            "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        ] {
            let started = tokio::time::Instant::now();
            let next = rule(text, "Europe/Berlin", "2026-01-01T08:00:00Z").next_after(at("2026-11-28T08:00:00Z"));
            assert_eq!(next, None, "{text}");
            assert!(started.elapsed().as_secs() < 3, "{text} took {:?}", started.elapsed());
        }
        let far = rule("FREQ=DAILY", "UTC", "2026-01-01T08:00:00Z");
        assert_eq!((far.next_after(Micros::MAX), far.next_after(at("9999-12-30T22:00:00Z"))), (None, None));
    }

    fn any_rule() -> impl Strategy<Value = String> {
        let list = |low: i32, high: i32| {
            prop::collection::vec((low..=high).prop_filter("not zero", move |n| low >= 0 || *n != 0), 1..4)
                .prop_map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        };
        let part = prop_oneof![
            (1..40u16).prop_map(|n| format!("INTERVAL={n}")),
            (1..60u16).prop_map(|n| format!("COUNT={n}")),
            prop::sample::subsequence(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 1..4)
                .prop_map(|days| format!("BYDAY={}", days.join(","))),
            (-5..=5i8, prop::sample::select(vec!["MO", "SU"])).prop_map(|(n, day)| format!("BYDAY={n}{day}")),
            list(-31, 31).prop_map(|list| format!("BYMONTHDAY={list}")),
            list(1, 12).prop_map(|list| format!("BYMONTH={list}")),
            list(-366, 366).prop_map(|list| format!("BYYEARDAY={list}")),
            list(-53, 53).prop_map(|list| format!("BYWEEKNO={list}")),
            list(-31, 31).prop_map(|list| format!("BYSETPOS={list}")),
            list(0, 23).prop_map(|list| format!("BYHOUR={list}")),
            list(0, 59).prop_map(|list| format!("BYMINUTE={list}")),
            Just("WKST=SU".to_owned()),
            Just("UNTIL=20300101".to_owned()),
        ];
        let frequency = prop::sample::select(vec!["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
        (frequency, prop::collection::vec(part, 0..5))
            .prop_map(|(frequency, parts)| format!("FREQ={frequency};{}", parts.join(";")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever is accepted goes strictly forward, agrees with itself from any moment between two times, and never panics.
        #[test]
        fn times_go_strictly_forward(
            text in any_rule(),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]),
            start in 0..at("2100-01-01T00:00:00Z"),
            later in 0..at("2010-01-01T00:00:00Z"),
            part in 0.0..1.0f64,
        ) {
            let text = text.trim_end_matches(';');
            if let Ok(rule) = Recurrence::parse("rrule", text, zone, start) {
                let mut now = start.saturating_add(later);
                for _ in 0..4 {
                    let Some(next) = rule.next_after(now) else { break };
                    prop_assert!(next > now, "{text}: {} after {}", rfc3339(next), rfc3339(now));
                    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any moment between the two will do")]
                    let between = now + ((next - 1 - now) as f64 * part) as Micros;
                    prop_assert_eq!(rule.next_after(between), Some(next), "{} from {}", text, rfc3339(between));
                    now = next;
                }
            }
        }

        /// No text makes the reader panic.
        #[test]
        fn no_text_is_a_danger(text in "(FREQ=(DAILY|YEARLY))?[A-Z0-9=;,:+\\-]{0,60}", zone in "[A-Za-z/_.]{0,20}") {
            let _ = Recurrence::parse("rrule", &text, &zone, 0);
        }
    }
}
