//! The numbers that others know a practitioner by, as a national register gives them. Registered on the command line only.
//! Does not know: charts. An identifier is found by its MAC, and sealed.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::accounts::{named, person, plain};
use super::model::known_handle;
use super::sql;
use crate::kernel::base::{Fault, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::{Purpose, lookup_mac};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::{PersonKind, Right};

/// Characters of an identifier, its system included.
const IDENTIFIER_CHARS_MAX: usize = 300;
/// Identifiers of one account.
const IDENTIFIERS_MAX: usize = 20;
/// One is sealed once and never changes.
const REVISION: i64 = 1;

/// A number of a person in a system of numbers. No `Debug`: it names somebody.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    /// A URI.
    pub system: String,
    /// The number.
    pub value: String,
}

impl Identifier {
    /// From `SYSTEM|VALUE`; the last `|` parts them.
    ///
    /// # Errors
    /// `invalid`, field `identifier`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::invalid("identifier", "An identifier is written SYSTEM|VALUE; the system is a URI.");
        let (system, value) = text.trim().rsplit_once('|').ok_or_else(wrong)?;
        let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_control() || c.is_whitespace());
        let is = plain(system) && plain(value) && system.contains(':') && !system.contains('|');
        let one = Self { system: system.to_owned(), value: value.to_owned() };
        if is && text.chars().count() <= IDENTIFIER_CHARS_MAX { Ok(one) } else { Err(wrong()) }
    }

    fn text(&self) -> String {
        format!("{}|{}", self.system, self.value)
    }

    fn mac(&self, vault: &Vault) -> Result<[u8; 32], Fault> {
        let key = vault.keyring().system_at(1)?;
        Ok(lookup_mac(&key, "account.identifier", self.text().as_bytes()))
    }
}

/// `user.identifier` {handle, add | remove}
pub(super) async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let account = named(cx, data).await?.id;
    let fields = Fields(data);
    let (add, remove) = (fields.string("add")?, fields.string("remove")?);
    let (Some(text), None) = (add.or(remove), add.and(remove)) else {
        return Err(Refusal::invalid("identifier", "Give one identifier to add or to remove.").into());
    };
    let identifier = Identifier::parse(text)?;
    let mac = identifier.mac(cx.ledger().vault())?;
    let owner = sql::identifier_owner(cx.ledger().tx(), &mac).await?;
    if add.is_some() {
        gain(cx, account, &identifier, &mac, owner).await?;
    } else if owner == Some(account) {
        sql::drop_identifier(cx.ledger().change(), &mac, account).await?;
    } else {
        return Err(Refusal::not_found().field("identifier").detail("The account has no such identifier.").into());
    }
    plain(json!({"id": account}))
}

async fn gain(
    cx: &mut Write<'_>,
    account: UserId,
    identifier: &Identifier,
    mac: &[u8],
    owner: Option<UserId>,
) -> Result<(), Stop> {
    let (kind, ..) = person(cx, account).await?;
    if kind != PersonKind::Practitioner {
        return Err(Refusal::invalid("identifier", "Identifiers of this kind are practitioners'.").into());
    }
    match owner {
        Some(owner) if owner == account => return Ok(()),
        // Whose it is, is not said.
        Some(_) => return Err(Refusal::conflict("This identifier is another account's.").field("identifier").into()),
        None => {}
    }
    if sql::identifiers_of(cx.ledger().tx(), [account.0]).await?.len() >= IDENTIFIERS_MAX {
        return Err(Refusal::conflict("This account has as many identifiers as it may.").field("identifier").into());
    }
    let (id, now) = (cx.new_id(), cx.now());
    let sealed = cx.ledger().vault().seal_system(Purpose::Identity, id, REVISION, identifier.text().as_bytes())?;
    Ok(sql::add_identifier(cx.ledger().change(), mac, id, account, &sealed, now).await?)
}

/// The identifiers of accounts, in the order they were given; who has none is left out.
///
/// # Errors
/// The database's, or one does not open.
pub async fn identifiers(cx: &mut Read, ids: &[UserId]) -> Result<HashMap<UserId, Vec<Identifier>>, Fault> {
    let mut found: HashMap<UserId, Vec<Identifier>> = HashMap::new();
    for (account, id, sealed) in sql::identifiers_of(cx.tx(), ids.iter().map(|id| id.0)).await? {
        let opened = cx.vault().open_system(Purpose::Identity, id, REVISION, &sealed)?;
        let text = std::str::from_utf8(&opened).ok().and_then(|text| Identifier::parse(text).ok());
        found.entry(account).or_default().push(text.ok_or(Fault::Integrity("an identifier is none"))?);
    }
    Ok(found)
}

/// `user.identifiers` {handle}
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    cx.permit_server(Right::Administer)?;
    let handle = known_handle(Fields(data))?;
    let row = sql::account_of_handle(cx.tx(), &handle).await?;
    let account =
        row.ok_or_else(|| Refusal::not_found().field("handle").detail("There is no user of this handle."))?.id;
    cx.audit.object = Some(ThingId(account.0));
    let all = identifiers(cx, &[account]).await?.remove(&account).unwrap_or_default();
    Ok(json!({"id": account, "identifiers": all.iter().map(Identifier::text).collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::Code;
    use crate::testing::House;

    #[test]
    fn forms_of_identifiers() {
        let npi = Identifier::parse("http://hl7.org/fhir/sid/us-npi|1245319599").expect("one");
        assert_eq!((npi.system.as_str(), npi.value.as_str()), ("http://hl7.org/fhir/sid/us-npi", "1245319599"));
        assert!(Identifier::parse("urn:oid:1.2.3|A-7").is_ok());
        for bad in ["", "|", "1245319599", "npi|1", "urn:a|", "urn:a|b c", "urn:a|b|c", "urn:a|b\rc"] {
            assert_eq!(Identifier::parse(bad).err().map(|refusal| refusal.code), Some(Code::Invalid), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_identifier_is_one_practitioner_s() {
        let house = House::new().await;
        let host = house.command_line().await;
        let mia = house.person("mia", PersonKind::Practitioner).await;
        house.person("ole", PersonKind::Practitioner).await;
        house.person("ada", PersonKind::RelatedPerson).await;
        let npi = "http://hl7.org/fhir/sid/us-npi|1245319599";
        let add = |handle: &str| json!({"handle": handle, "add": npi});
        house.run(&host, "user.identifier", add("mia")).await;
        house.run(&host, "user.identifier", add("mia")).await;
        assert_eq!(house.code(&host, "user.identifier", add("ole")).await, Code::Conflict);
        assert_eq!(house.code(&host, "user.identifier", add("ada")).await, Code::Invalid);
        assert_eq!(house.code(&mia, "user.identifier", add("mia")).await, Code::Forbidden);
        let told = house.run(&host, "user.identifiers", json!({"handle": "mia"})).await;
        assert_eq!(told["identifiers"], json!([npi]));
        let gone = json!({"handle": "mia", "remove": npi});
        house.run(&host, "user.identifier", gone.clone()).await;
        assert_eq!(house.code(&host, "user.identifier", gone).await, Code::NotFound);
        house.run(&host, "user.identifier", add("ole")).await;
    }
}
