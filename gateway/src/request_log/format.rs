//! The two formats of a line.

use std::{
    cell::RefCell,
    io::Write as _,
    time::{Duration, SystemTime},
};

use super::RequestLine;

/// The longest part of a path that a person is shown, in characters.
const PATH_FOR_PEOPLE: usize = 80;

thread_local! {
    /// Kept, so that a line costs no allocation.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's buffer, empty. Lines do not write lines.
pub(super) fn with_buffer(write: impl FnOnce(&mut Vec<u8>)) {
    BUFFER.with(|buffer| {
        if let Ok(mut buffer) = buffer.try_borrow_mut() {
            buffer.clear();
            write(&mut buffer);
        }
    });
}

impl RequestLine {
    /// `GET /hello → greeter 200 0.4 ms`, and what went wrong.
    pub(super) fn write_for_people(&self, line: &mut Vec<u8>, elapsed: Duration) {
        let path: String = self.uri.path().chars().take(PATH_FOR_PEOPLE).collect();
        let is_cut = path.len() < self.uri.path().len();
        let path = path.replace(char::is_control, "\u{fffd}");
        let _ = write!(
            line,
            "{} {path}{} ",
            self.method,
            if is_cut { "…" } else { "" }
        );
        if let Some(route) = &self.route {
            let _ = write!(line, "→ {} ", route.package());
        }
        if let Some(status) = self.status {
            let _ = write!(line, "{} ", status.as_u16());
        }
        let _ = write!(line, "{:.1} ms", elapsed.as_secs_f64() * 1e3);
        if let Some(reason) = self.failed {
            let _ = write!(line, " {reason}");
        }
        if self.is_failure() {
            let _ = write!(line, " {}", self.id.as_str());
        }
        line.push(b'\n');
    }

    /// One object, with OpenTelemetry's names for what it has names for (semantic conventions for HTTP spans).
    pub(super) fn write_json(&self, line: &mut Vec<u8>, elapsed: Duration, now: SystemTime) {
        let level = if self.is_failure() { "WARN" } else { "INFO" };
        let now = humantime::format_rfc3339_micros(now);
        let _ = write!(
            line,
            r#"{{"timestamp":"{now}","level":"{level}","message":"request","target":"request""#
        );
        field(line, "http.request.method", self.method.as_str());
        field(line, "url.path", self.uri.path());
        if let Some(route) = &self.route {
            field(line, "http.route", route.pattern());
            field(line, "package", route.package());
        }
        if let Some(status) = self.status {
            let _ = write!(line, r#","http.response.status_code":{}"#, status.as_u16());
        }
        let _ = write!(
            line,
            r#","http.response.body.size":{},"duration_ms":{:.3}"#,
            self.bytes,
            elapsed.as_secs_f64() * 1e3
        );
        if let Some(reason) = self.failed {
            field(line, "error.type", reason);
        }
        field(line, "request_id", self.id.as_str());
        // The gateway's own trace context, or one that was checked: version, trace, span and flags.
        let mut trace = self
            .trace
            .as_ref()
            .and_then(|trace| trace.to_str().ok())
            .unwrap_or_default()
            .split('-')
            .skip(1);
        if let (Some(trace), Some(span)) = (trace.next(), trace.next()) {
            field(line, "trace_id", trace);
            field(line, "span_id", span);
        }
        line.extend_from_slice(b"}\n");
    }
}

fn field(line: &mut Vec<u8>, name: &str, value: &str) {
    let _ = write!(line, r#","{name}":"#);
    let _ = serde_json::to_writer(line, value);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

    use super::*;
    use crate::request_headers::RequestId;

    fn line(path: &'static str, status: Option<u16>, failed: Option<&'static str>) -> RequestLine {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("id-\"7\""));
        RequestLine {
            method: Method::GET,
            uri: Uri::from_static(path),
            id: RequestId::from_headers(&headers),
            started: std::time::Instant::now(),
            route: None,
            trace: Some(HeaderValue::from_static(
                "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
            )),
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            bytes: 12,
            failed,
        }
    }

    #[test]
    fn a_person_sees_method_path_status_and_time_and_the_id_of_what_failed() {
        let shown = |line: RequestLine| {
            let mut text = Vec::new();
            line.write_for_people(&mut text, Duration::from_micros(420));
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            shown(line("/hello?token=secret", Some(200), None)),
            "GET /hello 200 0.4 ms\n"
        );
        let trapped = shown(line("/hello", Some(502), Some("guest-trap")));
        assert_eq!(trapped, "GET /hello 502 0.4 ms guest-trap id-\"7\"\n");
        assert_eq!(
            shown(line("/hello", None, Some("client-left"))),
            "GET /hello 0.4 ms client-left\n"
        );
    }

    #[test]
    fn a_machine_reads_the_names_of_opentelemetry() {
        let mut text = Vec::new();
        line("/a%22b?token=secret", Some(200), None).write_json(
            &mut text,
            Duration::from_micros(420),
            SystemTime::UNIX_EPOCH,
        );
        let event: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let right = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "message": "request", "target": "request",
            "http.request.method": "GET", "url.path": "/a%22b", "http.response.status_code": 200,
            "http.response.body.size": 12, "duration_ms": 0.42, "request_id": "id-\"7\"",
            "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "0123456789abcdef",
        });
        assert_eq!(event, right);
    }
}
