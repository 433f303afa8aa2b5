//! The server's clock, moved by hand: what is due in an hour is due now.

use std::path::PathBuf;

use carethread::kernel::base::World;
use carethread::kernel::base::world::rfc3339;

use super::server::House;

const MINUTE: i64 = 60_000_000;

/// The clock of the servers of one house.
pub struct Clock {
    file: PathBuf,
    moved: i64,
}

impl Clock {
    /// Of a house that nothing serves yet.
    pub fn of(house: &mut House) -> Self {
        let file = house.path("clock");
        std::fs::write(&file, "0").unwrap();
        house.set("CARETHREAD_TEST_CLOCK", file.to_str().unwrap());
        Self { file, moved: 0 }
    }

    /// Moves it on. Replaced as a whole: the server never reads half a number.
    pub fn advance(&mut self, minutes: i64) {
        self.moved += minutes * MINUTE;
        let next = self.file.with_extension("next");
        std::fs::write(&next, self.moved.to_string()).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    /// RFC 3339, so many minutes from what the server calls now.
    pub fn at(&self, minutes: i64) -> String {
        rfc3339(World::system().now() + self.moved + minutes * MINUTE)
    }

    /// A rule that comes every day (RFC 5545), in UTC, at the minute that is so far off.
    pub fn daily(&self, minutes: i64) -> String {
        let at = self.at(minutes);
        format!("FREQ=DAILY;BYHOUR={};BYMINUTE={}", &at[11..13], &at[14..16])
    }
}
