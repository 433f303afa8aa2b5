//! From the bytes of a mail to its [`Letter`]: fields, text, files, and the messages within.
//! Does not know: how texts are reduced, what forwards in a text look like.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{
    Address, Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};

use super::when::{self, When};
use super::{
    Attachment, Automatic, Correspondent, FINDINGS_CHARS_MAX, Findings, HOPS_MAX, LOOP_FIELD, Letter, NESTED_MAX,
    NoMail, Place, SUBJECT_CHARS_MAX, WITH_MAX, bounds, flowed, forward, html, line, plain,
};

/// Characters of a file's name: what common file systems take.
const FILE_NAME_CHARS_MAX: usize = 200;

/// What is gathered from the outer message inwards.
#[derive(Default)]
struct Gathered {
    texts: Vec<String>,
    attachments: Vec<Attachment>,
    /// Times and people of each message that has them, the outermost first.
    times: Vec<Option<When>>,
    with: Vec<Correspondent>,
}

pub(super) fn read(raw: &[u8], site: Option<&str>) -> Result<Letter, NoMail> {
    let raw = behind_mbox_line(raw);
    let parser = MessageParser::default();
    let message = if bounds::affordable(raw) { parser.parse(raw) } else { parser.parse_headers(bounds::head(raw)) };
    let message = message.filter(|message| !message.parts.is_empty() && is_mail(message)).ok_or(NoMail)?;
    let mut gathered = Gathered::default();
    message_of(&message, 0, &mut gathered);
    let outer = gathered.times.first().copied().flatten();
    let mut times = Vec::new();
    let mut undated = false;
    for (level, when) in gathered.times.iter().enumerate().rev() {
        // What was forwarded is older than the forward; an hour is left for clocks and summer time.
        let fits = |when: &&When| {
            level == 0 || outer.is_none_or(|outer| when.at <= outer.at.saturating_add(60 * super::MINUTE))
        };
        match when.as_ref().filter(fits) {
            Some(when) => times.push(when.at),
            None => undated |= level > 0 && times.is_empty(),
        }
    }
    let mut with: Vec<Correspondent> = Vec::new();
    for one in gathered.with {
        if with.len() < WITH_MAX && !with.contains(&one) {
            with.push(one);
        }
    }
    let text = gathered.texts.join("\n\n");
    Ok(Letter {
        message_id: message.message_id().map(plain).filter(|id| !id.is_empty()),
        subject: subject(&message),
        sender: sender(&message),
        with,
        text: text.trim_end().trim_start_matches(['\n', '\r']).to_owned(),
        attachments: gathered.attachments,
        automatic: automatic(&message),
        findings: site.and_then(|site| findings(&message, site)),
        times,
        undated,
    })
}

/// Mailbox files put a line before each mail.
fn behind_mbox_line(raw: &[u8]) -> &[u8] {
    let is_one = raw.starts_with(b"From ");
    let end = raw.iter().position(|byte| *byte == b'\n').filter(|_| is_one);
    end.and_then(|end| raw.get(end + 1..)).unwrap_or(raw)
}

/// Any text parses as a message; a mail says who, when or about what.
fn is_mail(message: &Message<'_>) -> bool {
    const TELLING: [HeaderName<'static>; 7] = [
        HeaderName::From,
        HeaderName::Sender,
        HeaderName::Date,
        HeaderName::To,
        HeaderName::Subject,
        HeaderName::MessageId,
        HeaderName::Received,
    ];
    message.headers().iter().any(|header| TELLING.contains(&header.name))
}

fn subject(message: &Message<'_>) -> String {
    line(message.subject().unwrap_or_default(), SUBJECT_CHARS_MAX)
}

fn sender(message: &Message<'_>) -> Option<String> {
    let mut fields = message.header_values(HeaderName::From).filter_map(HeaderValue::as_address);
    let only = fields.next().filter(|_| fields.next().is_none())?;
    let mut addresses = only.iter().filter_map(|one| one.address.as_deref());
    addresses.next().filter(|_| addresses.next().is_none()).map(plain).filter(|address| address.contains('@'))
}

