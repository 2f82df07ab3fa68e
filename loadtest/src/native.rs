//! The native peer: an axum server with the same answers as the load test's
//! guest, written as one would for speed. It is the yardstick for what the platform adds.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    thread,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
    serve::ListenerExt,
};
use loadtest_guest::{Document, MAX_BODY_BYTES};
use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections; a load opens all of its own at once.
const BACKLOG: i32 = 1024;

/// The server's use of the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Runtime {
    /// One single-threaded runtime per core, each with its own listener on
    /// the shared address: no task ever moves between cores.
    PerCore,
    /// One work-stealing runtime over all cores.
    MultiThread,
}

/// Serves until the process ends. Prints `listening on http://ADDRESS` once
/// connections are accepted.
///
/// # Errors
/// When the address cannot be bound or a runtime cannot start.
pub(crate) fn serve(listen: SocketAddr, runtime: Runtime, hello: &str) -> io::Result<()> {
    if !listen.ip().is_loopback() {
        let text = format!("{listen} is not loopback; use 127.0.0.1:{}", listen.port());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let app = router(hello);
    let first = bind(listen)?;
    let address = first.local_addr()?;
    match runtime {
        Runtime::MultiThread => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            println!("listening on http://{address}");
            runtime.block_on(accept(first, app))
        }
        Runtime::PerCore => {
            let mut listeners = vec![first];
            for _ in 1..cores {
                listeners.push(bind(address)?);
            }
            println!("listening on http://{address}");
            run_per_core(listeners, &app)
        }
    }
}

fn run_per_core(listeners: Vec<TcpListener>, app: &Router) -> io::Result<()> {
    let workers: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let app = app.clone();
            thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(accept(listener, app))
            })
        })
        .collect();
    for worker in workers {
        worker
            .join()
            .map_err(|_| io::Error::other("a worker ended early"))??;
    }
    Ok(())
}

async fn accept(listener: TcpListener, app: Router) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        // Without it a small answer may wait; a load would see nothing else.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn router(hello: &str) -> Router {
    let hello = Bytes::copy_from_slice(hello.as_bytes());
    let large: Arc<[u8]> = vec![b'x'; MAX_BODY_BYTES].into();
    let large = Bytes::from_owner(large);
    Router::new()
        .route("/hello", get(async move || text(hello.clone())))
        .route("/json", get(async || Json(Document::new())))
        .route(
            "/body/{bytes}",
            get(async move |Path(bytes): Path<usize>| {
                if bytes > large.len() {
                    return StatusCode::NOT_FOUND.into_response();
                }
                text(large.slice(..bytes)).into_response()
            }),
        )
        .route(
            "/body",
            post(async |body: Bytes| text(Bytes::from(body.len().to_string()))),
        )
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
}

fn text(body: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body)
}
