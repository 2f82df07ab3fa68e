//! A guest of WASI 0.3 for everything: the last segment of the path says what it does well or wrong.
#![cfg(target_arch = "wasm32")]

use std::{
    hint::black_box,
    mem::forget,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use wasip3::{
    cli::exit,
    clocks::monotonic_clock::wait_for,
    http::types::{ErrorCode, Fields, Request, Response},
    wit_bindgen::{rt::async_support::yield_async, spawn_local},
    wit_future, wit_stream,
};
use wasmgate_test_guests::{
    p3::{
        answer, begin, chunk, copy, fetch, fields, forward, header, number, pass, respond, taken, taken_of_response,
        target, whole,
    },
    serve_p3,
};

serve_p3!(handle);

type Answer = Result<Response, ErrorCode>;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// What the last request had to say.
static REMEMBERED: Mutex<Option<String>> = Mutex::new(None);

async fn handle(request: Request) -> Answer {
    let target = target(&request);
    let path = target.split('?').next().unwrap_or_default();
    match path.rsplit('/').next().unwrap_or_default() {
        "echo" => echo(request),
        "pass" => {
            let (contents, trailers) = taken(request);
            Ok(pass(200, contents, trailers))
        }
        "length" => {
            let (body, end) = whole_of(request).await;
            Ok(answer(
                200,
                &format!("{} {}", body.len(), if end { "whole" } else { "cut" }),
            ))
        }
        "fetch" => fetch_url(request).await,
        "proxy" => proxy(request).await,
        "many" => many(&request, number(&target, "calls", 1)).await,
        "upload" => upload(&request, &target).await,
        "dapr" => dapr(request).await,
        "subscribe" => Ok(answer(
            200,
            &variable("SUBSCRIPTIONS").unwrap_or_else(|| "[]".to_owned()),
        )),
        "events" => keep_event().await,
        "world" => Ok(answer(200, &world())),
        "socket" => Ok(answer(200, &socket().await)),
        "request" => Ok(answer(200, &description(&request))),
        "count" => Ok(answer(
            200,
            &(CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string(),
        )),
        "remember" => Ok(answer(200, &remember(&target))),
        "grow" => {
            forget(black_box(Vec::<u8>::with_capacity(
                usize::try_from(number(&target, "mib", 1) << 20).unwrap_or_default(),
            )));
            wait_for(number(&target, "ms", 0) * 1_000_000).await;
            Ok(answer(200, "grown"))
        }
        "count-after" => Ok(count_after(number(&target, "ms", 0))),
        "leave-unread" => Ok(leave_unread(request)),
        "bytes" => Ok(bytes(number(&target, "count", 0))),
        "print" => print(&target).await,
        "sleep" => {
            wait_for(number(&target, "ms", 0) * 1_000_000).await;
            Ok(answer(200, "awake"))
        }
        other => misbehave(other, &target, request).await,
    }
}

/// Keeps `?word=`, and answers the one that was kept before.
fn remember(target: &str) -> String {
    let word = wasmgate_test_guests::parameter(target, "word").map(str::to_owned);
    let before = match REMEMBERED.lock() {
        Ok(mut remembered) => std::mem::replace(&mut *remembered, word),
        Err(_) => None,
    };
    before.unwrap_or_else(|| "nothing".to_owned())
}

/// Answers at once, and counts `?ms=` milliseconds after its answer.
fn count_after(ms: u64) -> Response {
    let (response, mut body) = respond(200, &[]);
    spawn_local(async move {
        body.write(b"later").await;
        body.finish(Ok(None)).await;
        wait_for(ms * 1_000_000).await;
        CALLS.fetch_add(1, Ordering::Relaxed);
    });
    response
}

/// Answers, and keeps the request's body without reading it.
fn leave_unread(request: Request) -> Response {
    forget(taken(request));
    answer(200, "unread")
}

async fn misbehave(how: &str, target: &str, request: Request) -> Answer {
    match how {
        "spin" => spin(),
        "yield" => loop {
            yield_async().await;
        },
        "recurse" => Ok(answer(200, &recurse(1).to_string())),
        "allocate" => loop {
            forget(black_box(vec![1_u8; 1 << 20]));
        },
        "never" => {
            wait_for(u64::MAX).await;
            unreachable!("it is over after the end of the world")
        }
        "trap" => trap(),
        "error" => Err(ErrorCode::InternalError(Some("its own secret".to_owned()))),
        "status" => Ok(answer(
            u16::try_from(number(target, "code", 200)).unwrap_or_default(),
            "a status",
        )),
        "exit" => exit_with(number(target, "code", 0)),
        "hoard" => hoard(target).await,
        "ring" => ring(target).await,
        "keeps-body" => {
            let (contents, trailers) = taken(request);
            forget((contents, trailers));
            Ok(answer(200, "kept"))
        }
        other => after_the_head(other, target),
    }
}

/// What comes after the head, or instead of the rest.
fn after_the_head(how: &str, target: &str) -> Answer {
    let length = wasmgate_test_guests::parameter(target, "length");
    let headers: Vec<_> = length
        .map(|length| ("content-length", length))
        .into_iter()
        .collect();
    let (response, mut body) = respond(200, &headers);
    let how = how.to_owned();
    spawn_local(async move {
        match how.as_str() {
            "works-on" => {
                body.write(b"done").await;
                body.finish(Ok(None)).await;
                spin();
            }
            "traps-after" => {
                body.write(b"a part").await;
                trap();
            }
            "spins-after" => {
                body.write(b"a part").await;
                spin();
            }
            "exits-after" => {
                body.write(b"done").await;
                body.finish(Ok(None)).await;
                exit_with(0)
            }
            "exits-within" => {
                body.write(b"a part").await;
                exit_with(0)
            }
            // The writer is never dropped, so that its body has no end.
            "leaves-open" => {
                body.write(b"a part").await;
                forget(body);
            }
            // Its body has an end, and its trailers are waited for.
            "leaves-trailers-open" => {
                body.write(b"a part").await;
                body.end_without_trailers();
            }
            "breaks-off" => {
                body.write(b"a part").await;
                body.finish(Err(ErrorCode::InternalError(None))).await;
            }
            "writes-without-end" => while body.write(&[7; 64 << 10]).await {},
            "trailers" => {
                body.write(b"with a tail").await;
                body.finish(Ok(Some(fields(&[
                    ("x-tail", "wags"),
                    ("connection", "close"),
                ]))))
                .await;
            }
            _ => {
                body.write(b"hello").await;
                body.finish(Ok(None)).await;
            }
        }
    });
    Ok(response)
}

fn echo(request: Request) -> Answer {
    let (response, body) = respond(200, &[]);
    let (contents, trailers) = taken(request);
    spawn_local(copy(contents, trailers, body));
    Ok(response)
}

async fn whole_of(request: Request) -> (Vec<u8>, bool) {
    let (contents, trailers) = taken(request);
    let (body, end) = whole(contents, trailers).await;
    (body, end.is_ok())
}

/// Fetches the URL in `x-url` with the request's method and body, and answers what came.
async fn fetch_url(request: Request) -> Answer {
    let (url, method) = (
        header(&request, "x-url").unwrap_or_default(),
        request.get_method(),
    );
    let (body, _) = whole_of(request).await;
    let response = match fetch(&url, &method, Fields::new(), &body).await {
        Ok(response) => response,
        Err(code) => return Ok(answer(502, &format!("{code:?}"))),
    };
    let status = response.get_status_code();
    let (contents, trailers) = taken_of_response(response);
    let (body, end) = whole(contents, trailers).await;
    match end {
        Ok(_) => Ok(answer(status, &String::from_utf8_lossy(&body))),
        Err(code) => Ok(answer(
            502,
            &format!("after {} bytes: {code:?}", body.len()),
        )),
    }
}

/// Lets both bodies through without a look at them.
async fn proxy(request: Request) -> Answer {
    let (url, method) = (
        header(&request, "x-url").unwrap_or_default(),
        request.get_method(),
    );
    match forward(&url, &method, taken(request)).await {
        Ok(response) => {
            let status = response.get_status_code();
            let (contents, trailers) = taken_of_response(response);
            Ok(pass(status, contents, trailers))
        }
        Err(code) => Ok(answer(502, &format!("{code:?}"))),
    }
}

/// Calls the URL in `x-url` so many times at once, and answers how many were answered, and the first error.
async fn many(request: &Request, calls: u64) -> Answer {
    let url = header(request, "x-url").unwrap_or_default();
    let (results, mut told) = wit_stream::new::<u8>();
    let results = std::rc::Rc::new(std::cell::RefCell::new((Some(results), Vec::new(), calls)));
    for _ in 0..calls {
        let (url, results) = (url.clone(), std::rc::Rc::clone(&results));
        spawn_local(async move {
            let method = wasip3::http::types::Method::Get;
            let result = fetch(&url, &method, Fields::new(), b"").await;
            let mut all = results.borrow_mut();
            all.1
                .push(result.map(|response| response.get_status_code()));
            all.2 -= 1;
            if all.2 == 0 {
                all.0 = None;
            }
        });
    }
    while chunk(&mut told).await.is_some() {}
    let all = &results.borrow().1;
    let good = all.iter().filter(|result| result.is_ok()).count();
    let first = all.iter().find_map(|result| result.as_ref().err());
    Ok(answer(200, &format!("{good} {first:?}")))
}

/// Begins an upload to the URL in `x-url`, and does with `?then=` what it does in the middle of it.
async fn upload(request: &Request, target: &str) -> Answer {
    let url = header(request, "x-url").unwrap_or_default();
    let method = wasip3::http::types::Method::Post;
    let (call, mut body) = begin(&url, &method, Fields::new());
    let then = wasmgate_test_guests::parameter(target, "then").map(str::to_owned);
    spawn_local(async move {
        body.write(&vec![7; 256 << 10]).await;
        body.write(b"and more").await;
        match then.as_deref() {
            Some("trap") => trap(),
            Some("spin") => spin(),
            _ => body.finish(Ok(None)).await,
        }
    });
    match wasip3::http::client::send(call).await {
        Ok(response) => Ok(answer(response.get_status_code(), "uploaded")),
        Err(code) => Ok(answer(502, &format!("{code:?}"))),
    }
}

/// Answers what the Dapr API answers to the call in `x-call`, with those headers that begin with `x-send-`.
async fn dapr(request: Request) -> Answer {
    let endpoint = variable("DAPR_HTTP_ENDPOINT").unwrap_or_else(|| "http://localhost:3500".to_owned());
    let url = format!(
        "{endpoint}{}",
        header(&request, "x-call").unwrap_or_default()
    );
    let method = request.get_method();
    let headers = fields(&[("content-type", "application/json")]);
    for (name, value) in request.get_headers().copy_all() {
        if let Some(name) = name.strip_prefix("x-send-") {
            let _ = headers.append(name, &value);
        }
    }
    let (body, _) = whole_of(request).await;
    match fetch(&url, &method, headers, &body).await {
        Ok(response) => {
            let status = response.get_status_code();
            let (contents, trailers) = taken_of_response(response);
            let (body, _) = whole(contents, trailers).await;
            Ok(answer(status, &String::from_utf8_lossy(&body)))
        }
        Err(code) => Ok(answer(599, &format!("{code:?}"))),
    }
}

/// Keeps in `statestore` that an event came.
async fn keep_event() -> Answer {
    let url = "http://localhost:3500/v1.0/state/statestore";
    let headers = fields(&[("content-type", "application/json")]);
    let method = wasip3::http::types::Method::Post;
    let kept = fetch(
        url,
        &method,
        headers,
        br#"[{"key":"event","value":"came"}]"#,
    )
    .await?;
    Ok(answer(
        if kept.get_status_code() == 204 {
            200
        } else {
            500
        },
        "{}",
    ))
}

fn variable(name: &str) -> Option<String> {
    let environment = wasip3::cli::environment::get_environment();
    let found = environment.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

/// Everything of the world around it, by WASI 0.3 and, in the second line, by Rust's own library.
fn world() -> String {
    let mut environment = wasip3::cli::environment::get_environment();
    environment.sort();
    let arguments = wasip3::cli::environment::get_arguments();
    let folders = wasip3::filesystem::preopens::get_directories().len();
    let random = wasip3::random::random::get_random_u64();
    let own: Vec<_> = std::env::vars().collect();
    format!(
        "environment {environment:?} arguments {arguments:?} folders {folders} random {}\nfiles {} own {}",
        random != wasip3::random::random::get_random_u64(),
        std::fs::read_dir("/").is_ok(),
        own.len(),
    )
}

async fn socket() -> String {
    use wasip3::sockets::{
        ip_name_lookup::resolve_addresses,
        types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket},
    };
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 80,
        address: (127, 0, 0, 1),
    });
    let tcp = match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(tcp) => tcp
            .connect(address)
            .await
            .map_err(|code| format!("{code:?}")),
        Err(code) => Err(format!("{code:?}")),
    };
    let udp = match UdpSocket::create(IpAddressFamily::Ipv4) {
        Ok(udp) => udp
            .send(b"x".to_vec(), Some(address))
            .await
            .map_err(|code| format!("{code:?}")),
        Err(code) => Err(format!("{code:?}")),
    };
    let name = resolve_addresses("localhost".to_owned()).await;
    format!(
        "{tcp:?} {udp:?} {:?}",
        name.map_err(|code| format!("{code:?}")).map(drop)
    )
}

