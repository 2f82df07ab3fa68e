//! Numbers with a unit: `"30s"`, `"128MiB"`.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use wasmgate_common::{Code, Diagnostic};

/// Units of time, in milliseconds; the first is the one to fall back to.
const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// Units of size, in bytes.
const SIZES: [(&str, u64); 5] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a duration in a range, such as `"500ms"`, `"30s"`, `"2m"`, `"1h"`.
pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Diagnostic> {
    let allowed = format!(
        "write a duration from {} to {}",
        show_duration(*range.start()),
        show_duration(*range.end())
    );
    let millis = quantity(text, &TIMES, &allowed)?;
    let duration = Duration::from_millis(millis);
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(Diagnostic::new(
            Code::OutOfRange,
            format!("{text:?} is out of range"),
            allowed,
        ))
    }
}

/// Reads a size in a range, such as `"512B"`, `"64KiB"`, `"8MiB"`, `"1GiB"`; bytes.
pub(super) fn size(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Diagnostic> {
    let allowed = format!(
        "write a size from {} to {}",
        show_size(*range.start()),
        show_size(*range.end())
    );
    let bytes = quantity(text, &SIZES, &allowed)?;
    if range.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Diagnostic::new(
            Code::OutOfRange,
            format!("{text:?} is out of range"),
            allowed,
        ))
    }
}

/// Reads where to listen: an address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, Diagnostic> {
    text.parse().map_err(|_| not_an_address(text))
}

/// The mistake in what is no address with a port.
pub(super) fn not_an_address(text: &str) -> Diagnostic {
    let port = text
        .rsplit(':')
        .next()
        .and_then(|port| port.parse::<u16>().ok());
    let port = port.unwrap_or(3000);
    Diagnostic::new(
        Code::InvalidValue,
        format!("{text:?} is not an address with a port"),
        format!(
            "write \"127.0.0.1:{port}\" for this machine only, \"0.0.0.0:{port}\" or \"[::]:{port}\" for all networks; \
             names are not resolved"
        ),
    )
}

/// A duration in the largest unit that shows it whole.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &TIMES)
}

/// A size in the largest unit that shows it whole.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn show(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .rev()
        .find(|(_, factor)| number.is_multiple_of(*factor));
    whole.map_or_else(
        || number.to_string(),
        |(unit, factor)| format!("{}{unit}", number / factor),
    )
}

fn quantity(text: &str, units: &[(&str, u64)], allowed: &str) -> Result<u64, Diagnostic> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    if number.is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} does not start with a whole number"),
            format!("{allowed}, with a unit of {names}"),
        ));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit.trim_start()) else {
        let what = if unit.is_empty() {
            format!("{text:?} has no unit")
        } else {
            format!("{text:?} has the unknown unit {:?}", unit.trim())
        };
        return Err(Diagnostic::new(
            Code::InvalidValue,
            what,
            format!("{allowed}, with a unit of {names}"),
        ));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| {
            Diagnostic::new(
                Code::OutOfRange,
                format!("{text:?} is out of range"),
                allowed,
            )
        })
}
