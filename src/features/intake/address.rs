//! The address of a channel: `p-<code>@domain` or `p-<code>+<item>@domain`. The code is drawn at random, 80 bits, so that nobody guesses it.
//! Does not know: mails.

use uuid::Uuid;

use super::sql;
use crate::kernel::base::{ChannelId, Fault, ItemId, Stop, ThingId, World};
use crate::kernel::crypto::lookup_mac;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::Right;
use crate::kernel::store::Tx;

/// Random bytes of a code.
const CODE_BYTES: usize = 10;
/// Base32 of RFC 4648, in small letters: mail servers may change the case.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// A code is sealed once and never changes.
const REVISION: i64 = 1;

/// What an address names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub code: String,
    pub item: Option<ItemId>,
}

/// The letters of some bytes.
fn spelled(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

fn item_of(text: &str) -> Option<ItemId> {
    let mut held = 0_u128;
    let last = text.len().checked_sub(1).filter(|last| *last == 25)?;
    for (at, letter) in text.bytes().enumerate() {
        let value = LETTERS.iter().position(|known| *known == letter.to_ascii_lowercase())? as u128;
        // 26 letters are 130 bits; the last two are padding.
        held = if at == last { (value & 3 == 0).then_some(held << 3 | value >> 2)? } else { held << 5 | value };
    }
    Some(ItemId(Uuid::from_u128(held)))
}

/// Reads an address of ours; none for any other form.
pub(super) fn read(address: &str, domain: &str) -> Option<Named> {
    let (local, at) = address.trim_matches(['<', '>', ' ']).rsplit_once('@')?;
    let rest = local.get(..2).filter(|start| start.eq_ignore_ascii_case("p-")).and_then(|_| local.get(2..))?;
    let (code, item) = rest.split_once('+').map_or((rest, None), |(code, item)| (code, item_of(item)));
    let fits = at.eq_ignore_ascii_case(domain)
        && code.len() == CODE_BYTES * 8 / 5
        && code.bytes().all(|c| c.is_ascii_alphanumeric());
    fits.then(|| Named { code: code.to_ascii_lowercase(), item })
}

fn written(code: &str, item: Option<ItemId>, domain: &str) -> String {
    match item {
        Some(item) => format!("p-{code}+{}@{domain}", spelled(item.0.as_bytes())),
        None => format!("p-{code}@{domain}"),
    }
}

fn mac(vault: &Vault, code: &str) -> Result<[u8; 32], Fault> {
    Ok(lookup_mac(&*vault.keyring().system_at(1)?, "mail.code", code.as_bytes()))
}

/// The channel of a code.
pub(super) async fn channel_of(tx: &mut Tx, vault: &Vault, code: &str) -> Result<Option<ChannelId>, Fault> {
    let mac = mac(vault, code)?;
    Ok(sql::channel_of_code(tx, &mac).await?)
}

fn draw(world: &World) -> String {
    spelled(&world.bytes::<CODE_BYTES>())
}

/// `channel.mail_address`
pub(super) async fn tell(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (channel, item): (ChannelId, Option<ItemId>) = (fields.required_id("channel")?, fields.id("item")?);
    let permit = cx.permit_channel(Right::Document, channel).await?;
    cx.about(ThingId(channel.0));
    if item.is_some() {
        cx.link(&permit, item).await?;
    }
    let shared = cx.ledger().shared().clone();
    let patient = permit.patient();
    let code = match sql::code(cx.ledger().tx(), channel).await? {
        Some(sealed) => {
            let opened = cx.ledger().open_view(patient, channel.0, REVISION, &sealed).await?;
            String::from_utf8(opened.to_vec()).map_err(|_| Fault::Integrity("a code is no text"))?
        }
        None => {
            let code = draw(&shared.world);
            let sealed = cx.ledger().seal_view(patient, channel.0, REVISION, code.as_bytes()).await?;
            let mac = mac(&shared.vault, &code)?;
            sql::add_code(cx.ledger().change(), channel, patient, &mac, &sealed).await?;
            code
        }
    };
    let mut answer = Data::new();
    answer.insert("channel".into(), channel.to_string().into());
    answer.insert("address".into(), written(&code, item, &shared.config.mail.domain).into());
    Ok(Reply::Plain(answer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_in_any_case_and_only_ours() {
        let code = draw(&World::system());
        assert_eq!(code.len(), 16);
        let address = written(&code, None, "mail.clinic.example").to_uppercase();
        assert_eq!(read(&address, "mail.clinic.example"), Some(Named { code: code.clone(), item: None }));
        for other in [
            "p-short@d",
            "q-abcdefghijklmnop@d",
            "p-abcdefghijklmnop@other",
            "p-abcdefghijklmnop",
            "",
            "\u{fc}-abcdefghijklmnop@d",
        ] {
            assert_eq!(read(other, "d"), None, "{other}");
        }
        // An item that cannot be read is none: the mail finds its channel all the same.
        assert_eq!(read("p-abcdefghijklmnop+x@d", "d").map(|named| named.item), Some(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in any::<u128>()) {
            let item = ItemId(Uuid::from_u128(id));
            let address = written("abcdefghijklmnop", Some(item), "d");
            prop_assert_eq!(read(&address, "d").and_then(|named| named.item), Some(item));
        }
    }
}
