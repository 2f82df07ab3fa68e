//! Checks of YAML before it is parsed.

/// The most brackets within each other: more than the readers behind the parser take (128), and few enough that reading
/// them takes no time. Those in texts and comments count too, which hardly ever stay open.
pub const MOST_BRACKETS: usize = 1000;

/// Returns whether brackets nest so deeply that reading them takes its time: the parser looks at all that are open for
/// each one more.
pub fn is_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MOST_BRACKETS
    })
}
