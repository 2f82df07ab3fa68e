//! The fields of cron expressions: sets of values, as bits.

/// The field was `*`: with a day of the month and a weekday, one that is not `*` decides alone.
pub(super) const STAR: u64 = 1 << 63;

/// A field's least and greatest value and the names of values.
pub(super) struct Bounds(u32, u32, &'static [(&'static str, u32)]);

pub(super) const SECOND: Bounds = Bounds(0, 59, &[]);
pub(super) const MINUTE: Bounds = SECOND;
pub(super) const HOUR: Bounds = Bounds(0, 23, &[]);
pub(super) const DAY: Bounds = Bounds(1, 31, &[]);
#[rustfmt::skip]
pub(super) const MONTH: Bounds = Bounds(1, 12, &[
    ("jan", 1), ("feb", 2), ("mar", 3), ("apr", 4), ("may", 5), ("jun", 6),
    ("jul", 7), ("aug", 8), ("sep", 9), ("oct", 10), ("nov", 11), ("dec", 12),
]);
#[rustfmt::skip]
pub(super) const WEEKDAY: Bounds = Bounds(0, 6, &[
    ("sun", 0), ("mon", 1), ("tue", 2), ("wed", 3), ("thu", 4), ("fri", 5), ("sat", 6),
]);

/// Returns whether a field has a value.
pub(super) fn has(field: u64, value: u32) -> bool {
    field & (1 << value) != 0
}

/// Reads the values of a field: ranges with commas between.
pub(super) fn field(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    let bits = ranges
        .map(|text| range(text, bounds))
        .try_fold(0, |bits, range| Ok::<u64, String>(bits | range?))?;
    if bits == 0 {
        Err(format!("{text:?} is no field"))
    } else {
        Ok(bits)
    }
}

/// The values of `*`, `5`, `5-10`, and of these with a step: `*/15`, `5/15`, `5-10/2`.
fn range(text: &str, &Bounds(least, greatest, names): &Bounds) -> Result<u64, String> {
    let wrong = |why: &str| format!("{text:?} {why}");
    let (range, step) = text
        .split_once('/')
        .map_or((text, None), |(range, step)| (range, Some(step)));
    let value = |text: &str| {
        let named = names
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        named
            .or_else(|| text.parse().ok().filter(|_| digits))
            .ok_or_else(|| wrong("is no number"))
    };
    let (mut star, first, mut last) = match range.split_once('-') {
        None if matches!(range, "*" | "?") => (STAR, least, greatest),
        None => (0, value(range)?, value(range)?),
        Some((first, last)) => (0, value(first)?, value(last)?),
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if !range.contains('-') {
                last = greatest;
            }
            value(step)?
        }
    };
    if step > 1 {
        star = 0;
    }
    if first < least || last > greatest || first > last {
        return Err(wrong(&format!("is not within {least} and {greatest}")));
    }
    if step == 0 {
        return Err(wrong("has no step"));
    }
    let values = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    Ok(values.fold(star, |bits, value| bits | 1 << value))
}
