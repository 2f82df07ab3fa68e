//! Registries that take their time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{patience::Patience, pull::Outcome, *};
use crate::config::show_digest;

/// The time in which any of these pulls has to be over: some tens of the bounds below, and far from the shipped ones.
const OVER: Duration = Duration::from_secs(20);

fn brief() -> Patience {
    let milliseconds = Duration::from_millis;
    Patience {
        head: milliseconds(200),
        body: milliseconds(200),
        upload: milliseconds(200),
        lookup: milliseconds(1000),
        lookup_again: milliseconds(300),
        stall: milliseconds(300),
        blob: milliseconds(1000),
        slowest: 1 << 30,
    }
}

/// What a registry does with a connection, once it was asked.
#[derive(Clone)]
enum Act {
    Say(String),
    /// A byte at a time, at this distance, for as long as somebody listens.
    Drip(Duration),
    /// Nothing, for as long as somebody listens.
    Hold,
}

use Act::{Drip, Hold, Say};

async fn registry(answer: impl Fn(&str) -> Vec<Act> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, answer.clone()));
        }
    });
    address
}

async fn serve(mut connection: TcpStream, answer: impl Fn(&str) -> Vec<Act>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split(' ').nth(1)?;
    for act in answer(target) {
        match act {
            Say(text) => connection.write_all(text.as_bytes()).await.ok()?,
            Drip(pause) => loop {
                connection.write_all(b"x").await.ok()?;
                sleep(pause).await;
            },
            Hold => {
                let _ = connection.read_u8().await;
            }
        }
    }
    Some(())
}

fn head(length: usize, more: &str) -> Act {
    Say(format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
    ))
}

/// The manifest of a component of so many bytes, which are nobody's.
fn manifest(bytes: u64) -> Vec<Act> {
    let layer = manifest::Descriptor::new(manifest::WASM_LAYER, show_digest(&[1; 32]), bytes as usize);
    let config = manifest::Descriptor::new(manifest::WASM_CONFIG, show_digest(&[2; 32]), 2);
    let text = serde_json::to_string(&manifest::Manifest::of(config, layer, Vec::new())).unwrap();
    vec![head(text.len(), ""), Say(text)]
}

async fn pull_of(address: SocketAddr, store: &Store) -> Outcome {
    let config = RegistryConfig::default();
    let exchange = Exchange::with(&config, brief());
    let reference = Reference::parse(&format!("oci://{address}/team/site:1")).unwrap();
    let all = BTreeSet::from([Wanted {
        reference,
        key: None,
    }]);
    let begun = Instant::now();
    let (_, outcome) = pull::all(&exchange, store, &all).await.pop_first().unwrap();
    assert!(begun.elapsed() < OVER, "{:?}", begun.elapsed());
    outcome
}

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::new(&folder.path().join("registry"));
    store.make().unwrap();
    (folder, store)
}

#[tokio::test]
async fn no_registry_is_waited_for_longer_than_its_time_however_slow_it_is() {
    let often = Duration::from_millis(20);
    type Answer = fn(Duration, bool) -> Vec<Act>;
    let cases: [(&str, Answer); 8] = [
        ("says nothing", |_, _| vec![Hold]),
        ("drips its head", |often, _| {
            vec![Say("HTTP/1.1 200 OK\r\nx: ".to_owned()), Drip(often)]
        }),
        ("drips a manifest", |often, _| {
            vec![head(1 << 20, ""), Drip(often)]
        }),
        ("stops in a manifest", |_, _| {
            vec![head(1 << 20, ""), Say("{".to_owned()), Hold]
        }),
        ("drips what is wrong", |often, _| {
            vec![
                Say("HTTP/1.1 500 x\r\ncontent-length: 60000\r\n\r\n".to_owned()),
                Drip(often),
            ]
        }),
        ("says nothing of a blob", |_, is_blob| match is_blob {
            true => vec![Hold],
            false => manifest(1000),
        }),
        ("stops in a blob", |_, is_blob| match is_blob {
            true => vec![head(1000, ""), Say("x".repeat(500)), Hold],
            false => manifest(1000),
        }),
        ("drips a blob", |often, is_blob| match is_blob {
            true => vec![head(1 << 20, ""), Drip(often)],
            false => manifest(1 << 20),
        }),
    ];
    let pulls = cases.map(|(name, answer)| async move {
        let address = registry(move |target| answer(often, target.contains("/blobs/"))).await;
        let (_folder, store) = store();
        let outcome = pull_of(address, &store).await;
        match outcome.pulled {
            Err(RegistryError::Unreachable { .. } | RegistryError::Busy { .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    });
    join_all(pulls).await;
}

#[tokio::test]
async fn what_a_tag_was_is_served_in_time_while_its_registry_hangs() {
    let address = registry(|_| vec![Hold]).await;
    let (_folder, store) = store();
    let component = b"the one before";
    let digest = |bytes: &[u8]| -> [u8; 32] {
        sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), bytes)).into()
    };
    let layer = manifest::Descriptor::new(
        manifest::WASM_LAYER,
        show_digest(&digest(component)),
        component.len(),
    );
    let config = manifest::Descriptor::new(manifest::WASM_CONFIG, show_digest(&[2; 32]), 2);
    let text = serde_json::to_vec(&manifest::Manifest::of(config, layer, Vec::new())).unwrap();
    store.keep(component, &digest(component)).unwrap();
    store.keep(&text, &digest(&text)).unwrap();
    let reference = Reference::parse(&format!("oci://{address}/team/site:1")).unwrap();
    store.see(&reference, &digest(&text)).unwrap();
    let outcome = pull_of(address, &store).await;
    assert!(outcome.stale.is_some());
    assert_eq!(outcome.pulled.unwrap().component, digest(component));
}

#[tokio::test]
async fn many_references_of_a_registry_that_hangs_do_not_each_take_the_time_of_one() {
    let address = registry(|_| vec![Hold]).await;
    let (_folder, store) = store();
    let config = RegistryConfig::default();
    let exchange = Exchange::with(&config, brief());
    let wanted = |at: usize| Wanted {
        reference: Reference::parse(&format!("oci://{address}/team/site:{at}")).unwrap(),
        key: None,
    };
    let all: BTreeSet<_> = (0..200).map(wanted).collect();
    let begun = Instant::now();
    let outcomes = pull::all(&exchange, &store, &all).await;
    assert!(outcomes.values().all(|outcome| outcome.pulled.is_err()));
    // Sixteen at once, each in its second, would be 12 of them.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}
