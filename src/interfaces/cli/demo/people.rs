//! Who is there: two organizations, five professions, one family member.

use serde_json::json;

use super::super::commands::{Command, Order, UserAdd, execute};
use super::super::paper::Nowhere;
use super::super::print::said;
use crate::features::identity;
use crate::kernel::base::{UserId, World};
use crate::server::Node;

/// Somebody's part.
pub struct Role {
    /// What is typed to sign in.
    pub handle: &'static str,
    /// The name.
    pub name: &'static str,
    /// As on the wire.
    pub kind: &'static str,
    /// In words.
    pub profession: Option<&'static str>,
    /// Where they work; none for family.
    pub organization: Option<&'static str>,
    /// On the care team, in words.
    pub on_team: &'static str,
    /// `lead`, `plan`, `barriers`.
    pub responsibilities: &'static [&'static str],
}

/// The parts, the one with most to see first.
pub const CAST: [Role; 6] = [
    staff("maja", "Maja Lindqvist", "nurse", "Riverside Clinic", "Nurse", &["plan"]),
    staff("osei", "Kwame Osei", "nephrologist", "Northside Kidney Center", "Nephrologist", &[]),
    staff("ines", "Inês Carvalho", "social worker", "Riverside Clinic", "Social worker", &["barriers"]),
    staff("tomas", "Tomás Herrera", "care coordinator", "Riverside Clinic", "Care coordinator", &["lead"]),
    staff("yuki", "Yuki Tanaka", "pharmacist", "Northside Kidney Center", "Pharmacist", &[]),
    Role {
        handle: "debra",
        name: "Debra Johnson",
        kind: "related_person",
        profession: None,
        organization: None,
        on_team: "Family",
        responsibilities: &[],
    },
];

const fn staff(
    handle: &'static str,
    name: &'static str,
    profession: &'static str,
    organization: &'static str,
    on_team: &'static str,
    responsibilities: &'static [&'static str],
) -> Role {
    let (profession, organization) = (Some(profession), Some(organization));
    Role { handle, name, kind: "practitioner", profession, organization, on_team, responsibilities }
}

/// Words a password is drawn from: 32 of them, so that three words and five digits are 31 bits. Enough for data that lives as long as
/// a demo.
const WORDS: [&str; 32] = [
    "amber", "anchor", "basil", "birch", "cedar", "cobalt", "copper", "coral", "dune", "ember", "fern", "flint",
    "garnet", "harbor", "hazel", "heron", "indigo", "ivory", "juniper", "lantern", "linden", "maple", "marble",
    "meadow", "olive", "opal", "pebble", "quartz", "river", "saffron", "slate", "willow",
];

/// Somebody with an account.
pub struct Person {
    /// Their part.
    pub role: &'static Role,
    /// Their account.
    pub user: UserId,
    /// For this demo only.
    pub password: String,
    /// A personal access token.
    pub token: String,
}

/// Makes every account with a password and a token.
pub async fn sign_up(node: &Node) -> anyhow::Result<Vec<Person>> {
    let mut people = Vec::new();
    for role in &CAST {
        let password = password(node.engine.world());
        let add = UserAdd {
            handle: role.handle.into(),
            name: role.name.into(),
            kind: role.kind.into(),
            profession: role.profession.map(str::to_owned),
            organization: role.organization.map(str::to_owned),
            roles: Vec::new(),
            password: Some(password.clone()),
            email: None,
            identifiers: Vec::new(),
        };
        let order = Order { by: None, command: Command::UserAdd(add) };
        let told = |refusal| anyhow::anyhow!("{}: {}", role.handle, said(&refusal));
        let added = execute(node, order, &mut Nowhere).await.map_err(told)?;
        let user: UserId = serde_json::from_value(added.object["id"].clone())?;
        let operator = identity::operator(&node.engine, None).await.map_err(told)?;
        let data = json!({ "handle": role.handle, "label": "demo", "days": 1 });
        let issued = node.door.issue_token(operator, serde_json::from_value(data)?).await.map_err(told)?;
        let token = issued["token"].as_str().unwrap_or_default().to_owned();
        people.push(Person { role, user, password, token });
    }
    Ok(people)
}

fn password(world: &World) -> String {
    let [a, b, c, d, e] = world.bytes::<5>();
    let word = |byte: u8| WORDS[usize::from(byte) % WORDS.len()];
    format!("{}-{}-{}-{:05}", word(a), word(b), word(c), u16::from_be_bytes([d, e]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let world = World::system();
        let (one, two) = (password(&world), password(&world));
        assert!(one.len() >= 12 && one != two && !one.contains(' '));
    }
}
