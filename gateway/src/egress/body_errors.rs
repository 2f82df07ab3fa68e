//! The errors that a guest sees when a body breaks off.
//!
//! wasmtime-wasi-http's `wasi:http/types.http-error-code` looks for another error type than the one its bodies end
//! with, and finds none.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    Error,
    p2::bindings::http::types::{ErrorCode, IoError, TlsAlertReceivedPayload},
};
use wasmtime_wasi_io::IoView;

use super::failed::Failed;

/// The interface, with wasmtime-wasi-http's version.
const TYPES: &str = "wasi:http/types@0.2.12";

/// Replaces the function that returns them.
///
/// # Errors
/// When shadowing is not allowed.
pub(crate) fn add_to_linker<T: IoView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, T>, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().table().get(&error)?;
            let code = error.downcast_ref::<ErrorCode>().cloned();
            Ok((code.or_else(|| code_of(error.downcast_ref()?)),))
        },
    )
}

/// The error code of a body's error.
fn code_of(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::Hyper(error) => {
            return code_of(&Failed::from_error(error, Error::HttpProtocolError).code);
        }
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::TlsProtocolError => ErrorCode::TlsProtocolError,
        Error::TlsCertificateError => ErrorCode::TlsCertificateError,
        Error::TlsAlertReceived {
            alert_id,
            alert_message,
        } => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id: *alert_id,
            alert_message: alert_message.clone(),
        }),
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::InternalError(text) => ErrorCode::InternalError(text.clone()),
        _ => return None,
    })
}
