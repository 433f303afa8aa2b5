//! Persons, organizations and this server as the chart takes them: Practitioner, RelatedPerson, Device, Organization (FHIR R4), and how
//! they are referred to.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::features::identity::{self, Account, Identifier, Organization};
use crate::kernel::base::{Fault, PatientId, UserId};
use crate::kernel::engine::Read;
use crate::kernel::policy::{Book, PersonKind};

/// Everyone an export may name.
pub(super) struct People {
    accounts: HashMap<UserId, Account>,
    /// The numbers others know them by.
    identifiers: HashMap<UserId, Vec<Identifier>>,
    kinds: HashMap<UserId, PersonKind>,
    /// The organization that owns the deployment.
    pub custodian: Option<Organization>,
    patient: PatientId,
}

impl People {
    /// Looks them up.
    pub async fn load(cx: &mut Read, patient: PatientId, users: &BTreeSet<UserId>) -> Result<Self, Fault> {
        let ids: Vec<UserId> = users.iter().copied().collect();
        let accounts = identity::accounts(cx, &ids).await?;
        let identifiers = identity::identifiers(cx, &ids).await?;
        let custodian = identity::organizations(cx).await?.into_iter().find(|organization| organization.custodian);
        let book: &Book = &cx.shared().book;
        let kinds = ids.iter().filter_map(|id| Some((*id, book.person(*id)?.kind))).collect();
        Ok(Self { accounts, identifiers, kinds, custodian, patient })
    }

    fn name(&self, user: UserId) -> Option<&str> {
        self.accounts.get(&user).map(|account| account.name.reveal().as_str())
    }

    /// What an account stands for.
    pub fn kind(&self, user: UserId) -> PersonKind {
        self.kinds.get(&user).copied().unwrap_or(PersonKind::Practitioner)
    }

    /// Profession in words.
    pub fn profession(&self, user: UserId) -> Option<&str> {
        self.accounts.get(&user).and_then(|account| account.profession.as_deref())
    }

    /// The reference to a person, with the name where there is one.
    pub fn reference(&self, user: UserId) -> Value {
        let reference = match self.kind(user) {
            PersonKind::Practitioner => format!("Practitioner/{user}"),
            PersonKind::RelatedPerson => format!("RelatedPerson/{user}"),
            PersonKind::Service => format!("Device/{user}"),
            PersonKind::Patient => format!("Patient/{}", self.patient),
        };
        let mut reference = json!({ "reference": reference, "display": self.name(user) });
        if let Some(first) = self.numbers(user).next() {
            reference["identifier"] = first;
        }
        reference
    }

    /// What others know a practitioner by: before our own identifier, which nobody else gives out.
    fn numbers(&self, user: UserId) -> impl Iterator<Item = Value> {
        let known = self.identifiers.get(&user).filter(|_| self.kind(user) == PersonKind::Practitioner);
        known.into_iter().flatten().map(|one| json!({ "system": one.system, "value": one.value }))
    }

    /// The resource of a person; none for the patient, who is not ours to make. `role` is what they are to the patient.
    pub fn resource(&self, system: &str, user: UserId, role: Option<&str>) -> Option<Value> {
        let ours = json!({ "system": system, "value": user });
        let identifier = json!([ours]);
        let name = self.name(user);
        let names = name.map(|name| json!([{ "text": name }]));
        Some(match self.kind(user) {
            PersonKind::Patient => return None,
            PersonKind::Practitioner => json!({
                "resourceType": "Practitioner",
                "identifier": self.numbers(user).chain([ours]).collect::<Vec<_>>(),
                "name": names,
                "qualification": self.profession(user).map(|words| json!([{ "code": { "text": words } }])),
            }),
            PersonKind::RelatedPerson => json!({
                "resourceType": "RelatedPerson",
                "identifier": identifier,
                "patient": { "reference": format!("Patient/{}", self.patient) },
                "relationship": role.map(|words| json!([{ "text": words }])),
                "name": names,
            }),
            PersonKind::Service => json!({
                "resourceType": "Device",
                "identifier": identifier,
                "deviceName": name.map(|name| json!([{ "name": name, "type": "user-friendly-name" }])),
            }),
        })
    }

    /// The owner of the deployment.
    pub fn organization(&self, system: &str) -> Option<Value> {
        let custodian = self.custodian.as_ref()?;
        Some(json!({
            "resourceType": "Organization",
            "identifier": [{ "system": system, "value": custodian.id }],
            "name": custodian.name,
        }))
    }

    /// The reference to it.
    pub fn organization_reference(&self) -> Value {
        self.custodian.as_ref().map_or(
            Value::Null,
            |custodian| json!({ "reference": format!("Organization/{}", custodian.id), "display": custodian.name }),
        )
    }
}