fn description(request: &Request) -> String {
    let mut headers: Vec<_> = request.get_headers().copy_all();
    headers.sort();
    let headers = headers
        .into_iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    format!(
        "{:?} {:?} {:?} {:?}\n{}",
        request.get_method(),
        request.get_scheme(),
        request.get_authority(),
        request.get_path_with_query(),
        headers.collect::<String>()
    )
}

fn bytes(count: u64) -> Response {
    let (response, mut body) = respond(200, &[]);
    spawn_local(async move {
        let mut left = usize::try_from(count).unwrap_or_default();
        while left > 0 {
            let part = left.min(1 << 20);
            if !body.write(&vec![7; part]).await {
                return;
            }
            left -= part;
        }
        body.finish(Ok(None)).await;
    });
    response
}

/// Prints `?lines=` lines by WASI 0.3 and one by Rust's own library.
async fn print(target: &str) -> Answer {
    let (mut lines, contents) = wit_stream::new();
    let printed = wasip3::cli::stdout::write_via_stream(contents);
    for line in 0..number(target, "lines", 1) {
        lines
            .write_all(format!("line {line} of WASI 0.3\n").into_bytes())
            .await;
    }
    drop(lines);
    let printed = printed.await;
    println!("a line of Rust's own");
    Ok(answer(200, &format!("{printed:?}")))
}

