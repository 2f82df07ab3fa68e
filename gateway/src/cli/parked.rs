//! `wasmgate parked`: lists, redelivers and drops undeliverable events.

use std::{
    ops::RangeInclusive,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use serde::Deserialize;
use wasmgate::{
    admin::{
        Order,
        client::{CallError, Client},
    },
    config,
};
use wasmgate_common::path::encode_component;

use super::{Exit, admin_address, print};

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Parked {
    /// List events whose retries are used up, and dead letters without a subscriber
    List {
        #[command(flatten)]
        which: Which,
        /// The maximum number to list
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
    /// Deliver parked events again, with all their retries
    Release {
        #[command(flatten)]
        which: Which,
    },
    /// Delete parked events
    Drop {
        #[command(flatten)]
        which: Which,
        /// Drop all of them
        #[arg(long)]
        all: bool,
    },
}

/// Filters; one that is not given matches any event.
#[derive(Args)]
pub(crate) struct Which {
    /// Only events for this subscribing package
    #[arg(long)]
    package: Option<String>,
    /// Only events of this pub/sub component
    #[arg(long)]
    pubsub: Option<String>,
    /// Only events of this topic
    #[arg(long)]
    topic: Option<String>,
    /// The one event with this number in the list
    #[arg(long)]
    id: Option<i64>,
    /// The gateway's admin listener; on another machine it needs WASMGATE_ADMIN_TOKEN in the environment
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = admin_address)]
    admin: String,
}

/// One event as the gateway lists it.
#[derive(Deserialize)]
struct Event {
    id: i64,
    state: String,
    package: String,
    pubsub: String,
    topic: String,
    attempts: u32,
    published_ms: u64,
    bytes: u64,
    event_id: Option<String>,
    event_type: Option<String>,
}

#[derive(Deserialize)]
struct Released {
    released: u64,
}

#[derive(Deserialize)]
struct Dropped {
    dropped: u64,
}

impl Parked {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Exit::machine(&error))?;
        print(&runtime.block_on(self.ask())?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Does it; answers with what to print.
    async fn ask(self) -> Result<String, CallError> {
        match self {
            Self::List { which, limit } => {
                let (client, order) = which.into_order(Some(limit), false);
                let query = query(&order);
                let events: Vec<Event> = client.get(&format!("/parked?{query}")).await?;
                Ok(table(&events))
            }
            Self::Release { which } => {
                let (client, order) = which.into_order(None, false);
                let Released { released } = client.post("/parked/release", &order).await?;
                Ok(format!("released: {released}\n"))
            }
            Self::Drop { which, all } => {
                let (client, order) = which.into_order(None, all);
                let Dropped { dropped } = client.post("/parked/drop", &order).await?;
                Ok(format!("dropped: {dropped}\n"))
            }
        }
    }
}

impl Which {
    fn into_order(self, limit: Option<usize>, all: bool) -> (Client, Order) {
        let order = Order {
            package: self.package,
            pubsub: self.pubsub,
            topic: self.topic,
            id: self.id,
            limit,
            all,
        };
        let token = config::Environment::read().admin_token;
        (Client::new(self.admin, token), order)
    }
}

fn query(order: &Order) -> String {
    let numbers = [
        ("id", order.id.map(|id| id.to_string())),
        ("limit", order.limit.map(|limit| limit.to_string())),
    ];
    let texts = [
        ("package", &order.package),
        ("pubsub", &order.pubsub),
        ("topic", &order.topic),
    ];
    let texts = texts.map(|(name, value)| (name, value.as_deref().map(encode_component)));
    let given = numbers.into_iter().chain(texts);
    let pairs = given.filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    pairs.collect::<Vec<_>>().join("&")
}

fn table(events: &[Event]) -> String {
    if events.is_empty() {
        return "nothing is parked\n".to_owned();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let head = [
        "ID", "STATE", "PACKAGE", "PUBSUB", "TOPIC", "ATTEMPTS", "AGE", "BYTES", "EVENT", "TYPE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(events.iter().map(|event| {
        let age = now.saturating_sub(Duration::from_millis(event.published_ms));
        let named = |name: &str| shown(if name.is_empty() { "-" } else { name });
        [
            event.id.to_string(),
            event.state.clone(),
            named(&event.package),
            named(&event.pubsub),
            named(&event.topic),
            event.attempts.to_string(),
            rough(age),
            event.bytes.to_string(),
            named(event.event_id.as_deref().unwrap_or_default()),
            named(event.event_type.as_deref().unwrap_or_default()),
        ]
    }));
    let mut widths = [0; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// What turns the direction of text or has no width (Unicode Standard Annex 9, 2; general category Cf).
const UNSEEN: [RangeInclusive<char>; 5] = [
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{e0000}'..='\u{e007f}',
];

/// A name that came from a package, without what a terminal would obey and what would hide or turn the rest of a line.
fn shown(name: &str) -> String {
    let harmless = |c: char| {
        if c.is_control() || UNSEEN.iter().any(|range| range.contains(&c)) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    name.chars().map(harmless).collect()
}

fn rough(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_without_what_a_terminal_obeys_or_hides() {
        assert_eq!(shown("Größe-7 🫖"), "Größe-7 🫖");
        for hidden in ['\u{1b}', '\n', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}'] {
            assert_eq!(shown(&format!("a{hidden}b")), "a\u{fffd}b", "{hidden:?}");
        }
    }
}
