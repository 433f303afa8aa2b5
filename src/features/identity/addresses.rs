//! The e-mail addresses people are known by: who writes from one is that account. Registered on the command line only.
//! Does not know: mail. An address is found by its MAC, and sealed.

use serde_json::{Value, json};

use super::accounts::{named, plain};
use super::model::known_handle;
use super::sql;
use crate::kernel::base::{Fault, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::{Purpose, lookup_mac};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::Right;
use crate::kernel::store::Tx;

/// Octets of an address (RFC 5321 section 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;
/// Addresses of one account.
const ADDRESSES_MAX: usize = 20;
/// An address is sealed once and never changes.
const REVISION: i64 = 1;

/// Whether a text has the form of an address that people write from.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
    };
    text.len() <= ADDRESS_BYTES_MAX
        && text.rsplit_once('@').is_some_and(|(local, domain)| plain(local) && plain(domain))
}

fn mac(vault: &Vault, address: &str) -> Result<[u8; 32], Fault> {
    let key = vault.keyring().system_at(1)?;
    Ok(lookup_mac(&key, "account.address", address.trim().to_lowercase().as_bytes()))
}

/// The account of an address; case does not matter.
///
/// # Errors
/// The database's, or sealed.
pub async fn by_address(tx: &mut Tx, vault: &Vault, address: &str) -> Result<Option<UserId>, Fault> {
    let mac = mac(vault, address)?;
    Ok(sql::address_owner(tx, &mac).await?)
}

/// `user.email` {handle, add | remove}
pub(super) async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let account = named(cx, data).await?.id;
    let fields = Fields(data);
    let (add, remove) = (fields.string("add")?, fields.string("remove")?);
    let address = add.or(remove).map(str::trim).unwrap_or_default();
    if add.is_some() == remove.is_some() || !is_address(address) {
        return Err(Refusal::invalid("email", "Give one address to add or to remove.").into());
    }
    let mac = mac(cx.ledger().vault(), address)?;
    let owner = sql::address_owner(cx.ledger().tx(), &mac).await?;
    if add.is_some() {
        let held = sql::addresses_of(cx.ledger().tx(), account).await?.len();
        match owner {
            Some(owner) if owner == account => {}
            // Whose it is, is not said.
            Some(_) => return Err(Refusal::conflict("This address is another account's.").field("email").into()),
            None if held >= ADDRESSES_MAX => {
                return Err(Refusal::conflict("This account has as many addresses as it may.").field("email").into());
            }
            None => {
                let (id, now) = (cx.new_id(), cx.now());
                let sealed = cx.ledger().vault().seal_system(Purpose::Identity, id, REVISION, address.as_bytes())?;
                sql::add_address(cx.ledger().change(), &mac, id, account, &sealed, now).await?;
            }
        }
    } else if owner == Some(account) {
        sql::drop_address(cx.ledger().change(), &mac, account).await?;
    } else {
        return Err(Refusal::not_found().field("email").detail("The account has no such address.").into());
    }
    plain(json!({"id": account}))
}

/// `user.emails` {handle}
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    cx.permit_server(Right::Administer)?;
    let handle = known_handle(Fields(data))?;
    let row = sql::account_of_handle(cx.tx(), &handle).await?;
    let account =
        row.ok_or_else(|| Refusal::not_found().field("handle").detail("There is no user of this handle."))?.id;
    cx.audit.object = Some(ThingId(account.0));
    let mut emails = Vec::new();
    for (id, sealed) in sql::addresses_of(cx.tx(), account).await? {
        let opened = cx.vault().open_system(Purpose::Identity, id, REVISION, &sealed)?;
        emails.push(String::from_utf8(opened.to_vec()).map_err(|_| Fault::Integrity("an address is no text"))?);
    }
    Ok(json!({"id": account, "emails": emails}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::Code;
    use crate::kernel::policy::PersonKind;
    use crate::testing::House;

    #[test]
    fn forms_of_addresses() {
        for good in ["mia@clinic.example", "Mia.O'Neil+ward@Clinic.example", "müller@praxis.example"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "mia", "@x", "mia@", "a b@x", "<mia@x>", "a@b\r\n"] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_address_is_one_account_s_and_goes_when_removed() {
        let house = House::new().await;
        let host = house.command_line().await;
        let mia = house.person("mia", PersonKind::Practitioner).await;
        house.person("jo", PersonKind::Practitioner).await;
        house.run(&host, "user.email", json!({"handle": "mia", "add": "Mia@clinic.example"})).await;
        house.run(&host, "user.email", json!({"handle": "mia", "add": "mia@CLINIC.example"})).await;
        let other = json!({"handle": "jo", "add": "mia@clinic.example"});
        assert_eq!(house.code(&host, "user.email", other).await, Code::Conflict);
        assert_eq!(house.code(&mia, "user.email", json!({"handle": "mia", "add": "x@y"})).await, Code::Forbidden);
        let listed = house.run(&host, "user.emails", json!({"handle": "mia"})).await;
        assert_eq!(listed["emails"], json!(["Mia@clinic.example"]));
        let shared = house.engine.shared();
        let mut tx = shared.db.read().await.unwrap();
        assert_eq!(by_address(&mut tx, &shared.vault, "MIA@clinic.example ").await.unwrap(), Some(mia.user));
        drop(tx);
        house.run(&host, "user.email", json!({"handle": "mia", "remove": "mia@clinic.example"})).await;
        let mut tx = shared.db.read().await.unwrap();
        assert_eq!(by_address(&mut tx, &shared.vault, "mia@clinic.example").await.unwrap(), None);
    }
}