/// Makes `?what=` until there are `?count=` of them, or for ever, and keeps them.
async fn hoard(target: &str) -> Answer {
    let what = wasmgate_test_guests::parameter(target, "what").unwrap_or_default();
    let count = number(target, "count", u64::MAX);
    for _ in 0..count {
        match what {
            "streams" => forget(wit_stream::new::<u8>()),
            "futures" => forget(wit_future::new::<Result<(), ErrorCode>>(|| Ok(()))),
            "fields" => forget(fields(&[(
                "x-field",
                "a value of some length, which is kept",
            )])),
            "timers" => {
                let mut timer = Box::pin(wait_for(u64::MAX));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = timer.as_mut().poll(&mut context);
                forget(timer);
            }
            "bodies" => forget(respond(200, &[])),
            _ => break,
        }
    }
    match wasmgate_test_guests::parameter(target, "then") {
        Some("wait") => wait_for(u64::MAX).await,
        // Long enough to be looked at.
        Some("rest") => wait_for(20_000_000).await,
        _ => {}
    }
    Ok(answer(200, "kept"))
}

/// Makes `?count=` pipes, each of which reads what the one before writes, and with `?token=` bytes to go round for
/// ever.
async fn ring(target: &str) -> Answer {
    let count = usize::try_from(number(target, "count", 2)).unwrap_or_default();
    let token = usize::try_from(number(target, "token", 0)).unwrap_or_default();
    let (mut writers, mut readers): (Vec<_>, Vec<_>) = (0..count).map(|_| wit_stream::new::<u8>()).unzip();
    // The last writes to the first.
    readers.rotate_left(1);
    let mut bytes = vec![7; token];
    for (mut writer, mut reader) in writers.drain(..).zip(readers.drain(..)) {
        let first = std::mem::take(&mut bytes);
        spawn_local(async move {
            writer.write_all(first).await;
            while let Some(bytes) = chunk(&mut reader).await {
                writer.write_all(bytes).await;
            }
        });
    }
    wait_for(u64::MAX).await;
    Ok(answer(200, "after the end of the world"))
}

#[allow(clippy::panic, reason = "that is what it is asked to do")]
fn trap() -> ! {
    panic!("as it was asked to")
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn recurse(depth: u64) -> u64 {
    let wide = black_box([depth; 64]);
    if wide[0] == 0 {
        return 0;
    }
    black_box(recurse(depth + 1)) + wide[1]
}

fn exit_with(code: u64) -> ! {
    exit::exit(if code == 0 { Ok(()) } else { Err(()) });
    unreachable!("it has exited")
}
