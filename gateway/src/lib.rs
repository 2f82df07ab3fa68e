//! Wasmgate: HTTP routes to Wasm components.
