//! WebSocket close codes (RFC 6455 section 7.4): 44xx, change something before coming back; 45xx, come back with backoff.

/// Normal end.
pub const NORMAL: u16 = 1000;
/// Protocol error (RFC 6455): unmasked, reserved bits or opcodes, bad control frames.
pub const PROTOCOL: u16 = 1002;
/// Text that is not UTF-8 (RFC 6455).
pub const NOT_UTF8: u16 = 1007;
/// A message over the limit (RFC 6455).
pub const TOO_BIG: u16 = 1009;
/// Binary, or too many frames that cannot be read.
pub const BAD_FRAMES: u16 = 4400;
/// The session expired or was ended.
pub const SESSION_ENDED: u16 = 4401;
/// Not allowed.
pub const NOT_ALLOWED: u16 = 4403;
/// No sign-in in time, or too many frames before it.
pub const NO_SIGN_IN: u16 = 4408;
/// Far too fast.
pub const TOO_FAST: u16 = 4429;
/// We failed.
pub const INTERNAL: u16 = 4500;
/// The server is draining or sealed: come back.
pub const DRAINING: u16 = 4503;
/// Nothing was heard for too long.
pub const SILENT: u16 = 4504;
/// The queue of this socket is full.
pub const TOO_SLOW: u16 = 4513;

/// Every code the server closes with, and why, in a few words.
pub const ALL: &[(u16, &str)] = &[
    (NORMAL, "normal end"),
    (PROTOCOL, "protocol error: unmasked frame, reserved bits or opcodes, bad control frame"),
    (NOT_UTF8, "text that is not UTF-8"),
    (TOO_BIG, "frame over the limit"),
    (BAD_FRAMES, "binary, or too many frames that cannot be read"),
    (SESSION_ENDED, "session expired or ended"),
    (NOT_ALLOWED, "not allowed"),
    (NO_SIGN_IN, "no sign-in in time, or too much before it"),
    (TOO_FAST, "far too fast"),
    (INTERNAL, "failure of the server"),
    (DRAINING, "going down, or sealed"),
    (SILENT, "silent for too long"),
    (TOO_SLOW, "too slow: what waited for the socket was not taken"),
];
