//! The trace context of a call (W3C Trace Context).

use http::HeaderMap;
use wasmgate_common::{TraceParent, is_traceparent};

/// The trace of one call, if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace<'a> {
    parent: Option<&'a str>,
    /// `tracestate`; empty if there is none.
    pub(crate) state: &'a str,
}

impl<'a> Trace<'a> {
    /// The trace that `headers` name; none if its `traceparent` is not well-formed.
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Self {
        let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = named("traceparent").filter(|given| is_traceparent(given.as_bytes()));
        let state = parent.and_then(|_| named("tracestate"));
        Self {
            parent,
            state: state.unwrap_or_default(),
        }
    }

    /// Its `traceparent`, or that of a new trace.
    pub(crate) fn parent_or_new(&self) -> String {
        let new = || TraceParent::random().as_str().to_owned();
        self.parent.map_or_else(new, str::to_owned)
    }
}
