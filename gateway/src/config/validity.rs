//! The validity period of a certificate (RFC 5280, 4.1).
//!
//! Our own: rustls checks it and does not expose it, and an X.509 library would be large for two dates.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

/// Tags of DER (X.690, 8.1.2).
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The times from which and until which a certificate is valid; `None` if it is broken.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (whole, _) = value(certificate, SEQUENCE)?;
    let (mut rest, _) = value(whole, SEQUENCE)?;
    if let Some((_, after)) = value(rest, VERSION) {
        rest = after;
    }
    // Its number, the algorithm of its signature, and its issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = value(rest, tag)?.1;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (not_before, rest) = time(validity)?;
    let (not_after, _) = time(rest)?;
    Some((not_before, not_after))
}

/// The content of a value with this tag, and what comes after it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, mut rest) = rest.split_first()?;
    let length = match length.checked_sub(0x80) {
        None => usize::from(*length),
        // So many bytes have the length; a certificate has fewer than 16 MiB.
        Some(count @ 1..=3) => {
            let (length, after) = rest.split_at_checked(count.into())?;
            rest = after;
            length
                .iter()
                .fold(0, |length, byte| (length << 8) | usize::from(*byte))
        }
        Some(_) => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

/// A time in either form, always in UTC and to the second (RFC 5280, 4.1.2.5).
fn time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (text, rest) = value(bytes, UTC_TIME)
        .map(|(text, rest)| (text, rest, true))
        .or_else(|| value(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, false)))
        .and_then(|(text, rest, is_short)| {
            let text = std::str::from_utf8(text).ok()?;
            // Two digits stand for a year from 1950 to 2049.
            let century = match text.get(..2) {
                Some(year) if is_short && year >= "50" => "19",
                Some(_) if is_short => "20",
                _ => "",
            };
            Some((format!("{century}{text}"), rest))
        })?;
    let part = |from: usize, length: usize| text.get(from..from + length);
    let written = format!(
        "{}-{}-{}T{}:{}:{}{}",
        part(0, 4)?,
        part(4, 2)?,
        part(6, 2)?,
        part(8, 2)?,
        part(10, 2)?,
        part(12, 2)?,
        text.get(14..)?
    );
    // What is before 1970 is long past, however long.
    let before = written.as_str() < "1970";
    let time = if before {
        SystemTime::UNIX_EPOCH
    } else {
        humantime::parse_rfc3339(&written).ok()?
    };
    Some((time, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_dates_of_a_certificate_are_those_that_it_was_made_with() {
        for (until, seconds) in [
            (2031, 1_956_441_600),
            (2099, 4_102_358_400),
            (1999, 946_598_400),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1960, 1, 1);
            params.not_after = date_time_ymd(until, 12, 31);
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let (from, to) = validity(made.der()).unwrap();
            assert_eq!(from, SystemTime::UNIX_EPOCH);
            assert_eq!(to, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let bytes = made.der().as_ref();
            for end in 0..bytes.len() {
                // Whatever is cut off, nothing worse than nothing comes of it.
                let _ = validity(&CertificateDer::from(bytes[..end].to_vec()));
            }
        }
    }
}
