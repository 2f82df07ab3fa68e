//! What is wrong with a certificate or a key is said before anything is served.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use tempfile::TempDir;
use wasmgate_real_dapr::left_out;

use super::{VALID, authority, client_config, connect, get, tls};
use crate::harness::{Authority, TestGateway, run};

fn said(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(folder, arguments);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Writes a key in a form that rustls does not take.
fn openssl(authority: &Authority, arguments: &[&str]) -> bool {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(authority.file(""))
        .output();
    done.is_ok_and(|output| output.status.success())
}

#[test]
fn each_wrong_file_is_a_mistake_with_its_place_and_a_remedy() {
    let authority = authority();
    authority.sign("other", &["localhost"], VALID);
    authority.sign("expired", &["localhost"], 2001);
    let write = |name: &str, text: &str| std::fs::write(authority.file(name), text).unwrap();
    let read = |name: &str| std::fs::read_to_string(authority.file(name)).unwrap();
    write("empty.pem", "");
    write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    write("reversed.pem", &(read("ca.pem") + &read("server.pem")));
    write("long.pem", &"x".repeat(2 << 20));
    for (certificate, key, place, words, remedy) in [
        (
            "missing.pem",
            "server.key",
            "certificate",
            "missing.pem cannot be read",
            "correct the path",
        ),
        (
            "server.pem",
            "missing.key",
            "key",
            "missing.key cannot be read",
            "correct the path",
        ),
        (
            "",
            "server.key",
            "certificate",
            "is a directory",
            "correct the path",
        ),
        (
            "empty.pem",
            "server.key",
            "certificate",
            "holds no certificate",
            "PEM",
        ),
        (
            "server.key",
            "server.key",
            "certificate",
            "no certificate but a private key",
            "PEM",
        ),
        (
            "server.pem",
            "server.pem",
            "key",
            "no private key but a certificate",
            "PEM",
        ),
        ("broken.pem", "server.key", "certificate", "broken", "PEM"),
        (
            "long.pem",
            "server.key",
            "certificate",
            "more than a megabyte",
            "nothing else",
        ),
        (
            "server.pem",
            "other.key",
            "key",
            "not the key of the certificate",
            "first certificate",
        ),
        (
            "reversed.pem",
            "server.key",
            "key",
            "not the key of the certificate",
            "key of certificate 2",
        ),
        (
            "expired.pem",
            "expired.key",
            "certificate",
            "has expired on 2001-12-31",
            "renew it",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| authority.file(name).display().to_string();
        let lines = format!(
            "[server.tls]\ncertificate = '{}'\nkey = '{}'\n",
            path(certificate),
            path(key)
        );
        std::fs::write(folder.path().join("wasmgate.toml"), lines).unwrap();
        for command in ["check", "up"] {
            let (code, text) = said(folder.path(), &[command]);
            assert_eq!(code, Some(64), "{certificate}, {key}: {text}");
            for part in [
                words,
                remedy,
                &format!("server.tls.{place}"),
                "wasmgate.toml:",
            ] {
                assert!(
                    text.contains(part),
                    "no {part:?} for {certificate}, {key}: {text}"
                );
            }
        }
    }
    for (lines, words) in [
        ("key = 'server.key'", "TLS needs a certificate"),
        ("certificate = 'server.pem'", "TLS needs a key"),
        (
            "certificate = 'server.pem'\nkey = 'server.key'\nca = 'ca.pem'",
            "there is no key \"ca\"",
        ),
        (
            "certificate = 'server.pem'\nkey = 'server.key'\nclient_ca = 'server.key'",
            "server.tls.client_ca",
        ),
    ] {
        write("wasmgate.toml", &format!("[server.tls]\n{lines}\n"));
        let (code, text) = said(&authority.file(""), &["check"]);
        assert_eq!(code, Some(64), "{lines}: {text}");
        assert!(text.contains(words), "{lines}: {text}");
    }
}

#[test]
fn a_key_that_is_encrypted_or_of_another_kind_is_refused_by_name() {
    let authority = authority();
    let made = openssl(
        &authority,
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "server.key",
            "-out",
            "encrypted.key",
            "-passout",
            "pass:x",
        ],
    ) && openssl(
        &authority,
        &[
            "ec",
            "-in",
            "server.key",
            "-aes128",
            "-passout",
            "pass:x",
            "-out",
            "older.key",
        ],
    ) && openssl(
        &authority,
        &[
            "req",
            "-x509",
            "-newkey",
            "ed448",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            "ed448.key",
            "-out",
            "ed448.pem",
        ],
    );
    if !made {
        return left_out(format_args!("openssl cannot be run"));
    }
    for (certificate, key, words, remedy) in [
        (
            "server.pem",
            "encrypted.key",
            "is encrypted",
            "openssl pkey -in",
        ),
        (
            "server.pem",
            "older.key",
            "is encrypted",
            "openssl pkey -in",
        ),
        ("ed448.pem", "ed448.key", "not supported", "ECDSA"),
    ] {
        let lines = format!("[server.tls]\ncertificate = '{certificate}'\nkey = '{key}'\n");
        std::fs::write(authority.file("wasmgate.toml"), lines).unwrap();
        let (code, text) = said(&authority.file(""), &["check"]);
        assert_eq!(code, Some(64), "{key}: {text}");
        assert!(
            text.contains(words) && text.contains(remedy),
            "{key}: {text}"
        );
    }
}

#[test]
fn a_key_that_everybody_can_read_is_noted() {
    let authority = authority();
    let key = authority.file("server.key");
    std::fs::write(
        authority.file("wasmgate.toml"),
        format!("[server]\n{}\n", tls(&authority, "server")),
    )
    .unwrap();
    for (mode, is_noted) in [(0o644, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let (code, text) = said(&authority.file(""), &["check"]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(
            text.contains("note: server.tls.key: every user"),
            is_noted,
            "{mode:o}: {text}"
        );
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_authority_is_not_served() {
    let (servers, clients) = (authority(), Authority::new());
    clients.sign("client", &["client.example"], VALID);
    let stranger = authority();
    let mut lines = tls(&servers, "server");
    let ca = clients.file("ca.pem");
    lines = lines.replace(" }", &format!(", client_ca = '{}' }}", ca.display()));
    let gateway = TestGateway::builder().server(&lines).guest("hello").start();
    let curl = |identity: Option<(&Authority, &str)>| {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--cacert"])
            .arg(servers.file("ca.pem"));
        if let Some((authority, name)) = identity {
            command
                .arg("--cert")
                .arg(authority.file(&format!("{name}.pem")));
            command
                .arg("--key")
                .arg(authority.file(&format!("{name}.key")));
        }
        command.arg(format!(
            "https://localhost:{}/hello",
            gateway.address.port()
        ));
        let output = command.output();
        output.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let Ok(known) = curl(Some((&clients, "client"))) else {
        return left_out(format_args!("curl cannot be run"));
    };
    assert_eq!(known, "Hello from a package\n");
    let without = curl(None).unwrap();
    assert!(without.contains("certificate required"), "{without}");
    let other = curl(Some((&stranger, "server"))).unwrap();
    assert!(
        other.contains("curl:") && other.contains("alert"),
        "{other}"
    );
    gateway
        .wait_for_metric("wasmgate_tls_handshakes_total", &[("result", "failed")], 2)
        .await;
}

#[tokio::test]
async fn a_self_signed_certificate_of_rsa_serves_too() {
    let authority = authority();
    let made = openssl(
        &authority,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-days",
            "30",
            "-keyout",
            "server.key",
            "-out",
            "server.pem",
        ],
    );
    if !made {
        return left_out(format_args!("openssl cannot be run"));
    }
    let gateway = super::secured(&authority).guest("hello").start();
    std::fs::copy(authority.file("server.pem"), authority.file("ca.pem")).unwrap();
    assert!(
        connect(&gateway, client_config(&authority, &[b"h2"]))
            .await
            .is_ok()
    );
    assert_eq!(get(&gateway, &authority, b"h2", "/hello").await.status, 200);
}
