//! `keys`: which are there, and the public ones.

use std::collections::BTreeMap;

use serde_json::json;

use super::Answer;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Stop};
use crate::kernel::crypto::KeyOwner;
use crate::server::Node;
use crate::server::serve::jwks;

/// `keys status`
pub(super) async fn status(node: &Node) -> Result<Answer, Stop> {
    let vault = &node.engine.shared().vault;
    let rows = vault.keys().list().await?;
    let newest = rows.iter().map(|row| row.kek_version).max().unwrap_or(0);
    let mut owners: BTreeMap<&str, (usize, i64, i64)> = BTreeMap::new();
    for row in &rows {
        let owner = match KeyOwner::from_bytes(*row.owner.as_bytes()) {
            KeyOwner::System => "system",
            KeyOwner::Signer => "signer",
            KeyOwner::Backup => "backup",
            KeyOwner::Patient(_) => "patients",
        };
        let (count, version, created) = owners.entry(owner).or_insert((0, 0, row.created_at));
        *count += 1;
        *version = row.version.max(*version);
        *created = row.created_at.max(*created);
    }
    let behind = rows.iter().filter(|row| row.kek_version < newest).count();
    let signer = vault.keyring().signer()?.verifier().to_string();
    let mut lines = vec![format!("key-encryption key  version {newest}, {behind} keys wrapped under an older one")];
    lines.push(format!("signer              {signer}"));
    let mut keys = Vec::new();
    for (owner, (count, version, created)) in owners {
        lines.push(format!("{owner:<18}  {count} keys, newest version {version}, last made {}", rfc3339(created)));
        keys.push(json!({ "owner": owner, "count": count, "version": version, "last_made_at": rfc3339(created) }));
    }
    let object = json!({ "kek_version": newest, "behind": behind, "signer": signer, "keys": keys });
    Ok(Answer { object, lines, failed: None })
}

/// `keys public`: a JWK set, with and without `--json`.
pub(super) async fn public(node: &Node) -> Result<Answer, Stop> {
    let set = jwks(node).await.map_err(|_| Fault::Integrity("the public keys cannot be read"))?;
    let lines = serde_json::to_string_pretty(&set).map_err(|_| Fault::Defect("a JWK set is JSON"))?;
    Ok(Answer { object: set, lines: vec![lines], failed: None })
}
