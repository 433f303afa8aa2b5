//! Enumerations that are a word on the wire and a small number in the database. Both are kept for ever: a word is never given another
//! meaning, a number never another word.

/// Declares such enumerations: `Name { Variant 1 "word", }`, each with its doc comments.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member:meta])* $variant:ident $number:literal $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        pub enum $name { $($(#[$member])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every one, in this order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number in the database.
            #[must_use]
            pub const fn number(self) -> i16 { match self { $(Self::$variant => $number,)* } }

            /// From the number in the database.
            #[must_use]
            pub fn from_number(number: i16) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.number() == number)
            }

            /// As on the wire.
            #[must_use]
            pub const fn text(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// From the wire.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|one| one.text() == text) }
        }
    )*};
}

pub(crate) use words;
