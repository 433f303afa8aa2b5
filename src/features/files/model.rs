//! The rules of files, pure: what they may be called, as what they are served, how much there is room for, who reads which.
//! Does not know: the database, disks, keys, frames.

use serde::{Deserialize, Serialize};

use crate::kernel::base::config::Files as Limits;
use crate::kernel::base::{Code, FileId, Refusal, UserId};
use crate::kernel::crypto::{Hash, base64, from_base64};
use crate::kernel::engine::fields::Fields;
use crate::kernel::policy::{self, Interval};

/// Files of one message or note: what somebody hands over at once.
pub const FILES_MAX: usize = 20;
/// Characters of a file's name: what file systems take.
const NAME_CHARS_MAX: usize = 255;
/// What is served where nothing safer is known.
pub const BYTES: &str = "application/octet-stream";

/// What is kept sealed of a file. Its name may say as much as its content.
#[derive(Serialize, Deserialize)]
pub struct Manifest {
    /// As it was called.
    pub name: String,
    /// As what it is served.
    #[serde(rename = "type")]
    pub media_type: String,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// What the commitment is made with, base64.
    r: String,
    /// The commitment, base64.
    commitment: String,
}

impl Manifest {
    /// Of a file whose content is known.
    #[must_use]
    pub fn new(name: String, media_type: String, sha256: String, r: &[u8; 32], commitment: &Hash) -> Self {
        Self { name, media_type, sha256, r: base64(r), commitment: base64(commitment) }
    }

    /// `r` and the commitment; none if they are not 32 bytes each.
    #[must_use]
    pub fn proof(&self) -> Option<([u8; 32], Hash)> {
        Some((from_base64(&self.r)?.try_into().ok()?, from_base64(&self.commitment)?.try_into().ok()?))
    }
}

/// Where an entry carries a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Place {
    /// The entry.
    pub seq: i64,
    /// Its content is read no more.
    pub withheld: bool,
}

/// The member `files` of a message or note.
///
/// # Errors
/// `invalid`: no list of ids, one named twice, or too many.
pub fn parse(fields: Fields<'_>) -> Result<Vec<FileId>, Refusal> {
    let ids: Vec<FileId> = fields.ids("files")?;
    let distinct: std::collections::HashSet<FileId> = ids.iter().copied().collect();
    if distinct.len() < ids.len() || ids.len() > FILES_MAX {
        return Err(Refusal::invalid("files", "This field lists at most 20 files, each once."));
    }
    Ok(ids)
}

/// Whether somebody reads a file: before an entry carries it its uploader, from then on whoever reads such an entry.
#[must_use]
pub fn reads(user: UserId, uploader: UserId, places: &[Place], spans: &[Interval]) -> bool {
    if places.is_empty() {
        return user == uploader;
    }
    places.iter().any(|place| !place.withheld && !policy::spans(spans, place.seq, place.seq).is_empty())
}

/// How many bytes there is room for.
///
/// # Errors
/// `busy` on a disk that is too full, `too_large` without room.
pub fn room(limits: &Limits, of_channel: i64, of_user: i64, disk_percent: Option<u8>) -> Result<u64, Refusal> {
    disk(limits, disk_percent)?;
    let left = |limit: u64, used: i64| limit.saturating_sub(used.unsigned_abs());
    let room = left(limits.channel_bytes_max, of_channel).min(left(limits.user_bytes_per_day, of_user));
    let room = room.min(limits.bytes_max);
    if room == 0 { Err(too_large(0)) } else { Ok(room) }
}

/// Whether the disk takes more.
///
/// # Errors
/// `busy`.
pub fn disk(limits: &Limits, disk_percent: Option<u8>) -> Result<(), Refusal> {
    if disk_percent.is_some_and(|percent| percent > limits.disk_percent_max) {
        let detail = "The server's disk is too full for files. Tell an administrator.";
        return Err(Refusal::new(Code::Busy).detail(detail).retry_after_ms(60_000));
    }
    Ok(())
}

/// More than there is room for.
#[must_use]
pub fn too_large(room: u64) -> Refusal {
    let detail = match room {
        0 => "There is no room for more files: of this channel, or of yours for today.".to_owned(),
        room => format!("There is room for {room} bytes: in one file, in this channel, or of yours for today."),
    };
    Refusal::new(Code::TooLarge).detail(&detail)
}

/// A name that is safe to show and to save under: without path, control characters and marks that turn the direction of writing.
///
/// # Errors
/// `invalid` if nothing is left, `too_large`.
pub fn name(sent: &str) -> Result<String, Refusal> {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = last.chars().filter(|c| !hidden(*c)).collect();
    let name = name.trim();
    if name.is_empty() || name == "." || name == ".." {
        return Err(Refusal::invalid("name", "A file has a name."));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::new(Code::TooLarge).field("name").detail("At most 255 characters."));
    }
    Ok(name.to_owned())
}

/// As what a file is served, from its first bytes and what its sender says. A browser must never run what is in it.
#[must_use]
pub fn media_type(first: &[u8], declared: Option<&str>) -> String {
    if let Some(found) = infer::get(first) {
        return harmless(found.mime_type());
    }
    if is_markup(first) {
        return BYTES.to_owned();
    }
    let Some(declared) = declared.and_then(essence) else { return BYTES.to_owned() };
    // What has a mark of its own would have been found by it.
    let marked = ["image/", "audio/", "video/", "font/"].iter().any(|class| declared.starts_with(class));
    let known = matches!(declared.as_str(), "application/pdf" | "application/zip" | "application/gzip");
    let text = declared.starts_with("text/") && !is_text(first);
    if marked || known || text { BYTES.to_owned() } else { harmless(&declared) }
}

