//! A mail that comes in: documented where it was sent to, or kept for a person.
//! Does not know: HTTP, LMTP.

use serde_json::Value;

use super::address;
use super::letter::{Automatic, Held, Letter, NoMail};
use super::sql::{self, WaitingRow};
use crate::features::notes::{self, FromMail, Mail, Participant};
use crate::features::{care_plan, files, identity};
use crate::kernel::base::{ChannelId, Code, Fault, ItemId, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::{Purpose, base64, from_base64, hash, lookup_mac};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Engine, Feature as _, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::{Permit, Right, Subject};

/// Documents a mail by whoever brings it.
pub const EMAIL: &str = "intake.email";
/// Keeps a mail for a person.
pub(super) const HOLD: &str = "intake.hold";
/// Bytes of a mail: what common mail servers take, and little enough to be held in memory.
pub const RAW_BYTES_MAX: usize = 10 << 20;
/// People of a note; more are in the original.
const WITH_MAX: usize = 50;
/// How the mail itself is called among its files.
const ORIGINAL: &str = "original.eml";
/// What a waiting mail is sealed to: it never changes.
pub(super) const REVISION: i64 = 1;

/// What became of a mail that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// It is a note now.
    Noted,
    /// It waits for a person.
    Waits,
}

fn no_mail() -> Refusal {
    Refusal::new(Code::Invalid).detail("This is no e-mail (RFC 5322).")
}

/// The mail in `raw`, and what it says.
pub(super) fn read(vault_site: Option<&str>, raw: &[u8]) -> Result<Letter, Refusal> {
    Letter::read(raw, vault_site).map_err(|NoMail| no_mail())
}

/// What a mail is known again by: its Message-ID, else its bytes.
pub(super) fn mac(vault: &Vault, letter: &Letter, raw: &[u8]) -> Result<[u8; 32], Fault> {
    let key = vault.keyring().system_at(1)?;
    Ok(match &letter.message_id {
        Some(id) => lookup_mac(&key, "mail.message_id", id.as_bytes()),
        None => lookup_mac(&key, "mail.bytes", &hash(raw)),
    })
}

/// Brings a mail into a channel by `subject`, as `note.log` would: the answer is that of `note.log`.
///
/// # Errors
/// `invalid` for what is no mail; what `note.log` says of channel and item.
pub async fn note(
    engine: &Engine,
    subject: Subject,
    raw: &[u8],
    channel: ChannelId,
    item: Option<ItemId>,
) -> Result<Value, Refusal> {
    let mut data = Data::new();
    data.insert("raw".into(), base64(raw).into());
    data.insert("channel".into(), channel.to_string().into());
    data.extend(item.map(|item| ("item".to_owned(), item.to_string().into())));
    engine.run_internal(subject, EMAIL, data).await
}

