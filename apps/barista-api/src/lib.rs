//! Makes the coffee shop's drinks.

use coffeeshop_common::Station;
use wasmgate_sdk::{Router, serve};

/// What is delivered to it; nothing is routed here from outside.
pub fn app() -> Router {
    Station::Barista.app()
}

serve!(app);
