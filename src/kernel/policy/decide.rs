//! The one decision: subject, right, object, time in; a [`Permit`] or a refusal out. Pure.

use std::net::IpAddr;

use super::access::{Access, Audience, ChannelKind, Member};
use super::responsibility::Holder;
use super::{PersonKind, Roles};
use crate::kernel::base::{ChannelId, Code, Micros, PatientId, Refusal, SessionId, UserId};

/// Who asks.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The account.
    pub user: UserId,
    /// What it stands for.
    pub kind: PersonKind,
    /// Its server roles.
    pub roles: Roles,
    /// The session or token it came by; none for the command line and jobs.
    pub session: Option<SessionId>,
    /// The peer's address, for audit.
    pub address: Option<IpAddr>,
    /// The person's `authz_epoch` when they signed in to this connection.
    pub epoch: i64,
    /// Until when a factor entered lately counts as step-up.
    pub stepped_up_until: Micros,
    /// Acts with the authority of the host's command line.
    pub command_line: bool,
}

impl Subject {
    /// The same person, for what they attested with step-up before and the server files for them later: that counts as stepped up.
    /// Account, membership and everything else is decided anew, as for everybody.
    #[must_use]
    pub const fn attested(mut self) -> Self {
        self.stepped_up_until = Micros::MAX;
        self
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// See that the patient exists: identity, team, plan.
    SeePatient,
    /// Read a channel: push, history, search, counts, files.
    Read,
    /// Post or reply in a channel.
    Post,
    /// Write what only staff write: notes, tasks, handoffs.
    Document,
    /// Amend a message of `author`.
    Amend(UserId),
    /// Retract a message of `author`.
    Retract(UserId),
    /// Link a message of `author` to another item.
    Relink(UserId),
    /// Acknowledge or check back a message of `author`.
    Answer(UserId),
    /// Confirm what was checked back on a message of `author`.
    Confirm(UserId),
    /// Accept or decline what rests with this holder.
    Take(Holder),
    /// Confirm or dispute a note of a talk that one took part in.
    Witness {
        /// Who wrote the note.
        author: UserId,
        /// The note names the caller.
        took_part: bool,
    },
    /// Offer one's work to somebody else, or see what is offered.
    HandOff,
    /// Accept or decline what is offered to this person.
    AnswerHandoff(UserId),
    /// Take back what this person offered.
    WithdrawHandoff(UserId),
    /// Name who stands in for this person.
    Cover(UserId),
    /// Make the record read-only, or write to it again.
    CloseRecord,
    /// Add, change or close a plan item.
    ChangePlan {
        /// The item is a barrier.
        barrier: bool,
    },
    /// Add, change or remove members.
    ManageTeam,
    /// Remove this member.
    EndMembership(UserId),
    /// Open, change or archive channels.
    ManageChannels,
    /// Register or import a patient.
    RegisterPatient,
    /// Find people who have accounts.
    LookUpPeople,
    /// Begin messages as the site has it for staff.
    UseTemplates,
    /// Know of mails that reached no channel. Nothing of their content.
    SeeStrayMail,
    /// Import into this patient's plan.
    ImportPlan,
    /// Take the record out.
    Export,
    /// Read what is going to be taken out, as it will be. Whoever reads it as a member of the team could read it anyway; a role reads
    /// nothing without the password entered lately.
    PreviewExport,
    /// See where the record went: the accounting of disclosures.
    AccountForDisclosures,
    /// Put together what is to be taken out, and see what became of it. Nothing leaves by that.
    DraftExport,
    /// Accounts, configuration, keys.
    Administer,
    /// What came before the wrong eyes: reports without content.
    ReviewPrivacy,
    /// One's own account, sessions and positions.
    OwnAccount,
}

/// What it is asked on.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// The server itself.
    Server,
    /// A patient; `None` is one that does not exist.
    Patient(Option<&'a Access>),
    /// A channel of a patient; `None` is one that does not exist.
    Channel(Option<(&'a Access, ChannelId)>),
}

/// Why it was allowed, for the audit row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// Member of staff in the care team.
    Team,
    /// Patient or family on what is shared.
    Family,
    /// Server role.
    Role,
    /// Command line of the host.
    CommandLine,
    /// One's own account.
    Own,
}

impl Basis {
    /// As in the audit row.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Family => "family",
            Self::Role => "role",
            Self::CommandLine => "command_line",
            Self::Own => "own",
        }
    }
}

/// Proof that [`decide`] said yes. Cannot be built outside this module.
#[derive(Clone, Debug)]
pub struct Permit {
    actor: UserId,
    basis: Basis,
    patient: Option<PatientId>,
    channel: Option<ChannelId>,
    audience: Option<Audience>,
    member: Member,
}

impl Permit {
    /// Who may.
    #[must_use]
    pub const fn actor(&self) -> UserId {
        self.actor
    }

    /// Why.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// At which patient.
    ///
    /// # Panics
    /// When the permit is for the server itself, which no caller that asked about a patient holds.
    #[must_use]
    pub fn patient(&self) -> PatientId {
        self.patient.expect("asked about a patient or a channel")
    }