/// Takes a mail that the site's mail server hands over for an address. `host` has the authority of the host.
///
/// # Errors
/// `invalid` for what is no mail, `conflict` for one that goes in circles; `busy` and the like: it is to be handed over again later.
pub async fn deliver(engine: &Engine, host: &Subject, recipient: &str, raw: &[u8]) -> Result<Delivered, Refusal> {
    let shared = engine.shared();
    let config = &shared.config.mail;
    let letter = read(config.authserv_id.as_deref(), raw)?;
    if letter.automatic == Some(Automatic::Loop) {
        return Err(Refusal::conflict("This mail goes in circles."));
    }
    let failed = |fault: Fault| Stop::Failed(fault).refusal();
    let named = address::read(recipient, &config.domain);
    let (channel, sender) = {
        let mut tx = shared.db.read().await.map_err(|fault| failed(fault.into()))?;
        let channel = match &named {
            Some(named) => address::channel_of(&mut tx, &shared.vault, &named.code).await.map_err(failed)?,
            None => None,
        };
        let sender = match &letter.sender {
            Some(address) => identity::by_address(&mut tx, &shared.vault, address).await.map_err(failed)?,
            None => None,
        };
        (channel, sender)
    };
    let item = named.and_then(|named| named.item);
    let subject = sender.and_then(|user| engine.subject(user));
    let forged = letter.findings.as_ref().is_some_and(|found| found.forged);
    let reason = match (letter.automatic, channel, subject) {
        (Some(Automatic::List), ..) => "list",
        (Some(_), ..) => "automatic",
        (None, None, _) => "unknown_address",
        (None, _, _) if forged => "unverified",
        (None, _, None) => "unknown_sender",
        (None, Some(channel), Some(subject)) => match note(engine, subject, raw, channel, item).await {
            Ok(_) => return Ok(Delivered::Noted),
            Err(refusal) if later(refusal.code) => return Err(refusal),
            Err(_) => "refused",
        },
    };
    let mut data = Data::new();
    data.insert("raw".into(), base64(raw).into());
    data.insert("reason".into(), reason.into());
    data.extend(channel.map(|channel| ("channel".to_owned(), channel.to_string().into())));
    data.extend(item.map(|item| ("item".to_owned(), item.to_string().into())));
    data.extend(sender.map(|sender| ("sender".to_owned(), sender.to_string().into())));
    engine.run_internal(host.clone(), HOLD, data).await.map(|_| Delivered::Waits)
}

/// Whether the same may be taken another time.
const fn later(code: Code) -> bool {
    matches!(code, Code::Busy | Code::Internal | Code::Sealed | Code::RateLimited)
}

fn raw_of(fields: Fields<'_>) -> Result<Vec<u8>, Refusal> {
    fields.string("raw")?.and_then(from_base64).ok_or_else(no_mail)
}

/// `intake.email`
pub(super) async fn email(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (channel, item): (ChannelId, Option<ItemId>) = (fields.required_id("channel")?, fields.id("item")?);
    let permit = cx.permit_channel(Right::Document, channel).await?;
    let raw = raw_of(fields)?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    log(cx, &permit, item, &raw).await
}

/// Documents a mail in the channel of `permit`; one that is there already answers as it did then.
pub(super) async fn log(cx: &mut Write<'_>, permit: &Permit, item: Option<ItemId>, raw: &[u8]) -> Result<Reply, Stop> {
    let shared = cx.ledger().shared().clone();
    let letter = read(shared.config.mail.authserv_id.as_deref(), raw)?;
    let (channel, mac) = (permit.channel(), mac(&shared.vault, &letter, raw)?);
    if let Some(seq) = sql::seen(cx.ledger().tx(), channel, &mac).await? {
        let fact = cx.entry(channel, seq).await?;
        return Ok(Reply::Plain(again(&fact)));
    }
    let item = match item {
        Some(item) => Some(item),
        None => care_plan::unsorted_item(cx.ledger().tx(), permit.patient()).await?,
    };
    let link = cx.link(permit, item).await?;
    let Held { at, guessed } = letter.held(cx.now());
    let with = participants(cx, &letter, &shared.config.mail.domain).await?;
    let (text, _) = letter.words(usize::MAX);
    // The original comes last: what is beyond the limit of a note is in it.
    let attached = letter.attachments.iter().take(files::FILES_MAX - 1).filter(|file| !file.bytes.is_empty());
    let attached: Vec<(&str, &str, &[u8])> =
        attached.map(|file| (file.name.as_str(), file.media_type.as_str(), file.bytes.as_slice())).collect();
    let bytes: usize = attached.iter().map(|(_, _, bytes)| bytes.len()).sum();
    files::room(cx, permit, bytes.saturating_add(raw.len()) as u64).await?;
    let mut kept_files = Vec::new();
    for (name, media_type, bytes) in attached.into_iter().chain([(ORIGINAL, "message/rfc822", raw)]) {
        kept_files.push(files::put(cx, permit, name, media_type, bytes).await?);
    }
    let kept = Mail {
        message_id: letter.message_id,
        subject: Some(letter.subject).filter(|subject| !subject.is_empty()),
        authentication: letter.findings.map(|found| found.text),
    };
    let fact = notes::log_from_mail(
        cx,
        permit,
        link,
        FromMail { held_at: at, held_at_guessed: guessed, with, text, mail: kept, files: kept_files },
    )
    .await?;
    sql::add_seen(cx.ledger().change(), channel, &mac, fact.seq).await?;
    Ok(Reply::Recorded)
}

