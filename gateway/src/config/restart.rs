//! Keys that a running gateway cannot change, because they need another listener, thread or open file.

use super::{Config, DaprConfig, Server};

/// The keys of `[server]` that a reload takes; every other one is kept.
#[cfg(test)]
const LIVE: [&str; 2] = ["loaded_code", "outbound_private"];

impl Config {
    /// Puts back what a running gateway keeps of `first`, the configuration that it was started with, and answers with
    /// the keys that say something else now and so need a restart.
    pub(crate) fn keep(&mut self, first: &Self) -> Vec<String> {
        let own = [fixed_of_server(&self.server), fixed_of_dapr(&self.dapr)].concat();
        let kept = [fixed_of_server(&first.server), fixed_of_dapr(&first.dapr)].concat();
        self.server = Server {
            loaded_code: self.server.loaded_code,
            outbound_private: std::mem::take(&mut self.server.outbound_private),
            // What is shown may be other than before; whether there is TLS at all, the listener keeps.
            tls: self
                .server
                .tls
                .take()
                .filter(|_| first.server.tls.is_some()),
            ..first.server.clone()
        };
        self.dapr = DaprConfig {
            components: self.dapr.components.take(),
            substitute: self.dapr.substitute,
            quotas: self.dapr.quotas,
            secret_env: std::mem::take(&mut self.dapr.secret_env),
            ..first.dapr.clone()
        };
        let differing = own
            .into_iter()
            .zip(kept)
            .filter(|(own, kept)| own.1 != kept.1);
        differing.map(|(own, _)| own.0.to_owned()).collect()
    }
}

type Key = (&'static str, String);

/// The keys of `[server]` that a running gateway keeps, each with its value as it can be compared.
fn fixed_of_server(server: &Server) -> Vec<Key> {
    macro_rules! keys {
        ($($key:ident),* $(,)?) => {
            vec![$((concat!("server.", stringify!($key)), format!("{:?}", server.$key))),*]
        };
    }
    let mut keys = keys![
        listen,
        admin,
        workers,
        drain_timeout,
        header_timeout,
        write_timeout,
        request_head,
        request_headers,
        connections,
        connections_per_client,
        trusted_proxies,
        cache,
        compile_timeout,
        compile_memory,
        strict,
        memory,
    ];
    keys.push(("server.tls", format!("{:?}", server.tls.is_some())));
    keys
}

/// The same of `[dapr]`.
fn fixed_of_dapr(dapr: &DaprConfig) -> Vec<Key> {
    vec![
        ("dapr.mode", format!("{:?}", dapr.mode)),
        ("dapr.data", format!("{:?}", dapr.data)),
        ("dapr.data_wait", format!("{:?}", dapr.data_wait)),
        ("dapr.listen", format!("{:?}", dapr.listen)),
        ("dapr.allowed_hosts", format!("{:?}", dapr.allowed_hosts)),
        (
            "dapr.allowed_origins",
            format!("{:?}", dapr.allowed_origins),
        ),
        ("dapr.app_id", format!("{:?}", dapr.app_id)),
        ("dapr.app_address", format!("{:?}", dapr.app_address)),
        ("dapr.sidecar", format!("{:?}", dapr.sidecar)),
        ("dapr.invoke_local", format!("{:?}", dapr.invoke_local)),
        ("dapr.dedicated", format!("{:?}", dapr.topology)),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, dapr, parse, server};

    fn config(text: &str) -> Config {
        parse(
            text.as_bytes(),
            Path::new("wasmgate.toml"),
            &Environment::default(),
        )
        .unwrap()
    }

    #[test]
    fn every_key_of_the_two_tables_is_taken_by_a_reload_or_named() {
        let config = config("");
        let named = [fixed_of_server(&config.server), fixed_of_dapr(&config.dapr)].concat();
        let is_named = |table: &str, key: &str| {
            named
                .iter()
                .any(|(name, _)| *name == format!("{table}.{key}"))
        };
        for key in server::KEYS {
            assert!(
                is_named("server", key) != LIVE.contains(&key),
                "server.{key}"
            );
        }
        for key in dapr::KEYS {
            let is_live = ["components", "substitute", "secret_env", "quotas"].contains(&key);
            assert!(is_named("dapr", key) != is_live, "dapr.{key}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_named_and_kept_and_the_rest_is_taken() {
        let first = config("[server]\nworkers = 1\nloaded_code = \"1GiB\"");
        let mut next = config("[server]\nworkers = 2\nloaded_code = \"3GiB\"\n[dapr]\ndata = \"elsewhere\"");
        assert_eq!(next.keep(&first), ["server.workers", "dapr.data"]);
        assert_eq!((next.server.workers, next.server.loaded_code), (1, 3 << 30));
        assert_eq!(next.dapr.data, first.dapr.data);
        assert_eq!(next.keep(&first), [] as [&str; 0]);
    }
}
