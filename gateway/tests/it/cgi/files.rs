//! Folders that a program may read, as any package's guests.

use super::{BOTH, assert_unharmed, both};

#[tokio::test]
async fn a_program_reads_the_folders_that_its_package_names_and_nothing_besides() {
    let granted = both("", "files = { \"/pages\" = \"assets\" }")
        .file("assets/index.html", "<h1>here</h1>")
        .file("secret.txt", "the configuration's neighbour")
        .start();
    let closed = both("", "")
        .file("assets/index.html", "<h1>here</h1>")
        .start();
    for name in BOTH {
        let read = async |gateway: &crate::harness::TestGateway, path: &str| {
            let reply = gateway.get(&format!("/{name}/reads?{path}")).await;
            reply.is(200).text()
        };
        assert_eq!(read(&granted, "/pages/index.html").await, "<h1>here</h1>");
        for path in [
            "/secret.txt",
            "/pages/../secret.txt",
            "secret.txt",
            "/etc/passwd",
        ] {
            let told = read(&granted, path).await;
            assert!(
                !told.contains("neighbour") && !told.contains("root:"),
                "{path}: {told}"
            );
        }
        assert_ne!(read(&closed, "/pages/index.html").await, "<h1>here</h1>");
    }
    assert_unharmed(&granted).await;
    assert_unharmed(&closed).await;
}
