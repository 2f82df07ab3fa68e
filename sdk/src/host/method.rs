//! Methods in the host and here.

use http::Method;
#[cfg(not(feature = "wasip3"))]
use wasip2::http::types::Method as WasiMethod;
#[cfg(feature = "wasip3")]
use wasip3::http::types::Method as WasiMethod;

/// A method for the host.
pub(super) fn method(method: &Method) -> WasiMethod {
    match method.as_str() {
        "GET" => WasiMethod::Get,
        "HEAD" => WasiMethod::Head,
        "POST" => WasiMethod::Post,
        "PUT" => WasiMethod::Put,
        "DELETE" => WasiMethod::Delete,
        "CONNECT" => WasiMethod::Connect,
        "OPTIONS" => WasiMethod::Options,
        "TRACE" => WasiMethod::Trace,
        "PATCH" => WasiMethod::Patch,
        other => WasiMethod::Other(other.to_owned()),
    }
}

/// A method from the host.
pub(super) fn method_from(method: WasiMethod) -> Method {
    match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Post => Method::POST,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Patch => Method::PATCH,
        // A host lets no method through that is not HTTP's.
        WasiMethod::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or_default(),
    }
}
