//! Does to the host what `?do=` says, `?n=` times: what a hostile package would, a few lines for each.
#![cfg(target_arch = "wasm32")]

use std::{hint::black_box, io::Write as _};

use wasip2::{
    cli::environment,
    clocks::{monotonic_clock, wall_clock},
    http::types::{Fields, IncomingRequest, Method, OutgoingRequest, OutgoingResponse, ResponseOutparam},
    io::poll,
    random::{insecure, random},
};
use wasmgate_test_guests::{Answer, answer, dapr, number, query, serve};

serve!(handle);

/// A millisecond in the clock's unit.
const MS: u64 = 1_000_000;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let n = number(&request, "n");
    match query(&request, "do").unwrap_or_default().as_str() {
        "fields" => {
            let bytes = number(&request, "bytes") as usize;
            keep(n, || fields(bytes))
        }
        "empty-fields" => keep(n, Fields::new),
        "clones" => {
            let all = fields(32 * 1024);
            keep(n, || all.clone())
        }
        "requests" => keep(n, || OutgoingRequest::new(Fields::new())),
        "responses" => keep(n, || OutgoingResponse::new(Fields::new())),
        "bodies" => keep(n, unsent_body),
        "timers" => keep(n, || monotonic_clock::subscribe_duration(3600 * 1000 * MS)),
        "poll-many" => {
            let timers = made(n, || monotonic_clock::subscribe_duration(3600 * 1000 * MS));
            let now = monotonic_clock::subscribe_duration(0);
            let all: Vec<_> = timers.iter().chain([&now]).collect();
            repeat(u64::MAX, || poll::poll(&all));
        }
        "poll-wide" => {
            let now = monotonic_clock::subscribe_duration(0);
            let all = vec![&now; n as usize];
            repeat(u64::MAX, || poll::poll(&all));
        }
        "long-list" => {
            let all = vec![("x".to_owned(), b"y".to_vec()); n as usize];
            repeat(u64::MAX, || Fields::from_list(&all));
        }
        "many-values" => {
            let (fields, all) = (Fields::new(), vec![b"y".to_vec(); n as usize]);
            repeat(u64::MAX, || fields.set("x", &all));
        }
        "fill" => {
            let mut all = vec![0_u8; n as usize];
            let mut byte = 0_u8;
            repeat(u64::MAX, || {
                byte = byte.wrapping_add(1);
                black_box(&mut all).fill(byte);
            });
        }
        "fill-once" => drop(black_box(vec![1_u8; n as usize])),
        "wake-often" => repeat(u64::MAX, || {
            monotonic_clock::subscribe_duration(1000).block();
        }),
        "ask-the-clock" => repeat(u64::MAX, wall_clock::now),
        "random" => repeat(n, || random::get_random_bytes(1 << 20)),
        "much-random" => drop(random::get_random_bytes(n)),
        "insecure-random" => drop(insecure::get_insecure_random_bytes(n)),
        "environment" => repeat(u64::MAX, environment::get_environment),
        "own-headers" => repeat(u64::MAX, || request.headers().entries()),
        "memory" => {
            let pages = made(n, || vec![1_u8; 1 << 20]);
            black_box(&pages);
            repeat(u64::MAX, || black_box(&pages).len());
        }
        "invoke-itself" => {
            let path = "/v1.0/invoke/torments/method/torments?do=invoke-itself&n=0";
            let reply = dapr::call(&Method::Get, path, &[], &[]);
            return answer(out, reply.map_or(599, |reply| reply.status), "returned");
        }
        "newlines" => print(&b"\n".repeat(1 << 20), n),
        "no-newline" => print(&b"x".repeat(1 << 20), n),
        "control-characters" => print(&b"\x1b[2J\r\x00\xff\n".repeat(1 << 14), n),
        "one-byte-writes" => print(b"x", n),
        "too-much-output" => {
            let output = wasip2::cli::stdout::get_stdout();
            let _ = output.write(&vec![b'\n'; n as usize]);
        }
        "drip" => {
            let mut answer = Answer::start(out, 200, &[]);
            repeat(n, || {
                answer.write(b"x");
                monotonic_clock::subscribe_duration(10 * MS).block();
            });
            return answer.finish(None);
        }
        "crumbs" => {
            let mut answer = Answer::start(out, 200, &[]);
            repeat(n, || answer.write(b"x"));
            return answer.finish(None);
        }
        "trailers" => {
            let trailers = Fields::new();
            repeat(n, || trailers.append("x-trailer", &[b'v'; 1024]));
            return Answer::start(out, 200, &[]).finish(Some(trailers));
        }
        "long-header" => {
            let value = "v".repeat(n as usize);
            return Answer::start(out, 200, &[("x-long", &value)]).finish(None);
        }
        "odd-status" => {
            let response = OutgoingResponse::new(Fields::new());
            let _ = response.set_status_code(n as u16);
            return ResponseOutparam::set(out, Ok(response));
        }
        other => return answer(out, 404, &format!("no torment {other:?}")),
    }
    answer(out, 200, "done");
}

/// Makes so many things and holds them for a while.
fn keep<T>(n: u64, make: impl Fn() -> T) {
    let all = made(n, make);
    monotonic_clock::subscribe_duration(300 * MS).block();
    black_box(&all);
}

fn made<T>(n: u64, make: impl Fn() -> T) -> Vec<T> {
    (0..n).map(|_| make()).collect()
}

fn repeat<T>(n: u64, mut act: impl FnMut() -> T) {
    for _ in 0..n {
        black_box(act());
    }
}

fn fields(bytes: usize) -> Fields {
    let fields = Fields::new();
    let _ = fields.append("x-kept", &vec![b'v'; bytes]);
    fields
}

/// A body that was written to and will never be sent.
fn unsent_body() -> (
    wasip2::io::streams::OutputStream,
    wasip2::http::types::OutgoingBody,
    OutgoingRequest,
) {
    let request = OutgoingRequest::new(Fields::new());
    let body = request.body().unwrap_or_else(|()| unreachable!());
    let stream = body.write().unwrap_or_else(|()| unreachable!());
    let allowed = stream.check_write().unwrap_or(0).min(1 << 20);
    let _ = stream.write(&vec![b'x'; allowed as usize]);
    (stream, body, request)
}

fn print(bytes: &[u8], n: u64) {
    for _ in 0..n {
        let _ = std::io::stdout().write_all(bytes);
        let _ = std::io::stdout().flush();
    }
}