fn people(list: Option<&Address<'_>>, place: Place) -> Vec<Correspondent> {
    let each = list.into_iter().flat_map(Address::iter).take(WITH_MAX);
    each.filter_map(|one| Correspondent::new(one.name.as_deref(), one.address.as_deref(), place)).collect()
}

/// One message and what is in it. The innermost forwarded one says who talked.
fn message_of(message: &Message<'_>, depth: usize, gathered: &mut Gathered) {
    if message.parts.is_empty() {
        return;
    }
    let date = message.date().and_then(when::of_header);
    gathered.times.push(date);
    let with: Vec<Correspondent> =
        [(message.from(), Place::From), (message.to(), Place::To), (message.cc(), Place::Cc)]
            .into_iter()
            .flat_map(|(list, place)| people(list, place))
            .collect();
    if !with.is_empty() {
        gathered.with = with;
    }
    let text = text_of(message);
    if depth > 0 {
        gathered.texts.push(headline(message));
    }
    for forward in forward::forwards(&subject(message), &text, date.map(|when| when.offset)) {
        gathered.times.push(forward.when);
        gathered.with = forward.with;
    }
    if !text.is_empty() {
        gathered.texts.push(text);
    }
    let mut inner = None;
    for id in &message.attachments {
        let Some(part) = message.part(*id) else { continue };
        match &part.body {
            // Of several only the first is the forwarded one.
            PartType::Message(nested) if depth + 1 < NESTED_MAX && !nested.parts.is_empty() && inner.is_none() => {
                inner = Some(nested)
            }
            _ => attach(message, part, gathered),
        }
    }
    if let Some(nested) = inner {
        message_of(nested, depth + 1, gathered);
    }
}

/// What stands before the text of a message within.
fn headline(message: &Message<'_>) -> String {
    let mut lines = vec!["---------- Forwarded message ----------".to_owned()];
    let list = |list: Option<&Address<'_>>| {
        let shown: Vec<String> = people(list, Place::From)
            .into_iter()
            .map(|one| match one.address {
                Some(address) if address != one.name => format!("{} <{address}>", one.name),
                _ => one.name,
            })
            .collect();
        shown.join(", ")
    };
    let date = message.header_raw(HeaderName::Date).map(plain).unwrap_or_default();
    let fields = [
        ("From", list(message.from())),
        ("Date", date),
        ("Subject", subject(message)),
        ("To", list(message.to())),
        ("Cc", list(message.cc())),
    ];
    lines.extend(
        fields.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}")),
    );
    lines.join("\n")
}

