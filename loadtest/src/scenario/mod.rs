//! Loads with a name.

mod cold;
mod density;
mod fleet;
mod many_packages;
mod noisy_neighbour;
mod order;
mod packages;
mod pairs;
mod requests;

use std::str::FromStr;

use loadtest_guest::MAX_BODY_BYTES;

pub(crate) use self::requests::Direction;
use crate::cli::RunArgs;

/// A named load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The smallest answer.
    Hello,
    /// A small JSON document.
    Json,
    /// A body of this many bytes, received or sent.
    Body { bytes: usize },
    /// One key of state, read or written.
    State,
    /// Orders of the coffee shop.
    Order,
    /// The first request ever to each of many packages.
    Cold,
    /// Memory per registered and per loaded package.
    Density,
    /// Zipf-distributed requests over many packages, beside one package alone.
    ManyPackages,
    /// A good package's latency with and without a spinning one beside it.
    NoisyNeighbour,
}

/// A name that is none of a scenario's.
#[derive(Debug, thiserror::Error)]
#[error(
    "no scenario `{0}`; there are: hello, json, body-1k to body-1m (body-4k, body-64k, …), \
     state, order, cold, density, many-packages, noisy-neighbour"
)]
pub(crate) struct UnknownScenario(String);

/// Runs a scenario and prints its result.
///
/// # Errors
/// Everything that keeps the load from being a measurement, with its remedy.
pub(crate) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    arguments.load.plan().check()?;
    match arguments.scenario {
        Scenario::Hello | Scenario::Json | Scenario::Body { .. } | Scenario::State => requests::run(arguments),
        Scenario::Order => order::run(arguments),
        Scenario::Cold => cold::run(arguments),
        Scenario::Density => density::run(arguments),
        Scenario::ManyPackages => many_packages::run(arguments),
        Scenario::NoisyNeighbour => noisy_neighbour::run(arguments),
    }
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "hello" => Self::Hello,
            "json" => Self::Json,
            "state" => Self::State,
            "order" => Self::Order,
            "cold" => Self::Cold,
            "density" => Self::Density,
            "many-packages" => Self::ManyPackages,
            "noisy-neighbour" => Self::NoisyNeighbour,
            _ => name
                .strip_prefix("body-")
                .and_then(body_bytes)
                .map(|bytes| Self::Body { bytes })
                .ok_or_else(|| UnknownScenario(name.to_owned()))?,
        })
    }
}

fn body_bytes(size: &str) -> Option<usize> {
    let (number, unit) = match size.strip_suffix('k') {
        Some(number) => (number, 1024),
        None => (size.strip_suffix('m')?, 1024 * 1024),
    };
    let bytes = number.parse::<usize>().ok()?.checked_mul(unit)?;
    (1..=MAX_BODY_BYTES).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_sizes_reach_from_1k_to_1m() {
        let bytes = |name: &str| match name.parse() {
            Ok(Scenario::Body { bytes }) => Some(bytes),
            _ => None,
        };
        assert_eq!(bytes("body-1k"), Some(1024));
        assert_eq!(bytes("body-64k"), Some(65536));
        assert_eq!(bytes("body-1m"), Some(1024 * 1024));
        for refused in ["body-2m", "body-0k", "body-", "body-k", "body-5"] {
            assert_eq!(bytes(refused), None, "{refused}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let said = "helo".parse::<Scenario>().unwrap_err().to_string();
        assert!(said.contains("helo") && said.contains("many-packages"));
    }
}
