//! The curves of `bench growth` as text: each figure beside its first, so that what is flat looks flat.

use super::growth::Growth;

/// Each figure as a line a size, for one number of patients, with what it is to the first: what is flat stays at 1.0.
#[must_use]
pub fn text(rows: &[Growth]) -> String {
    type Figure = (&'static str, fn(&Growth) -> f64);
    const FIGURES: &[Figure] = &[
        ("append/s", |row| row.append_per_s),
        ("append p99 ms", |row| f64::from(u32::try_from(row.append_p99_us).unwrap_or(u32::MAX)) / 1000.0),
        ("resume ms", |row| row.resume_ms),
        ("list ms", |row| row.list_ms),
        ("history newest ms", |row| row.newest_ms),
        ("history oldest ms", |row| row.oldest_ms),
        ("history middle ms", |row| row.middle_ms),
        ("last 1000 ms", |row| row.last_1000_ms),
        ("plan.items ms", |row| row.items_ms),
        ("start ms", |row| row.start_ms),
    ];
    let mut text = String::new();
    let mut patients: Vec<usize> = rows.iter().map(|row| row.patients).collect();
    patients.dedup();
    for patients in patients {
        let rows: Vec<&Growth> = rows.iter().filter(|row| row.patients == patients).collect();
        for (name, of) in FIGURES {
            let largest = rows.iter().map(|row| of(row)).fold(f64::MIN_POSITIVE, f64::max);
            let first = rows.first().map_or(1.0, |row| of(row)).max(f64::MIN_POSITIVE);
            text += &format!("\n{name}, {patients} patients\n");
            for row in &rows {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 40")]
                let width = (of(row) / largest * 40.0).round() as usize;
                text += &format!(
                    "{:>10}  {:>10.2}  {:>5.2}x  {}\n",
                    row.entries,
                    of(row),
                    of(row) / first,
                    "#".repeat(width)
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::cli::bench::found::Found as _;

    #[test]
    fn a_curve_shows_what_is_flat() {
        let row = Growth {
            database: "sqlite",
            patients: 1,
            entries: 1000,
            fill_s: 0.0,
            bytes: None,
            start_ms: 50.0,
            rss_kib: 1,
            append_per_s: 10_000.0,
            append_p50_us: 1,
            append_p99_us: 1000,
            channels: 2,
            resume_ms: 1.0,
            list_ms: 1.0,
            newest_ms: 1.0,
            oldest_ms: 1.0,
            middle_ms: 1.0,
            last_1000_ms: 1.0,
            items_ms: 1.0,
        };
        let shown = text(&[row.clone(), Growth { entries: 2000, append_per_s: 5000.0, ..row }]);
        assert!(shown.contains(
            "append/s, 1 patients\n      1000    10000.00   1.00x  ########################################\n"
        ));
        assert!(shown.contains("      2000     5000.00   0.50x  ####################\n"), "{shown}");
        assert_eq!(Growth::COLUMNS.len(), 17);
    }
}