/// `type/subtype` in small letters, parameters left out; none if it is no such thing.
fn essence(declared: &str) -> Option<String> {
    let essence = declared.split(';').next()?.trim().to_ascii_lowercase();
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c));
    let (class, subtype) = essence.split_once('/')?;
    (essence.len() <= 127 && token(class) && token(subtype)).then_some(essence)
}

fn harmless(media_type: &str) -> String {
    let (_, subtype) = media_type.split_once('/').unwrap_or_default();
    let runs = ["html", "xml", "xhtml", "xsl", "xslt", "svg", "mathml"].contains(&subtype)
        || ["+xml", "+html"].iter().any(|end| subtype.ends_with(end))
        || ["script", "shockwave", "html", "executable", "msdownload"].iter().any(|part| subtype.contains(part));
    if runs { BYTES.to_owned() } else { media_type.to_owned() }
}

fn is_markup(first: &[u8]) -> bool {
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    first.first() == Some(&b'<')
}

/// Whether these may be the first bytes of a text in UTF-8; the last character may be cut.
fn is_text(first: &[u8]) -> bool {
    let whole = match std::str::from_utf8(first) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    whole && !first.contains(&0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    #[test]
    fn what_a_browser_could_run_is_only_bytes() {
        let script = b"alert(1)".as_slice();
        for declared in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
            "application/ecmascript",
            "application/mathml+xml",
            "nonsense",
            "a/b c",
            "",
        ] {
            assert_eq!(media_type(script, Some(declared)), BYTES, "{declared}");
        }
        for content in ["<!doctype html><script>", "\u{feff} <svg xmlns=''>", "<?xml version='1.0'?>", "  <b>"] {
            assert_eq!(media_type(content.as_bytes(), Some("text/plain")), BYTES, "{content}");
        }
    }

    #[test]
    fn content_goes_before_what_is_said_of_it() {
        let (png, pdf) = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), b"%PDF-1.7\n".as_slice());
        assert_eq!(media_type(png, Some("text/plain")), "image/png");
        assert_eq!(media_type(pdf, None), "application/pdf");
        assert_eq!(media_type(b"no picture", Some("image/png")), BYTES);
        assert_eq!(media_type(b"a,b\n", Some("text/csv; charset=utf-8")), "text/csv");
        assert_eq!(media_type(b"\0\x01", Some("text/csv")), BYTES);
        assert_eq!(media_type(b"From: a\r\n", Some("message/rfc822")), "message/rfc822");
        assert_eq!(media_type(b"", None), BYTES);
    }

    #[test]
    fn a_name_leads_nowhere() {
        for (sent, kept) in [
            ("lab.pdf", "lab.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.txt", "y.txt"),
            (" a\u{202e}fdp.exe\r\n", "afdp.exe"),
        ] {
            assert_eq!(name(sent).unwrap(), kept);
        }
        for wrong in ["", " ", "a/", "..", "\u{1}"] {
            assert_eq!(name(wrong).unwrap_err().field, Some("name"), "{wrong:?}");
        }
        assert_eq!(name(&"ä".repeat(256)).unwrap_err().code, Code::TooLarge);
    }

    proptest! {
        #[test]
        fn a_type_is_one_that_can_stand_in_a_header(first: Vec<u8>, declared in prop::option::of(".*")) {
            let given = media_type(&first, declared.as_deref());
            prop_assert!(given.is_ascii() && essence(&given).as_deref() == Some(given.as_str()));
        }

        /// Room is what the tightest of three limits leaves, and never more than one file.
        #[test]
        fn room_is_what_every_limit_leaves(one in 1_u64..50, all in 0_u64..50, day in 0_u64..50, of_channel in 0_i64..60, of_user in 0_i64..60, disk: Option<u8>) {
            let limits = Limits { bytes_max: one, channel_bytes_max: all, user_bytes_per_day: day, disk_percent_max: 80 };
            let left = one.min(all.saturating_sub(of_channel.unsigned_abs())).min(day.saturating_sub(of_user.unsigned_abs()));
            match room(&limits, of_channel, of_user, disk) {
                Ok(room) => prop_assert!(room == left && room > 0 && disk.is_none_or(|percent| percent <= 80)),
                Err(refusal) if refusal.code == Code::Busy => prop_assert!(disk.is_some_and(|percent| percent > 80)),
                Err(refusal) => prop_assert!(refusal.code == Code::TooLarge && left == 0),
            }
        }

        /// Once an entry carries it, having uploaded it counts for nothing, and a withheld entry shows it to nobody.
        #[test]
        fn a_file_is_read_where_its_entry_is(places in prop::collection::vec((1_i64..9, any::<bool>()), 0..4), from in 1_i64..9, own: bool) {
            let places: Vec<Place> = places.into_iter().map(|(seq, withheld)| Place { seq, withheld }).collect();
            let spans = [Interval { from, to: None }];
            let read = reads(user(1), user(if own { 1 } else { 2 }), &places, &spans);
            let shown = places.iter().any(|place| !place.withheld && place.seq >= from);
            prop_assert_eq!(read, if places.is_empty() { own } else { shown });
        }
    }
}
