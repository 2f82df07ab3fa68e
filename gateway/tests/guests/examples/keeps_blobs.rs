//! Does with `wasi:blobstore` what the request's target says: `?do=`, `in=` a container, `name=` an object. A value is
//! the request's body, or the answer's.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the bindings are made of interfaces that say what they are"
)]

use std::io::Write as _;

use wasip2::{
    http::types::{IncomingRequest, ResponseOutparam},
    io::streams::{OutputStream, StreamError},
};
use wasmgate_test_guests::{Answer, RequestBody, answer, number, query, serve};

wit_bindgen::generate!({
    inline: r"
        package test:blobs;
        world imports {
            import wasi:blobstore/types@0.2.0-draft;
            import wasi:blobstore/container@0.2.0-draft;
            import wasi:blobstore/blobstore@0.2.0-draft;
        }
        package wasi:io@0.2.12 {
            interface streams {
                resource input-stream;
                resource output-stream;
            }
        }
        package wasi:blobstore@0.2.0-draft {
            interface types {
                use wasi:io/streams@0.2.12.{input-stream, output-stream};
                record container-metadata { name: string, created-at: u64 }
                record object-metadata { name: string, container: string, created-at: u64, size: u64 }
                record object-id { container: string, object: string }
                resource outgoing-value {
                    new-outgoing-value: static func() -> outgoing-value;
                    outgoing-value-write-body: func() -> result<output-stream>;
                    finish: static func(this: outgoing-value) -> result<_, string>;
                }
                resource incoming-value {
                    incoming-value-consume-sync: static func(this: incoming-value) -> result<list<u8>, string>;
                    incoming-value-consume-async: static func(this: incoming-value) -> result<input-stream, string>;
                    size: func() -> u64;
                }
            }
            interface container {
                use types.{container-metadata, object-metadata, incoming-value, outgoing-value};
                resource container {
                    name: func() -> result<string, string>;
                    info: func() -> result<container-metadata, string>;
                    get-data: func(name: string, start: u64, end: u64) -> result<incoming-value, string>;
                    write-data: func(name: string, data: borrow<outgoing-value>) -> result<_, string>;
                    list-objects: func() -> result<stream-object-names, string>;
                    delete-object: func(name: string) -> result<_, string>;
                    delete-objects: func(names: list<string>) -> result<_, string>;
                    has-object: func(name: string) -> result<bool, string>;
                    object-info: func(name: string) -> result<object-metadata, string>;
                    clear: func() -> result<_, string>;
                }
                resource stream-object-names {
                    read-stream-object-names: func(len: u64) -> result<tuple<list<string>, bool>, string>;
                    skip-stream-object-names: func(num: u64) -> result<tuple<u64, bool>, string>;
                }
            }
            interface blobstore {
                use types.{object-id};
                use container.{container};
                create-container: func(name: string) -> result<container, string>;
                get-container: func(name: string) -> result<container, string>;
                delete-container: func(name: string) -> result<_, string>;
                container-exists: func(name: string) -> result<bool, string>;
                copy-object: func(src: object-id, dest: object-id) -> result<_, string>;
                move-object: func(src: object-id, dest: object-id) -> result<_, string>;
            }
        }
    ",
    with: {
        "wasi:io/streams@0.2.12": wasip2::io::streams,
        "wasi:blobstore/types@0.2.0-draft": generate,
        "wasi:blobstore/container@0.2.0-draft": generate,
        "wasi:blobstore/blobstore@0.2.0-draft": generate,
    },
});

use wasi::blobstore::{
    blobstore,
    container::Container,
    types::{IncomingValue, ObjectId, OutgoingValue},
};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let (container, name) = (
        query(&request, "in").unwrap_or_default(),
        query(&request, "name").unwrap_or_default(),
    );
    let container = match blobstore::get_container(&container) {
        Ok(container) => container,
        Err(error) => return answer(out, 404, &error),
    };
    let what = query(&request, "do").unwrap_or_default();
    if what == "stream" {
        return stream(&container, &name, out);
    }
    match done(&what, &container, &name, &request) {
        Ok(told) => answer(out, 200, &told),
        Err(error) => answer(out, 409, &error),
    }
}

fn done(what: &str, container: &Container, name: &str, request: &IncomingRequest) -> Result<String, String> {
    let id = |object: &str| ObjectId {
        container: query(request, "in").unwrap_or_default(),
        object: object.to_owned(),
    };
    Ok(match what {
        "write" | "write-early" | "leave" => {
            let value = OutgoingValue::new_outgoing_value();
            if what == "write-early" {
                container.write_data(name, &value)?;
            }
            let mut body = value
                .outgoing_value_write_body()
                .map_err(|()| "there is no stream".to_owned())?;
            pour(request, &mut body)?;
            drop(body);
            if what != "write-early" {
                container.write_data(name, &value)?;
            }
            if what == "leave" {
                return Ok("left".to_owned());
            }
            OutgoingValue::finish(value)?;
            "written".to_owned()
        }
        "read" => {
            let (start, end) = (number(request, "start"), number(request, "end"));
            let value = container.get_data(name, start, end)?;
            let size = value.size();
            let bytes = IncomingValue::incoming_value_consume_sync(value)?;
            format!("{size} {}", String::from_utf8_lossy(&bytes))
        }
        "open-many" => {
            let opened = (0..number(request, "times")).map_while(|_| container.get_data(name, 0, u64::MAX).ok());
            opened.collect::<Vec<_>>().len().to_string()
        }
        "list" => {
            let names = container.list_objects()?;
            let (skipped, _) = names.skip_stream_object_names(1)?;
            let (first, _) = names.read_stream_object_names(1)?;
            let (rest, is_end) = names.read_stream_object_names(100)?;
            format!("{skipped} {first:?} {rest:?} {is_end}")
        }
        "has" => container.has_object(name)?.to_string(),
        "info" => {
            let info = container.object_info(name)?;
            format!("{} {} {}", info.name, info.container, info.size)
        }
        "about" => format!(
            "{} {}",
            container.name()?,
            container.info()?.created_at > 1_700_000_000
        ),
        "delete" => format!("{:?}", container.delete_object(name)),
        "clear" => format!("{:?}", container.clear()),
        "copy" => format!("{:?}", blobstore::copy_object(&id(name), &id("copied"))),
        "move" => format!("{:?}", blobstore::move_object(&id(name), &id("moved"))),
        "remove" => format!(
            "{:?}",
            blobstore::delete_container(&query(request, "in").unwrap_or_default())
        ),
        _ => String::new(),
    })
}

fn pour(request: &IncomingRequest, body: &mut OutputStream) -> Result<(), String> {
    let mut upload = RequestBody::of(request);
    while let Some(chunk) = upload.chunk() {
        body.write_all(&chunk).map_err(|error| error.to_string())?;
    }
    body.flush().map_err(|error| error.to_string())
}

fn stream(container: &Container, name: &str, out: ResponseOutparam) {
    let value = container.get_data(name, 0, u64::MAX);
    let stream = match value.and_then(IncomingValue::incoming_value_consume_async) {
        Ok(stream) => stream,
        Err(error) => return answer(out, 404, &error),
    };
    let mut body = Answer::start(out, 200, &[]);
    loop {
        match stream.blocking_read(1 << 20) {
            Ok(bytes) => {
                body.write(&bytes);
            }
            Err(StreamError::Closed) => break,
            // As a trap, so that the test sees it.
            Err(StreamError::LastOperationFailed(_)) => std::process::abort(),
        }
    }
    body.finish(None);
}