fn text_of(message: &Message<'_>) -> String {
    let parts = message.text_body.iter().filter_map(|id| message.part(*id));
    let texts = parts.filter_map(|part| match &part.body {
        PartType::Text(text) => Some(tidied(&unflowed(part, text))),
        PartType::Html(page) => Some(tidied(&html::reduce(page))),
        _ => None,
    });
    let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

fn unflowed<'a>(part: &MessagePart<'_>, text: &'a str) -> std::borrow::Cow<'a, str> {
    let says = |name: &str, value: &str| {
        let found = part.content_type().and_then(|kind| kind.attribute(name));
        found.is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    if says("format", "flowed") { flowed::unflow(text, says("delsp", "yes")).into() } else { text.into() }
}

/// One kind of line break, no control characters, nothing blank around it.
fn tidied(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let seen = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let text = if text.chars().all(seen) { text } else { text.chars().filter(|c| seen(*c)).collect() };
    text.trim_end().trim_start_matches('\n').to_owned()
}

fn attach(message: &Message<'_>, part: &MessagePart<'_>, gathered: &mut Gathered) {
    let kind = part.content_type();
    let media_type = kind.map_or_else(
        || "text/plain".to_owned(),
        |kind| {
            let subtype = kind.subtype().unwrap_or("octet-stream");
            plain(&format!("{}/{subtype}", kind.ctype())).to_ascii_lowercase()
        },
    );
    let number = gathered.attachments.len() + 1;
    let named = part.attachment_name().map(file_name).filter(|name| !name.is_empty());
    let fallback = || match &part.body {
        PartType::Message(_) => format!("message-{number}.eml"),
        _ => format!("attachment-{number}"),
    };
    gathered.attachments.push(Attachment {
        name: named.unwrap_or_else(fallback),
        media_type,
        bytes: bytes(message, part),
    });
}

/// A name without folders and without what a file system or a header could mistake.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = line(last, FILE_NAME_CHARS_MAX);
    let hidden =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let name: String = name.chars().filter(|c| !hidden(*c)).collect();
    name.trim_matches('.').trim().to_owned()
}

/// The bytes as they were attached: of a text before its characters were decoded.
fn bytes(message: &Message<'_>, part: &MessagePart<'_>) -> Vec<u8> {
    let raw = || {
        let (from, to) = (part.offset_body as usize, part.offset_end as usize);
        message.raw_message.get(from..to).unwrap_or_default()
    };
    match (&part.body, part.encoding) {
        (PartType::Binary(bytes) | PartType::InlineBinary(bytes), _) => bytes.to_vec(),
        (_, Encoding::Base64) => base64_decode(raw()).unwrap_or_else(|| raw().to_vec()),
        (_, Encoding::QuotedPrintable) => quoted_printable_decode(raw()).unwrap_or_else(|| raw().to_vec()),
        (_, Encoding::None) => raw().to_vec(),
    }
}

/// The words of a field, lower case.
fn field(message: &Message<'_>, name: &'static str) -> Option<String> {
    let found = message.headers_raw().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
    Some(plain(found.1).to_ascii_lowercase())
}

fn automatic(message: &Message<'_>) -> Option<Automatic> {
    let hops = message.headers().iter().filter(|header| header.name == HeaderName::Received).count();
    if hops > HOPS_MAX || field(message, LOOP_FIELD).is_some() {
        return Some(Automatic::Loop);
    }
    let precedence = field(message, "Precedence").unwrap_or_default();
    let submitted = field(message, "Auto-Submitted").is_some_and(|word| !word.starts_with("no"));
    let report = message.content_type().is_some_and(|kind| {
        kind.ctype().eq_ignore_ascii_case("multipart")
            && kind.subtype().is_some_and(|kind| kind.eq_ignore_ascii_case("report"))
    });
    let answered = ["X-Autoreply", "X-Autorespond", "X-Failed-Recipients"];
    let nobody = field(message, "Return-Path").is_some_and(|path| path == "<>");
    if submitted
        || report
        || nobody
        || precedence == "auto_reply"
        || answered.iter().any(|name| field(message, name).is_some())
    {
        return Some(Automatic::Reply);
    }
    let listed = ["List-Id", "List-Post", "List-Unsubscribe"].iter().any(|name| field(message, name).is_some());
    (listed || ["bulk", "list", "junk"].contains(&precedence.as_str())).then_some(Automatic::List)
}

/// What the site's own server wrote: a field that begins with its name. Others may be written by anybody.
fn findings(message: &Message<'_>, site: &str) -> Option<Findings> {
    let own = |text: &str| {
        let first = text.split([';', ' ', '\t', '\r', '\n', '(']).find(|word| !word.is_empty()).unwrap_or_default();
        first.eq_ignore_ascii_case(site)
    };
    let written: Vec<String> = message
        .headers_raw()
        .filter(|(name, text)| name.eq_ignore_ascii_case("Authentication-Results") && own(text))
        .map(|(_, text)| line(text, FINDINGS_CHARS_MAX))
        .collect();
    if written.is_empty() {
        return None;
    }
    let text = line(&written.join(" "), FINDINGS_CHARS_MAX);
    let says = |result: &str| {
        let words = text.to_ascii_lowercase();
        words.split([';', ' ']).any(|word| word.trim() == result)
    };
    let forged =
        says("dmarc=fail") || !says("dmarc=pass") && !says("dkim=pass") && (says("spf=fail") || says("dkim=fail"));
    Some(Findings { text, forged })
}