    /// In which channel.
    ///
    /// # Panics
    /// When the permit is not for a channel.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel.expect("asked about a channel")
    }

    /// Who else reads that channel.
    ///
    /// # Panics
    /// When the permit is not for a channel.
    #[must_use]
    pub fn audience(&self) -> Audience {
        self.audience.expect("asked about a channel")
    }

    /// Sees shared channels and shared items only.
    #[must_use]
    pub const fn family(&self) -> bool {
        self.member.family
    }

    /// The membership it rests on; empty for the command line and roles.
    #[must_use]
    pub const fn member(&self) -> &Member {
        &self.member
    }
}

/// Decides. What the subject may not see answers `not_found` whatever was asked, byte for byte as if it did not exist.
///
/// # Errors
/// `not_found` without standing, `forbidden` with standing but not for this, `archived` for writes to an archived channel.
pub fn decide(subject: &Subject, right: Right, object: Object<'_>, now: Micros) -> Result<Permit, Refusal> {
    match object {
        Object::Server => on_server(subject, right),
        Object::Patient(access) => on_patient(subject, right, access.ok_or_else(Refusal::not_found)?, now),
        Object::Channel(found) => {
            let (access, channel) = found.ok_or_else(Refusal::not_found)?;
            on_channel(subject, right, access, channel, now)
        }
    }
}

fn on_server(subject: &Subject, right: Right) -> Result<Permit, Refusal> {
    let administrator = subject.roles.has(Roles::ADMINISTRATOR);
    let basis = match right {
        Right::OwnAccount => Some(Basis::Own),
        _ if subject.command_line => Some(Basis::CommandLine),
        Right::LookUpPeople | Right::UseTemplates if !subject.kind.is_family() => Some(Basis::Role),
        Right::SeeStrayMail if officer(subject) => Some(Basis::Role),
        // An administrator has no content: registering would make them the lead of what they may not read.
        Right::RegisterPatient if !subject.kind.is_family() && !administrator => Some(Basis::Role),
        Right::Administer if administrator => Some(Basis::Role),
        Right::ReviewPrivacy if subject.roles.has(Roles::PRIVACY_OFFICER) => Some(Basis::Role),
        _ => None,
    };
    let basis = basis.ok_or_else(|| {
        Refusal::forbidden("Your account may not do this. Ask an administrator or a member of staff.")
    })?;
    Ok(Permit { actor: subject.user, basis, patient: None, channel: None, audience: None, member: Member::default() })
}

fn officer(subject: &Subject) -> bool {
    subject.roles.has(Roles::PRIVACY_OFFICER) || subject.roles.has(Roles::RECORD_OFFICER)
}

/// The membership a subject has at a patient now. Whatever its row says, an account of the patient or of family never stands as
/// staff, and family holds no responsibility.
fn standing(subject: &Subject, access: &Access, now: Micros) -> Option<Member> {
    let member = *access.member(subject.user, now)?;
    if member.family || subject.kind.is_family() {
        return Some(Member { family: true, until: member.until, ..Member::default() });
    }
    Some(access.with_covers(subject.user, member, now))
}

/// Whether a right is left where a record is read-only: looking, taking it out, ending access, opening it again.
const fn outlasts_closing(right: Right) -> bool {
    matches!(
        right,
        Right::SeePatient
            | Right::Read
            | Right::Export
            | Right::PreviewExport
            | Right::DraftExport
            | Right::AccountForDisclosures
            | Right::EndMembership(_)
            | Right::CloseRecord
    )
}

fn closed() -> Refusal {
    Refusal::new(Code::Archived).detail("This patient's record is closed and read-only. The lead can reopen it.")
}

fn on_patient(subject: &Subject, right: Right, access: &Access, now: Micros) -> Result<Permit, Refusal> {
    let permit = |basis, member| Permit {
        actor: subject.user,
        basis,
        patient: Some(access.patient),
        channel: None,
        audience: None,
        member,
    };
    if subject.command_line {
        if access.closed && !outlasts_closing(right) {
            return Err(closed());
        }
        return Ok(permit(Basis::CommandLine, Member::default()));
    }
    let stepped_up = now < subject.stepped_up_until;
    let takes_out = matches!(right, Right::Export | Right::PreviewExport);
    if takes_out && subject.roles.has(Roles::RECORD_OFFICER) {
        return if stepped_up { Ok(permit(Basis::Role, Member::default())) } else { Err(step_up()) };
    }
    let drafts = right == Right::DraftExport && subject.roles.has(Roles::RECORD_OFFICER);
    if drafts || (right == Right::AccountForDisclosures && officer(subject)) {
        return Ok(permit(Basis::Role, Member::default()));
    }
    let member = standing(subject, access, now).ok_or_else(Refusal::not_found)?;
    let basis = if member.family { Basis::Family } else { Basis::Team };
    let staff = !member.family;
    let leads = member.lead || (staff && access.lead(now).is_none());
    let allowed = match right {
        Right::SeePatient => true,
        Right::ManageTeam | Right::ManageChannels | Right::CloseRecord | Right::AccountForDisclosures => leads,
        Right::HandOff => staff,
        Right::AnswerHandoff(to) => staff && to == subject.user,
        Right::WithdrawHandoff(user) | Right::Cover(user) => staff && (leads || user == subject.user),
        Right::EndMembership(user) => leads || user == subject.user,
        Right::ChangePlan { barrier } => staff && (member.lead || member.plan || (barrier && member.barriers)),
        Right::ImportPlan => staff && (leads || member.plan),
        Right::Export | Right::PreviewExport | Right::DraftExport => staff,
        _ => false,
    };
    match (allowed, right) {
        (true, Right::Export) if !stepped_up => Err(step_up()),
        (true, _) if access.closed && !outlasts_closing(right) => Err(closed()),
        (true, _) => Ok(permit(basis, member)),
        (false, _) => Err(missing(right)),
    }
}

