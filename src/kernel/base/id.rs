//! Identifiers: 16-byte UUIDs as distinct types, so that a channel is never passed for a patient.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The all-zero id: "none" in binary layouts, never that of a real thing.
            pub const ZERO: Self = Self(Uuid::nil());

            /// The 16 bytes as they stand in leaves and additional data.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the 16 bytes of a binary layout.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let description = concat!($($doc),*).trim();
                schemars::json_schema!({"type": "string", "format": "uuid", "description": description})
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            /// Accepts the hyphenated form only (RFC 9562 section 4), in either case.
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                if text.len() != 36 {
                    return Err(Uuid::parse_str("").expect_err("an empty text is no UUID"));
                }
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// A person's or an integration's account.
    UserId,
    /// An organization that users work for.
    OrganizationId,
    /// A signed-in session, or a personal access token in use.
    SessionId,
    /// The person cared for.
    PatientId,
    /// A conversation within one patient.
    ChannelId,
    /// One fact in a channel.
    EntryId,
    /// A care plan item.
    ItemId,
    /// Anything looked up by id: a message, note, plan item, task.
    ThingId,
    /// A file that was uploaded to a channel.
    FileId,
    /// The deployment: drawn once by `init`, bound into every sealed value.
    DeploymentId,
}

impl From<ItemId> for ThingId {
    fn from(id: ItemId) -> Self {
        Self(id.0)
    }
}

impl From<FileId> for ThingId {
    fn from(id: FileId) -> Self {
        Self(id.0)
    }
}

impl From<EntryId> for ThingId {
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}
