//! Hostile guests and clients in their short form, each beside a good package; `make torture` has the long one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tokio::sync::{Mutex, MutexGuard};
use wasmgate_torture::{BRIEF, Programs, Verdict, Victim, faults, report, run, shapes, smuggling};

/// Held by each test: what one uses would be another's harm.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_guest_or_client_harms_the_good_package_beside_it() {
    let _alone = alone().await;
    let rows = run(&programs(), BRIEF, "", |_| {}).await.unwrap();
    assert!(rows.len() >= 100, "{}", rows.len());
    println!("{}", report::table(&rows));
    let broken = rows.iter().filter(|row| row.verdict() == Verdict::Broken);
    let broken: Vec<_> = broken.map(report::line).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_two_meanings_is_refused_and_the_one_hidden_in_it_is_not_served() {
    let _alone = alone().await;
    let victim = Victim::start(&smuggling::setup(&programs())).await.unwrap();
    let corpus = smuggling::corpus();
    assert!(corpus.len() >= 60, "{}", corpus.len());
    let mut wrong = Vec::new();
    for case in &corpus {
        let exchange = smuggling::exchange(victim.address, case).await.unwrap();
        wrong.extend(case.wrong(&exchange));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_none_is_refused_in_bounded_time_and_memory() {
    let _alone = alone().await;
    for shape in shapes::all().unwrap() {
        let look = shapes::look(&programs().gateway, &shape).await.unwrap();
        assert!(look.is_right(), "{}, {}: {look:?}", shape.name, shape.does);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_all_kinds_make_no_answer_wrong_and_leave_nothing() {
    let _alone = alone().await;
    let told = faults::run(&programs(), 8_000, 1).await.unwrap();
    assert!(told.wrong.is_empty(), "{told}");
}

fn programs() -> Programs {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Programs {
        gateway: env!("CARGO_BIN_EXE_wasmgate").into(),
        guests: GUESTS.get_or_init(|| guests(shared)).clone(),
        cache: Some(shared.join("compiled")),
    }
}

/// The folder of the test guests; Cargo makes it nothing when they are fresh.
fn guests(shared: &Path) -> PathBuf {
    let target = shared.parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--examples",
        ])
        .args(["--package", "wasmgate-test-guests", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "the test guests do not build"
    );
    target.join("wasm32-wasip2/release/examples")
}
