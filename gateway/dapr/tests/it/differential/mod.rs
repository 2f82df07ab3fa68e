//! The same calls, made of the embedded runtime, of a real sidecar, of that sidecar through the gateway's client, and
//! of the SDK's stand-in: status, error code, body, headers and what the app is sent have to be alike, but for the
//! known differences.
//!
//! The calls are in `tests/differential/*.yaml`, the differences in `tests/differential/known.yaml`.

mod app;
mod case;
mod end;
mod known;
mod seen;
mod stand_in;

use std::collections::BTreeMap;

use case::{Case, Step};
use end::End;
use known::Known;
use seen::Seen;

/// Calls that there have to be: a corpus that shrinks unnoticed compares nothing.
const LEAST: usize = 300;

mod beside_dapr {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_call_is_answered_alike_but_for_the_known_differences() {
        if !wasmgate_real_dapr::there() {
            return;
        }
        let cases = case::read_all();
        assert!(cases.len() >= LEAST, "there are only {} calls", cases.len());
        let (embedded, real, relayed) = tokio::join!(
            async { replay(&End::embedded().await, &cases).await },
            async { replay(&End::sidecar().await, &cases).await },
            async {
                let relayed: Vec<_> = cases.iter().filter(|case| case.relay).cloned().collect();
                replay(&End::relayed().await, &relayed).await
            },
        );
        let stand_in: Vec<_> = cases.iter().filter(|case| case.stand_in).cloned().collect();
        let stand_in = replay(&End::stand_in(), &stand_in).await;
        let known = Known::read();
        let mut wrong = compare("embedded", &known.embedded, &embedded, &real);
        wrong.extend(compare("relayed", &known.relayed, &relayed, &real));
        // The stand-in may differ where the embedded runtime does, and where it differs from that.
        let rows = || known.embedded.iter().chain(&known.stand_in);
        let apart = stand_in.iter().filter(|(name, here)| {
            let differs = real
                .get(*name)
                .is_some_and(|real| !real.differences(here).is_empty());
            differs && !rows().any(|row| row.covers(name))
        });
        wrong.extend(apart.map(|(name, _)| format!("stand-in {name}: differs from the sidecar")));
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_in_of_the_sdk_answers_as_the_embedded_runtime_but_for_the_known_differences() {
    let cases: Vec<_> = case::read_all()
        .into_iter()
        .filter(|case| case.stand_in)
        .collect();
    let embedded = replay(&End::embedded().await, &cases).await;
    let stand_in = replay(&End::stand_in(), &cases).await;
    let wrong = compare("stand-in", &Known::read().stand_in, &stand_in, &embedded);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_readme_has_every_known_difference() {
    let known = Known::read();
    let here: Vec<_> = known.embedded.iter().chain(&known.relayed).collect();
    for (readme, rows) in [
        ("README.md", here),
        ("../../sdk/README.md", known.stand_in.iter().collect()),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(readme);
        let text = std::fs::read_to_string(path).unwrap();
        for row in rows {
            let line = format!(
                "| {} | {} | {} | {} |",
                row.what, row.sidecar, row.here, row.why
            );
            assert!(text.contains(&line), "{readme} lacks the row\n{line}");
        }
    }
}

/// What each call showed, by the call's name.
type Shown = BTreeMap<String, Seen>;

async fn replay(end: &End, cases: &[Case]) -> Shown {
    let mut kept = BTreeMap::new();
    let mut shown = Shown::new();
    for case in cases {
        let step = Step::new(case, &kept);
        let seen = end.call(&step).await;
        kept.extend(seen.kept(case));
        let before = shown.insert(case.name.clone(), seen);
        assert!(before.is_none(), "two calls are named {}", case.name);
    }
    shown
}

/// Prints the figures; answers with what is wrong, a paragraph each.
fn compare(end: &str, known: &[known::Row], here: &Shown, real: &Shown) -> Vec<String> {
    let (mut equal, mut wrong) = (0, Vec::new());
    let mut open = 0;
    let mut used = vec![false; known.len()];
    for (name, here) in here {
        let Some(real) = real.get(name) else { continue };
        let differences = real.differences(here);
        let fields: Vec<&str> = differences
            .iter()
            .map(|(field, ..)| field.as_str())
            .collect();
        let row = known.iter().position(|row| row.covers(name));
        if let Some(row) = row {
            used[row] = true;
        }
        let allowed = row.map_or(&[][..], |row| known[row].fields(name));
        if fields == allowed {
            equal += usize::from(fields.is_empty());
            continue;
        }
        open += 1;
        let mut told = format!("{end} {name}: differs in {fields:?}, known is {allowed:?}");
        for (field, real, here) in &differences {
            told += &format!("\n    {field}\n      sidecar {real}\n      {end} {here}");
        }
        wrong.push(told);
    }
    for (row, used) in known.iter().zip(used) {
        if !used {
            wrong.push(format!("{end}: no call is covered by {:?}", row.what));
        }
    }
    let calls = here.len();
    let allowed = calls - equal - open;
    println!("{end}: {calls} calls, {equal} equal, {allowed} allowed, {open} open");
    wrong
}