/// The answer of the first time.
fn again(fact: &crate::kernel::log::Fact) -> Data {
    let mut answer = Data::new();
    answer.insert("id".into(), fact.id.to_string().into());
    answer.insert("channel".into(), fact.channel.to_string().into());
    answer.insert("seq".into(), fact.seq.into());
    answer.insert("at".into(), crate::kernel::base::world::rfc3339(fact.at).into());
    answer.insert("head".into(), base64(&fact.head).into());
    answer.extend(notes::Notes.reply(fact));
    answer.insert("repeat".into(), true.into());
    answer
}

/// Who took part: by account where the address is known, without the addresses of channels.
async fn participants(cx: &mut Write<'_>, letter: &Letter, domain: &str) -> Result<Vec<Participant>, Stop> {
    let vault = cx.ledger().vault().clone();
    let mut with = Vec::new();
    for one in letter.with.iter().take(WITH_MAX) {
        let address = one.address.as_deref();
        if address.is_some_and(|address| address::read(address, domain).is_some()) {
            continue;
        }
        let user: Option<UserId> = match address {
            Some(address) => identity::by_address(cx.ledger().tx(), &vault, address).await?,
            None => None,
        };
        with.push(Participant { role: Some(one.place.text().to_owned()), user, ..Participant::named(&one.name) });
    }
    if with.is_empty() {
        with.push(Participant::named("unknown"));
    }
    Ok(with)
}

/// `intake.hold`
pub(super) async fn hold(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let fields = Fields(data);
    let raw = raw_of(fields)?;
    let channel: Option<ChannelId> = fields.id("channel")?;
    let shared = cx.ledger().shared().clone();
    let letter = read(None, &raw)?;
    let mac = mac(&shared.vault, &letter, &raw)?;
    let same = sql::same(cx.ledger().tx(), &mac).await?;
    if let Some((id, _)) = same.into_iter().find(|(_, there)| *there == channel) {
        return Ok(answer(ThingId(id)));
    }
    let patient: Option<PatientId> = match channel {
        Some(channel) => cx.ledger().patient_of(channel).await?,
        None => None,
    };
    if sql::count(cx.ledger().tx(), patient).await? >= i64::from(shared.config.mail.waiting_max) {
        return Err(Refusal::new(Code::Busy).detail("Too many mails wait for a person.").into());
    }
    let (id, now) = (cx.new_id(), cx.now());
    let domain = letter.sender.as_deref().and_then(|address| address.rsplit_once('@')).map_or("", |(_, domain)| domain);
    let original = match patient {
        Some(patient) => shared.vault.seal_view(patient, Purpose::View, id, REVISION, &raw).await?,
        None => shared.vault.seal_system(Purpose::View, id, REVISION, &raw)?,
    };
    let row = WaitingRow {
        id,
        patient,
        channel: channel.filter(|_| patient.is_some()),
        item: fields.id("item")?,
        sender: fields.id("sender")?,
        reason: fields.string("reason")?.unwrap_or_default().to_owned(),
        at: now,
        bytes: i64::try_from(raw.len()).unwrap_or(i64::MAX),
        domain: shared.vault.seal_system(Purpose::Identity, id, REVISION, domain.as_bytes())?,
        original: Some(original),
    };
    sql::add_waiting(cx.ledger().change(), &mac, &row).await?;
    cx.about(ThingId(id));
    Ok(answer(ThingId(id)))
}

pub(super) fn answer(mail: ThingId) -> Reply {
    let mut data = Data::new();
    data.insert("mail".into(), mail.to_string().into());
    Reply::Plain(data)
}