/// What takes a record out wants a credential entered lately, not only a session left open.
fn step_up() -> Refusal {
    Refusal::forbidden("Enter your password again, and the code if you have one; that counts for five minutes.")
}

fn on_channel(subject: &Subject, right: Right, access: &Access, id: ChannelId, now: Micros) -> Result<Permit, Refusal> {
    let channel = access.channels.get(&id).ok_or_else(Refusal::not_found)?;
    let permit = |basis, member| Permit {
        actor: subject.user,
        basis,
        patient: Some(access.patient),
        channel: Some(id),
        audience: Some(channel.audience),
        member,
    };
    let member = if subject.command_line {
        // The host's authority is never that of family, whoever the command is given for.
        standing(subject, access, now).filter(|member| !member.family).unwrap_or_default()
    } else {
        let member = standing(subject, access, now).ok_or_else(Refusal::not_found)?;
        channel.readable_by(subject.user).ok_or_else(Refusal::not_found)?;
        // Family stands on shared channels only, whatever a list of readers says.
        if member.family && channel.audience != Audience::Shared {
            return Err(Refusal::not_found());
        }
        member
    };
    let basis = match (subject.command_line, member.family) {
        (true, _) => Basis::CommandLine,
        (false, true) => Basis::Family,
        (false, false) => Basis::Team,
    };
    let staff = !member.family;
    let own = |author| author == subject.user;
    let allowed = match right {
        Right::Read => true,
        Right::Post | Right::Document if channel.kind == ChannelKind::Plan => {
            return Err(Refusal::forbidden(
                "The plan channel carries plan and team events only. Write in a conversation.",
            ));
        }
        Right::Post => true,
        Right::Document => staff,
        Right::Amend(author) => own(author),
        Right::Retract(author) => staff && (own(author) || member.lead),
        Right::Relink(author) => staff && (own(author) || member.lead || member.plan),
        Right::Answer(author) => !own(author),
        Right::Confirm(author) => staff && own(author),
        Right::Take(Holder::User(owner)) => staff && own(owner),
        Right::Take(Holder::Responsibility { responsibility }) => staff && responsibility.is_held_by(&member),
        Right::Witness { author, took_part } => staff && took_part && !own(author),
        Right::ManageChannels => subject.command_line || member.lead || (staff && access.lead(now).is_none()),
        _ => false,
    };
    if !allowed {
        return Err(missing(right));
    }
    if access.closed && right != Right::Read {
        return Err(closed());
    }
    if channel.archived && right != Right::Read {
        return Err(
            Refusal::new(Code::Archived).detail("This channel is archived and read-only. Write in another one.")
        );
    }
    Ok(permit(basis, member))
}

/// The sentence for a caller who sees the thing but may not do this to it.
fn missing(right: Right) -> Refusal {
    Refusal::forbidden(match right {
        Right::ChangePlan { .. } | Right::ImportPlan => {
            "Only the lead or a holder of the responsibility `plan` changes the plan."
        }
        Right::ManageTeam | Right::EndMembership(_) => "Only the lead changes the care team.",
        Right::ManageChannels => "Only the lead opens, changes and archives channels.",
        Right::Amend(_) => "Only the author amends a message.",
        Right::Retract(_) => "Only the author or the lead takes this back.",
        Right::Relink(_) => "Only the author, the lead or a holder of `plan` links a message to another item.",
        Right::Answer(_) => "A message is answered by its readers, not by its author.",
        Right::Confirm(_) => "Only the author confirms what was checked back, and only as staff.",
        Right::Take(_) => "Only whom it rests with accepts or declines it.",
        Right::Witness { .. } => "A note is confirmed or disputed by those who took part, not by its author.",
        Right::AnswerHandoff(_) => "Only the person it is offered to answers a handoff.",
        Right::WithdrawHandoff(_) => "Only who offered it, or the lead, takes a handoff back.",
        Right::Cover(_) => "Only the person who is away, or the lead, names who stands in.",
        Right::AccountForDisclosures => {
            "Where a record went is shown to the lead, the privacy officer and the record officer."
        }
        Right::CloseRecord => "Only the lead closes and reopens a patient's record.",
        Right::Document | Right::HandOff => "This is written by staff.",
        Right::Export | Right::PreviewExport | Right::DraftExport => {
            "Exports are made by staff of the care team or a record officer."
        }
        _ => "Your role does not allow this.",
    })
}
