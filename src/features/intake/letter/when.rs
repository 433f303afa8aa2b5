//! Times as mail programs write them: the field `Date` (RFC 5322), and the dates of forwarded messages in English, German and French.
//! Does not know: mails. What cannot be read for certain is not read: a date in digits alone may be day first or month first.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::kernel::base::Micros;

/// A time with the offset it was written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct When {
    pub at: Micros,
    pub offset: Offset,
}

/// The field `Date` of a message.
pub(super) fn of_header(date: &mail_parser::DateTime) -> Option<When> {
    let minutes = i32::from(date.tz_hour) * 60 + i32::from(date.tz_minute);
    let minutes = if date.tz_before_gmt { -minutes } else { minutes };
    let part = |number: u8| i8::try_from(number).ok();
    let day = Date::new(i16::try_from(date.year).ok()?, part(date.month)?, part(date.day)?).ok()?;
    // A leap second counts as the one before.
    let time = Time::new(part(date.hour)?, part(date.minute)?, part(date.second)?.min(59), 0).ok()?;
    at(day.to_datetime(time), offset(minutes)?)
}

fn offset(minutes: i32) -> Option<Offset> {
    // The farthest zones are 14 hours away.
    (minutes.abs() <= 14 * 60).then(|| Offset::from_seconds(minutes * 60).ok()).flatten()
}

fn at(local: DateTime, offset: Offset) -> Option<When> {
    let timestamp: Timestamp = offset.to_timestamp(local).ok()?;
    Some(When { at: timestamp.as_microsecond(), offset })
}

/// Months by the letters they begin with, in English, German and French; folded to plain small letters.
const MONTHS: [&[&str]; 12] = [
    &["january", "januar", "jan", "janner", "janvier", "janv"],
    &["february", "februar", "feb", "fevrier", "fevr", "fev"],
    &["march", "marz", "mar", "mrz", "mars"],
    &["april", "apr", "avril", "avr"],
    &["may", "mai"],
    &["june", "juni", "jun", "juin"],
    &["july", "juli", "jul", "juillet", "juil"],
    &["august", "aug", "aout"],
    &["september", "sep", "sept", "septembre"],
    &["october", "oct", "oktober", "okt", "octobre"],
    &["november", "nov", "novembre"],
    &["december", "dec", "dezember", "dez", "decembre"],
];

/// Zones that mean one offset, in minutes (RFC 5322 section 4.3, and what German programs write).
const ZONES: [(&str, i32); 16] = [
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("est", -300),
    ("edt", -240),
    ("cst", -360),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
    ("cet", 60),
    ("cest", 120),
    ("mez", 60),
    ("mesz", 120),
    ("wet", 0),
];

/// Words between the parts of a date that say nothing of it.
const FILLING: [&str; 8] = ["at", "um", "uhr", "a", "le", "den", "on", "the"];

/// The date of a forwarded message. One without a zone is in the zone of whoever forwarded it, if that is known.
pub(super) fn of_words(text: &str, forwarder: Option<Offset>) -> Option<When> {
    let mut found = Found::default();
    for (number, word) in words(text).into_iter().enumerate() {
        // A date has no more words than this.
        if number >= 14 || !found.take(&word) {
            return None;
        }
    }
    let time = found.time?;
    let hour = match (found.afternoon, time.0) {
        (None, hour @ 0..=23) => hour,
        (Some(afternoon), hour @ 1..=12) => hour % 12 + if afternoon { 12 } else { 0 },
        _ => return None,
    };
    let day = Date::new(found.year?, found.month?, found.day?).ok()?;
    let local = day.to_datetime(Time::new(hour, time.1, time.2.min(59), 0).ok()?);
    at(local, found.zone.or(forwarder)?)
}

