//! The machine as a guest sees it: what the configuration gives it, clocks and chance, no more.

use crate::harness::{TestGateway, guest, run};

#[tokio::test]
async fn a_guest_sees_the_environment_of_its_package_and_nothing_else() {
    let gateway = TestGateway::builder()
        .guest_with(
            "reports_its_environment",
            "env = { LOG = \"info\", EMPTY = \"\" }",
        )
        .start();
    let report = gateway.get("/reports-its-environment").await.text();
    let (mut given, mut others) = (Vec::new(), Vec::new());
    for variable in report.lines().filter_map(|line| line.strip_prefix("env ")) {
        // Dapr's own convention: where its API is, and under which app-id.
        let daprs = ["APP_ID=", "DAPR_"]
            .iter()
            .any(|name| variable.starts_with(name));
        if daprs {
            others.push(variable)
        } else {
            given.push(variable)
        }
    }
    given.sort_unstable();
    assert_eq!(given, ["EMPTY=", "LOG=info"], "besides {others:?}");
}

#[tokio::test]
async fn a_guest_sees_no_arguments_no_folder_and_no_files() {
    let gateway = TestGateway::builder()
        .guest("reports_its_environment")
        .start();
    let report = gateway.get("/reports-its-environment").await.text();
    for closed in ["argument ", "folder ", "file "] {
        assert!(
            !report.lines().any(|line| line.starts_with(closed)),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_guest_has_a_clock_and_fresh_random_numbers() {
    let gateway = TestGateway::builder()
        .guest("reports_its_environment")
        .start();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let report = gateway.get("/reports-its-environment").await.text();
        let value = |name| {
            report
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        let since_1970 = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        assert!(since_1970.abs_diff(value("seconds ").parse().unwrap()) < 3_600);
        seen.push(value("random "));
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_guest_connects_no_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let builder = TestGateway::builder().guest("connects_a_socket");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wasmgate.toml"), builder.toml()).unwrap();
    let checked = run(folder.path(), &["check"]);
    if checked.status.success() {
        // Offered, and closed: the guest is told no.
        let gateway = builder.start();
        let address = listener.local_addr().unwrap();
        let reply = gateway
            .get(&format!("/connects-a-socket?to={address}"))
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (200, "refused")
        );
    } else {
        // Not offered: the package is told so.
        assert_eq!(checked.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&checked.stderr).contains("wasi:sockets"));
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn two_packages_of_one_component_keep_their_own_environment() {
    let source = guest("reports_its_environment");
    let gateway = TestGateway::builder()
        .package("one", &source, "env = { WHO = \"one\" }")
        .package("two", &source, "env = { WHO = \"two\" }")
        .route("/one", "one")
        .route("/two", "two")
        .start();
    for name in ["one", "two"] {
        let report = gateway.get(&format!("/{name}")).await.text();
        assert!(report.contains(&format!("env WHO={name}\n")), "{report}");
    }
}
