//! E-mail in: a mail that was forwarded or copied to a channel becomes a note there, or waits for a person; none is dropped.
//! Does not know: HTTP, LMTP, who is told of an entry, how a note is written (notes does that).
//! Invariants: a mail is a note once in a channel; nobody sees of a waiting mail more than they may read of its patient; what is kept of
//! it is sealed.

mod address;
mod arrival;
pub mod letter;
mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod waiting;

use serde_json::Value;

pub use arrival::{Delivered, EMAIL, RAW_BYTES_MAX, deliver, note};

use crate::features::notes;
use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// E-mail in.
pub struct Intake;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write("channel.mail_address", "channel").takes::<shapes::AskAddress>().answers::<shapes::Address>(),
    Op::read("intake.list", "note").takes::<shapes::ListMails>().answers::<shapes::MailList>(),
    Op::write("intake.file", "note").takes::<shapes::FileMail>().records::<notes::NoteReply>(),
    Op::write("intake.discard", "note").takes::<shapes::DiscardMail>().answers::<shapes::Discarded>(),
    Op::write(EMAIL, "note").internal(),
    Op::write(arrival::HOLD, "note").internal(),
];

impl Feature for Intake {
    fn face(&self) -> Face {
        Face { name: "intake", ops: OPS, events: &[], reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "channel.mail_address" => address::tell(cx, data).await,
                "intake.file" => waiting::file(cx, data).await,
                "intake.discard" => waiting::discard(cx, data).await,
                EMAIL => arrival::email(cx, data).await,
                arrival::HOLD => arrival::hold(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "intake.list" => waiting::list(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, _ledger: &'a mut Ledger, _fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Integrity("intake has no entries")) })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}