/// Small plain letters, digits, `:` and signs; anything else parts words.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.chars().take(200).flat_map(char::to_lowercase) {
        let c = match c {
            'é' | 'è' | 'ê' => 'e',
            'û' | 'ù' | 'ü' => 'u',
            'ä' | 'à' | 'â' => 'a',
            c => c,
        };
        let last = words.last_mut().expect("begins with one");
        if c.is_ascii_alphanumeric() || matches!(c, ':' | '+' | '-') {
            last.push(c);
        } else if !last.is_empty() {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[derive(Default)]
struct Found {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<(i8, i8, i8)>,
    afternoon: Option<bool>,
    zone: Option<Offset>,
}

impl Found {
    /// Whether a word belongs to a date that can be read for certain.
    fn take(&mut self, word: &str) -> bool {
        let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        match word {
            "am" | "pm" if self.time.is_some() => self.afternoon.replace(word == "pm").is_none(),
            _ if letters => self.letters(word),
            _ if word.contains(':') => match clock(word) {
                Some((time, afternoon)) => {
                    self.afternoon = afternoon;
                    self.time.replace(time).is_none()
                }
                None => false,
            },
            _ if self.time.is_some() && zone(word).is_some() => {
                self.zone = zone(word);
                true
            }
            _ => self.digits(word),
        }
    }

    fn letters(&mut self, word: &str) -> bool {
        if let Some((_, minutes)) = ZONES.iter().find(|(name, _)| self.time.is_some() && *name == word) {
            self.zone = offset(*minutes);
            return true;
        }
        // "mar" is a Tuesday in French before it is a month: the later one counts, and one that is a month already stays.
        if let Some(month) = MONTHS.iter().position(|names| names.contains(&word)) {
            self.month = i8::try_from(month + 1).ok();
            return true;
        }
        FILLING.contains(&word) || self.time.is_none() && is_weekday(word)
    }

    fn digits(&mut self, word: &str) -> bool {
        if let Some((year, month, day)) = iso_day(word) {
            (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
            return true;
        }
        let word = ["st", "nd", "rd", "th", "er"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        match (word.len(), word.parse::<i16>()) {
            (1..=2, Ok(day @ 1..=31)) => self.day.replace(i8::try_from(day).unwrap_or(1)).is_none(),
            (4, Ok(year @ 1970..=9999)) => self.year.replace(year).is_none(),
            _ => false,
        }
    }
}

fn is_weekday(word: &str) -> bool {
    const DAYS: &str = " mon tue tues wed thu thur thurs fri sat sun monday tuesday wednesday thursday friday saturday sunday \
        mo di mi do fr sa so montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag \
        lun mar mer jeu ven sam dim lundi mardi mercredi jeudi vendredi samedi dimanche ";
    DAYS.split_ascii_whitespace().any(|day| day == word)
}

/// `10:12`, `10:12:03`, `10:12am`.
fn clock(word: &str) -> Option<((i8, i8, i8), Option<bool>)> {
    let (word, afternoon) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(false)),
        (_, Some(rest)) => (rest, Some(true)),
        _ => (word, None),
    };
    let mut parts = word.split(':');
    let mut next = || -> Option<i8> {
        let part = parts.next()?;
        (1..=2).contains(&part.len()).then(|| part.parse().ok()).flatten()
    };
    let (hour, minute) = (next()?, next()?);
    let second = if word.matches(':').count() > 1 { next()? } else { 0 };
    let fits = word.matches(':').count() <= 2
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    fits.then_some(((hour, minute, second), afternoon))
}

/// `+0100`, `+01:00`, `gmt+1`, `utc-05:30`.
fn zone(word: &str) -> Option<Offset> {
    let named = word.strip_prefix("gmt").or_else(|| word.strip_prefix("utc"));
    let signed = named.unwrap_or(word);
    let (sign, digits) = match (signed.strip_prefix('+'), signed.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    let number: i32 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let minutes = match digits.len() {
        4 => number / 100 * 60 + number % 100,
        1..=2 if named.is_some() => number * 60,
        _ => return None,
    };
    offset(sign * minutes)
}

/// `2026-03-02`.
fn iso_day(word: &str) -> Option<(i16, i8, i8)> {
    let (year, rest) = word.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let lengths = (year.len(), month.len(), day.len()) == (4, 2, 2);
    lengths.then(|| Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::world::rfc3339_millis;

    fn read(text: &str) -> Option<String> {
        let berlin = Offset::from_seconds(3600).unwrap();
        of_words(text, Some(berlin)).map(|when| rfc3339_millis(when.at))
    }

    #[test]
    fn dates_of_forwards_are_read_in_three_languages() {
        for text in [
            "Tue, 3 Mar 2026 10:12:03 +0100",
            "March 3, 2026 at 10:12:03 AM GMT+1",
            "3 March 2026 at 10:12:03 CET",
            "Dienstag, 3. März 2026 10:12:03",
            "3. März 2026 um 10:12:03 MEZ",
            "Di., 3. März 2026 um 10:12:03 Uhr",
            "mardi 3 mars 2026 10:12:03",
            "3 mars 2026 à 10:12:03 UTC+1",
            "mar. 3 mars 2026 à 10:12:03",
            "Tuesday, March 3, 2026 10:12:03 AM",
            "2026-03-03 10:12:03",
        ] {
            assert_eq!(read(text).as_deref(), Some("2026-03-03T09:12:03.000Z"), "{text}");
        }
        assert_eq!(read("May 8, 2005 1:17 PM").as_deref(), Some("2005-05-08T12:17:00.000Z"));
        assert_eq!(read("Fr., 1. Mai 2026 um 12:00 Uhr").as_deref(), Some("2026-05-01T11:00:00.000Z"));
        assert_eq!(read("Thu, Jan 1, 2026 at 12:30 am").as_deref(), Some("2025-12-31T23:30:00.000Z"));
    }

    #[test]
    fn what_is_not_certain_is_not_read() {
        for text in [
            "03/04/2026 10:12",
            "3.4.2026 10:12",
            "March 3, 2026",
            "yesterday 10:12",
            "3 mars 2026 à 10:12:03 HNEC",
            "30 February 2026 10:12",
            "3 March 2026 25:12",
            "3 March 2026 13:12 PM",
            "3 4 March 2026 10:12",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(of_words("May 8, 2005 1:17 PM", None), None);
        assert!(of_words("8 May 2005 13:17 EST", None).is_some());
    }
}
